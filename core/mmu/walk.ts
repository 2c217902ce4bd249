/**
 * Page walks: 32-bit paging with 4 MiB pages and PSE-36, PAE, 4-level (Intel SDM volume 3, chapter 4).
 *
 * A walk leaves its result in fields, allocates nothing and throws nothing. Entries are read as two 32-bit words.
 * Memory without backing reads as all ones, so that a page table there faults on a reserved bit as on a PC.
 *
 * @module
 */
import * as L from "../layout.ts";
import { type CpuState, Cr0, Cr4, Efer } from "../cpu/state.ts";
import type { AccessObserver } from "./access.ts";
import { PAGE_SIZE, type PhysMem } from "./physmem.ts";

/** Kinds of access, as `translate` takes them. */
export const Access = { READ: 0, WRITE: 1, EXEC: 2 } as const;

/** Results of `PageWalker.walk`. */
export const Walk = { FOUND: 0, ABSENT: 1, RESERVED: 2 } as const;

/** Rights of a translation; all but EXEC sit where page-table entries have them. */
export const Right = { EXEC: 1, WRITE: 2, USER: 4, DIRTY: 0x40, GLOBAL: 0x100 } as const;

/** Kind of page a translation came from. */
export const PageClass = { K4: 0, M2: 1, M4: 2, G1: 3 } as const;

const P = 1, A = 0x20, D = 0x40, PS = 0x80;
/** Times 2^20: the high word of an entry holds bits 20 and up of the page number. */
const HIGH_PAGES = 0x10_0000;

/** Walks the page tables that the state's control registers name. */
export class PageWalker {
  /** What the processor's CPUID admits; set by the Cpu from its policy. */
  nx = true;
  pse = true;
  pse36 = true;
  pge = true;
  pae = true;
  smep = true;
  smap = true;
  largePages1G = true;

  /** Physical page number found. */
  page = 0;
  /** `Right` bits found. */
  rights = 0;
  /** `PageClass` found. */
  pageClass = 0;
  /** Told of flags that are set; null: nobody looks on. */
  observer: AccessObserver | null = null;

  readonly #words = new Int32Array(4);
  readonly #tables = new Int32Array(4);
  #depth = 0;
  #accessed = 0;
  #physAddrBits = 40;
  #reservedHigh = 0;
  readonly #m: Int32Array;

  constructor(readonly s: CpuState, readonly mem: PhysMem) {
    this.#m = new Int32Array(mem.memory.buffer);
    this.physAddrBits = 40;
  }

  /** MAXPHYADDR, 32 to 52: bits above it are reserved in page-table entries. */
  get physAddrBits(): number {
    return this.#physAddrBits;
  }
  set physAddrBits(bits: number) {
    this.#physAddrBits = Math.min(52, Math.max(32, bits));
    this.#reservedHigh = 0xf_ffff & -(2 ** (this.#physAddrBits - 32));
  }

  /** Finds the translation of a linear address (low, high word). Checks no rights and changes no memory. */
  walk(lo: number, hi: number): number {
    this.#depth = 0;
    this.#accessed = A;
    this.pageClass = PageClass.K4;
    if (this.s.cr0 >= 0x8000_0000) {
      if (this.s.cr4 & Cr4.PAE) return this.#walkWide(lo, hi);
      return this.#walk32(lo);
    }
    this.page = lo >>> 12;
    this.rights = Right.EXEC | Right.WRITE | Right.USER | Right.DIRTY;
    return Walk.FOUND;
  }

  /**
   * What the translation found may be used for.
   * @param user the access is a user-mode access
   * @param suspended SMAP is suspended by EFLAGS.AC
   * @returns bits 1 << `Access`
   */
  allowed(user: boolean, suspended: boolean): number {
    const r = this.rights;
    if (user) return r & Right.USER ? 1 | r & Right.WRITE | (r & Right.EXEC) << 2 : 0;
    const { cr0, cr4 } = this.s;
    if (cr0 < 0x8000_0000) return 7;
    let bits = 1 | (r & Right.EXEC) << 2;
    if (r & Right.WRITE || !(cr0 & Cr0.WP)) bits |= 2;
    if (r & Right.USER) {
      if (cr4 & Cr4.SMAP && this.smap && !suspended) bits &= 4;
      if (cr4 & Cr4.SMEP && this.smep) bits &= 3;
    }
    return bits;
  }

