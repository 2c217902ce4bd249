/**
 * Linear to physical translation through TLB and page walk, with the fault left in the state's fault words.
 *
 * @module
 */
import { raise, Vec } from "../cpu/hooks.ts";
import { type CpuState, Cr4, Fl } from "../cpu/state.ts";
import * as L from "../layout.ts";
import { PAGE_SIZE, type PhysMem } from "./physmem.ts";
import { Tlb, USER_SET } from "./tlb.ts";
import { Access, PageWalker, Walk } from "./walk.ts";

/** What `resolve` answers instead of a page number. */
export const Unresolved = {
  /** The access faults; the state's fault words say how. */
  FAULT: -1,
  /** An accessed or dirty flag lies inside decoded code: execute the instruction alone. */
  ALONE: -2,
} as const;

/** The set of a supervisor whose SMAP is not suspended: also used for implicit supervisor accesses. */
export const SUPERVISOR_SET = 0;
const SUSPENDED_SET = 2, ALIGNED_SET = 3;
const SET_SHIFT = Math.log2(L.TLB_SET_SIZE);

const TWO32 = 0x1_0000_0000;

/** Where an instruction byte is: guest-physical page, offset in it, address; and host offset (-1: no backing). */
export interface FetchResult {
  page: number;
  offset: number;
  gpa: number;
  host: number;
}

/** Translates linear addresses. Addresses are canonical numbers, or low and high words. */
export class Translator {
  readonly walker: PageWalker;
  readonly tlb: Tlb;
  /** A second answer: high words and the like. */
  lo = 0;
  hi = 0;
  readonly #fetched: FetchResult = { page: 0, offset: 0, gpa: 0, host: -1 };

  constructor(readonly s: CpuState, readonly mem: PhysMem) {
    this.walker = new PageWalker(s, mem);
    this.tlb = new Tlb(s, mem);
    this.selectSets();
  }

  /** @see PageWalker.physAddrBits */
  get physAddrBits(): number {
    return this.walker.physAddrBits;
  }
  set physAddrBits(bits: number) {
    this.walker.physAddrBits = bits;
  }

  /** Chooses TLB set and jump cache after a change of CPL, CR0.AM, CR4.SMAP or EFLAGS.AC. */
  selectSets(): void {
    const { s } = this, ac = (s.u32[L.FLAGS >> 2] & Fl.AC) !== 0;
    let set: number = SUPERVISOR_SET;
    const user = s.cpl === 3;
    if (user) set = ac && s.cr0 & 0x4_0000 ? ALIGNED_SET : USER_SET;
    else if (ac && s.cr4 & Cr4.SMAP) set = SUSPENDED_SET;
    s.i32[L.TLB_BASE >> 2] = L.TLB + set * L.TLB_SET_SIZE;
    s.i32[L.JC_BASE >> 2] = L.JUMP_CACHE + (user ? L.JUMP_CACHE_SIZE : 0);
  }

  /** The set in use for explicit accesses: `SUPERVISOR_SET`, `USER_SET` or the one with SMAP suspended. */
  currentSet(): number {
    const set = (this.s.i32[L.TLB_BASE >> 2] - L.TLB) >> SET_SHIFT;
    return set === ALIGNED_SET ? USER_SET : set;
  }

  /** True when data accesses of user code must be aligned (CPL 3, CR0.AM, EFLAGS.AC). */
  get checksAlignment(): boolean {
    return this.s.i32[L.TLB_BASE >> 2] === L.TLB + ALIGNED_SET * L.TLB_SET_SIZE;
  }

  /**
   * Walks the page tables for an access and fills the TLB.
   * @param generated called from generated code, which may have to leave first (`Unresolved.ALONE`)
   * @returns physical page number, or an `Unresolved` value
   */
  resolve(lo: number, hi: number, access: number, set: number, generated: boolean): number {
    const w = this.walker, user = set === USER_SET, { mem } = this;
    const found = w.walk(lo, hi);
    const allowed = found === Walk.FOUND ? w.allowed(user, set === SUSPENDED_SET) : 0;
    if (!(allowed >>> access & 1)) {
      this.setPageFault(w.errorCode(found, access, user), lo, hi);
      return Unresolved.FAULT;
    }
    if (w.needsUpdate(access) && !w.setAccessedDirty(access, generated)) return Unresolved.ALONE;
    const page = w.page;
    if (access === Access.EXEC) this.tlb.fillExec(user, lo, hi, page, w.rights, w.pageClass);
    else if (page < 1 << 20 && mem.hostPage[page] !== 0) {
      if (access === Access.WRITE && !mem.rom[page]) mem.dirty[page] = 1;
      this.tlb.fill(set, lo, hi, page, allowed, w.rights, w.pageClass);
    }
    return page;
  }