  /** Page-fault error code of an access that the walk just done refuses. */
  errorCode(found: number, access: number, user: boolean): number {
    let e = found === Walk.ABSENT ? 0 : 1;
    if (found === Walk.RESERVED) e |= 8;
    if (access === Access.WRITE) e |= 2;
    if (user) e |= 4;
    if (access === Access.EXEC) {
      const cr4 = this.s.cr4;
      const nx = cr4 & Cr4.PAE && this.s.efer & Efer.NXE && this.nx;
      if (nx || (cr4 & Cr4.SMEP && this.smep)) e |= 0x10;
    }
    return e;
  }

  /** True when `setAccessedDirty` has something to write for this access. */
  needsUpdate(access: number): boolean {
    return this.#accessed === 0 || (access === Access.WRITE && !(this.rights & Right.DIRTY));
  }

  /**
   * Sets the accessed flags of all entries used, and the dirty flag of the last one when writing. SDM volume 3, 4.8.
   * @param mayLeave generated code is running: do not rewrite decoded code under it
   * @returns false when an entry lies inside decoded code and `mayLeave`: nothing more was written
   */
  setAccessedDirty(access: number, mayLeave: boolean): boolean {
    const { mem } = this, last = this.#depth - 1;
    for (let i = 0; i <= last; i++) {
      const word = this.#words[i], table = this.#tables[i];
      const bits = i === last && access === Access.WRITE ? A | D : A;
      if (word === 0 || mem.rom[table] || (this.#m[word] & bits) === bits) continue;
      if (mem.code[table]) {
        const offset = (word << 2) & 0xfff;
        if (mem.codeOverlaps === null || mem.codeOverlaps(table, offset, 4)) {
          if (mayLeave && this.s.i32[L.ALONE >> 2] === 0) return false;
          mem.onCodeWrite?.(table, offset, 4);
        }
      }
      mem.dirty[table] = 1;
      this.observer?.walked(table * PAGE_SIZE + ((word << 2) & 0xfff), 4);
      this.#m[word] |= bits;
    }
    if (access === Access.WRITE && last >= 0) this.rights |= Right.DIRTY;
    return true;
  }

  /**
   * Loads the PDPTEs for PAE paging, as MOV to CR3, and changes of CR0 and CR4 that keep or turn PAE paging on, do.
   * @returns false when a present entry has reserved bits set (#GP(0)); the old ones are then kept
   */
  loadPdptes(cr3: number): boolean {
    const base = (cr3 & ~0x1f) >>> 0, { mem, s } = this;
    for (let i = 0; i < 4; i++) {
      const lo = mem.read32(base + i * 8), hi = mem.read32(base + i * 8 + 4);
      if (lo & P && (lo & 0x1e6 || hi & (this.#reservedHigh | 0xfff0_0000))) return false;
    }
    for (let i = 0; i < 4; i++) {
      s.setWords(L.PDPTE + i * 8, mem.read32(base + i * 8), mem.read32(base + i * 8 + 4));
    }
    return true;
  }

  /** Word index (host offset / 4) of a page-table entry, remembered for `setAccessedDirty`; 0 when unbacked. */
  #entry(table: number, offset: number): number {
    const host = table < HIGH_PAGES ? this.mem.hostPage[table] : 0;
    const word = host === 0 ? 0 : (host << 10) + (offset >>> 2);
    this.#words[this.#depth] = word;
    this.#tables[this.#depth++] = table;
    return word;
  }

  #walk32(lo: number): number {
    const { s } = this, m = this.#m;
    let word = this.#entry(s.u32[L.CR3 >> 2] >>> 12, lo >>> 20 & 0xffc);
    const pde = word === 0 ? -1 : m[word];
    if (!(pde & P)) return Walk.ABSENT;
    this.#accessed &= pde;
    if (pde & PS && s.cr4 & Cr4.PSE && this.pse) {
      const physBits = this.pse36 ? Math.min(this.#physAddrBits, 40) : 32;
      // Bits 21:13 hold address bits 40:32 (PSE-36); those at and above MAXPHYADDR, and bit 21 always, are reserved.
      const highMask = (1 << (physBits - 32)) - 1;
      if (pde >>> 13 & 0x1ff & ~highMask) return Walk.RESERVED;
      this.page = (pde >>> 22 << 10) + (pde >>> 13 & highMask) * HIGH_PAGES + (lo >>> 12 & 0x3ff);
      this.pageClass = PageClass.M4;
      this.#setRights(pde, pde & (Right.WRITE | Right.USER) | Right.EXEC);
      return Walk.FOUND;
    }
    word = this.#entry(pde >>> 12, lo >>> 10 & 0xffc);
    const pte = word === 0 ? -1 : m[word];
    if (!(pte & P)) return Walk.ABSENT;
    this.#accessed &= pte;
    this.page = pte >>> 12;
    this.#setRights(pte, pde & pte & (Right.WRITE | Right.USER) | Right.EXEC);
    return Walk.FOUND;
  }

  #walkWide(lo: number, hi: number): number {
    const { s } = this, m = this.#m, long = (s.efer & Efer.LMA) !== 0;
    let reserved = long ? this.#reservedHigh : this.#reservedHigh | 0x7ff0_0000;
    if (!(s.efer & Efer.NXE) || !this.nx) reserved |= 0x8000_0000;
    let level = 4, at = L.CR3 >> 2;
    if (!long) {
      level = 2;
      at = (L.PDPTE >> 2) + (lo >>> 30) * 2;
      if (!(s.u32[at] & P)) return Walk.ABSENT;
    }
    let table = (s.u32[at] >>> 12) + (s.u32[at + 1] & 0xf_ffff) * HIGH_PAGES;
    let rights = Right.EXEC | Right.WRITE | Right.USER;
    for (;; level--) {
      const shifted = level === 1
        ? lo >>> 9
        : level === 2
        ? lo >>> 18
        : level === 3
        ? hi << 5 | lo >>> 27
        : hi >>> 4;
      const word = this.#entry(table, shifted & 0xff8);
      const elo = word === 0 ? -1 : m[word], ehi = word === 0 ? -1 : m[word + 1];
      if (!(elo & P)) return Walk.ABSENT;
      if (ehi & reserved) return Walk.RESERVED;
      this.#accessed &= elo;
      rights &= ehi < 0 ? elo & ~Right.EXEC : elo | Right.EXEC;
      if (level === 1 || elo & PS) return this.#wideLeaf(level, elo, ehi, lo, rights);
      table = (elo >>> 12) + (ehi & 0xf_ffff) * HIGH_PAGES;
    }
  }

  /** The last entry of a walk over 8-byte entries. */
  #wideLeaf(level: number, elo: number, ehi: number, lo: number, rights: number): number {
    if (level > 3 || (level === 3 && !this.largePages1G)) return Walk.RESERVED;
    const frame = (ehi & 0xf_ffff) * HIGH_PAGES;
    if (level === 1) this.page = (elo >>> 12) + frame;
    else {
      const within = level === 2 ? 0x1ff : 0x3_ffff;
      // Between the PAT bit (12) and the frame: reserved.
      if (elo >>> 12 & within & ~1) return Walk.RESERVED;
      this.page = (elo >>> 12 & ~within) + frame + (lo >>> 12 & within);
      this.pageClass = level === 2 ? PageClass.M2 : PageClass.G1;
    }
    this.#setRights(elo, rights);
    return Walk.FOUND;
  }

  #setRights(leaf: number, rights: number): void {
    const global = this.s.cr4 & Cr4.PGE && this.pge ? leaf & Right.GLOBAL : 0;
    this.rights = rights & (Right.EXEC | Right.WRITE | Right.USER) | leaf & Right.DIRTY | global;
  }
}