  /** As `resolve`, but asks the TLB first. */
  resolveCached(lo: number, hi: number, access: number, set: number, generated: boolean): number {
    if (access === Access.EXEC) {
      const page = this.tlb.exec[set === USER_SET ? 1 : 0].find(lo, hi);
      return page >= 0 ? page : this.resolve(lo, hi, access, set, generated);
    }
    const m = this.tlb.m, e = this.tlb.entry(set, lo, hi), tag = e + access * 2;
    if ((m[tag] & ~7) === (lo & ~0xfff) && m[tag + 1] === hi) {
      const page = m[e + 7];
      if (access === Access.WRITE && m[tag] & 1) {
        this.mem.dirty[page] = 1;
        m[tag] &= ~1;
      }
      return page;
    }
    return this.resolve(lo, hi, access, set, generated);
  }

  /** Leaves a pending page fault in the state. */
  setPageFault(error: number, lo: number, hi: number): void {
    const { i32 } = this.s;
    i32[L.FAULT_VECTOR >> 2] = Vec.PF;
    i32[L.FAULT_ERROR >> 2] = error;
    i32[L.FAULT_ADDR >> 2] = lo;
    i32[(L.FAULT_ADDR >> 2) + 1] = hi;
  }

  /** Raises the fault that `resolve` left. */
  raisePending(): never {
    raise(this.s.i32[L.FAULT_VECTOR >> 2], this.s.i32[L.FAULT_ERROR >> 2]);
  }

  /**
   * Translates for an access that happens now: checks rights, sets accessed and dirty flags, fills the TLB.
   * @param access one of `Access`
   * @param supervisor implicit supervisor access (descriptor tables, TSS); default: by CPL
   * @returns guest-physical address
   */
  translate(la: number, access: number, supervisor = false): number {
    const lo = la | 0, hi = Math.floor(la / TWO32) | 0;
    const page = this.resolveCached(lo, hi, access, supervisor ? SUPERVISOR_SET : this.currentSet(), false);
    if (page < 0) this.raisePending();
    return page * PAGE_SIZE + (lo & 0xfff);
  }

  /** Translates without side effect and without checking rights; -1 when not mapped. For debugger and hypervisor. */
  tryTranslate(la: number): number {
    const lo = la | 0, hi = Math.floor(la / TWO32) | 0;
    if (hi >> 15 !== hi >> 31) return -1;
    return this.walker.walk(lo, hi) === Walk.FOUND ? this.walker.page * PAGE_SIZE + (lo & 0xfff) : -1;
  }

  /** As `tryTranslate`, but -1 as well where a supervisor (SMAP suspended) may not access. For hypercall buffers. */
  tryAccess(la: number, access: number): number {
    const gpa = this.tryTranslate(la);
    return gpa >= 0 && this.walker.allowed(false, true) >>> access & 1 ? gpa : -1;
  }

  /** Translates an instruction address for execution. The result object is reused. Raises #PF, #GP when not canonical. */
  fetchHost(la: number): FetchResult {
    const lo = la | 0, hi = Math.floor(la / TWO32) | 0;
    if (hi >> 15 !== hi >> 31) raise(Vec.GP, 0);
    const page = this.resolveCached(lo, hi, Access.EXEC, this.currentSet(), false);
    if (page < 0) this.raisePending();
    const r = this.#fetched, backing = page < 1 << 20 ? this.mem.hostPage[page] : 0;
    r.page = page;
    r.offset = lo & (PAGE_SIZE - 1);
    r.gpa = page * PAGE_SIZE + r.offset;
    r.host = backing === 0 ? -1 : backing * PAGE_SIZE + r.offset;
    return r;
  }
}
