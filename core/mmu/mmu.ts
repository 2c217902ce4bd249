/**
 * The memory management unit: translation and linear memory for TypeScript (`translate.ts`, `linear.ts`), and here
 * the slow paths that generated code calls when a TLB probe misses.
 *
 * A slow path neither throws nor allocates. It answers with a host offset (as a signed 32-bit number) or with 0 after
 * leaving the reason in the `LEAVE` state word.
 *
 * @module
 */
import { Vec } from "../cpu/hooks.ts";
import { Leave } from "../cpu/leave.ts";
import { SlowFlag } from "../cpu/slow.ts";
import * as L from "../layout.ts";
import { LinearMemory } from "./linear.ts";
import { PAGE_SIZE } from "./physmem.ts";
import { SUPERVISOR_SET, Unresolved } from "./translate.ts";
import { WriteTag } from "./tlb.ts";
import type { AccessObserver, Watch } from "./access.ts";
import { BothWatch } from "./watch.ts";
import { Access } from "./walk.ts";

export type { MmuHooks } from "./linear.ts";
export { Access } from "./walk.ts";
export type { FetchResult } from "./translate.ts";

export { SlowFlag };

const TWO32 = 0x1_0000_0000;
const SLOW = L.SLOW_ADDR >> 2;

/** The MMU of the active vCPU. */
export class Mmu extends LinearMemory {
  #hostWatch: Watch | null = null;
  #guestWatch: Watch | null = null;
  /** The store that waits for `commitStore`: bytes in the first page, all bytes (0: none), pages, linear address. */
  #first = 0;
  #size = 0;
  #pageA = 0;
  #pageB = 0;
  #linear = 0;
  #linearB = 0;

  /** Physical page of the instruction in hand while generated code runs; -1: not known. Set by the Cpu. */
  executingPage: () => number = () => -1;

  // What the processor's CPUID admits; set by the Cpu from its policy.
  set nx(on: boolean) {
    this.walker.nx = on;
  }
  set pse(on: boolean) {
    this.walker.pse = on;
  }
  set pse36(on: boolean) {
    this.walker.pse36 = on;
  }
  set pge(on: boolean) {
    this.walker.pge = on;
  }
  set pae(on: boolean) {
    this.walker.pae = on;
  }
  set smep(on: boolean) {
    this.walker.smep = on;
  }
  set smap(on: boolean) {
    this.walker.smap = on;
  }
  set largePages1G(on: boolean) {
    this.walker.largePages1G = on;
  }

  /** Loads the PDPTEs of PAE paging. @see PageWalker.loadPdptes */
  loadPdptes(cr3: number): boolean {
    return this.walker.loadPdptes(cr3);
  }

  /** Drops all translations (CR0.PG, CR0.WP, CR4 and EFER changes, remapped physical memory). */
  flushAll(): void {
    this.tlb.flushAll();
  }
  /** Drops the translations that are not global (write of CR3). */
  flushNonGlobal(): void {
    this.tlb.flushNonGlobal();
  }
  /** Drops the translations of one page. */
  invlpg(la: number): void {
    this.tlb.invlpg(la | 0, Math.floor(la / TWO32) | 0);
  }
  /** Makes the jump caches forget. */
  flushJumpCaches(): void {
    this.tlb.flushJumpCaches();
  }
  /** From now on the first write through each entry marks its page dirty. Call after clearing `mem.dirty`. */
  watchWrites(): void {
    this.tlb.markWrites(WriteTag.WATCHED);
  }
  /** A physical page now holds decoded code (`mem.code[page]` is 1): writes to it take the slow path. */
  pageBecameCode(page: number): void {
    this.tlb.markWrites(WriteTag.CODE, page);
  }
  /** A physical page no longer holds decoded code. */
  pageNoLongerCode(page: number): void {
    this.tlb.unmarkCode(page);
  }
  /** Places that somebody outside the guest watches; null: none. Call again when they change. */
  setWatch(watch: Watch | null): void {
    this.#hostWatch = watch;
    this.#combineWatches();
  }
  /** Places that the guest's own debug registers watch; null: none. Call again when they change. */
  setGuestWatch(watch: Watch | null): void {
    this.#guestWatch = watch;
    this.#combineWatches();
  }
  #combineWatches(): void {
    const host = this.#hostWatch, guest = this.#guestWatch;
    this.watch = host !== null && guest !== null ? new BothWatch(host, guest) : host ?? guest;
    this.tlb.watchPages(this.watch);
  }
  /** What is watched now. */
  get watching(): Watch | null {
    return this.watch;
  }
  /**
   * Lets somebody look on at the accesses that generated code does not make; null: nobody. `linear` false: only page
   * walks, which change memory but access no linear address.
   */
  setObserver(observer: AccessObserver | null, linear = true): void {
    this.observer = linear ? observer : null;
    this.walker.observer = observer;
  }
  /** The TLB's contents for checkpoints: canonical, at most 320 KiB. */
  saveTlb(): Uint8Array {
    return this.tlb.save();
  }
  /** Restores what `saveTlb` gave. */
  loadTlb(saved: Uint8Array): void {
    this.tlb.load(saved);
  }

  /**
   * A load whose TLB probe missed, at `SLOW_ADDR`.
   * @param size 1, 2, 4, 8 or 16 bytes
   * @param flags `SlowFlag`
   * @returns host offset where the bytes can be read now, 0: see `LEAVE`
   */
  slowLoad(size: number, flags: number): number {
    this.tlb.displaced = false;
    const host = this.#load(size, flags);
    return host !== 0 && this.tlb.displaced && flags & SlowFlag.COMPILED ? this.#leave(Leave.RETRY) : host;
  }

  #load(size: number, flags: number): number {
    const i32 = this.s.i32, lo = i32[SLOW], hi = i32[SLOW + 1];
    if (hi >> 15 !== hi >> 31) return this.#notCanonical(flags);
    const set = flags & SlowFlag.SUPERVISOR ? SUPERVISOR_SET : this.currentSet();
    if ((lo & 0xfff) + size > PAGE_SIZE) return this.#crossLoad(size, flags, set, lo, hi);
    if (this.#misaligned(lo, size, flags)) return 0;
    const page = this.watch === null
      ? this.resolve(lo, hi, Access.READ, set, true)
      : this.#resolveWatched(lo, hi, set);
    if (page < 0) return this.#refuse(page);
    const host = page < 1 << 20 ? this.mem.hostPage[page] : 0;
    if (host === 0 && i32[L.ALONE >> 2] === 0) return this.#leave(Leave.ALONE);
    if (this.watch !== null && this.#watches(lo, hi, page, size, false)) return this.#leave(Leave.WATCH);
    if (host !== 0) return host << 12 | lo & 0xfff;
    this.#readMmio(page, lo, hi, size);
    this.#note(-1, -1);
    return L.SLOW_DATA;
  }

  /**
   * A store whose TLB probe missed, at `SLOW_ADDR`. When the answer is `SLOW_DATA`, `commitStore` must follow.
   * @returns host offset where the bytes can be written now, 0: see `LEAVE`
   */
  slowStore(size: number, flags: number): number {
    this.tlb.displaced = false;
    const host = this.#store(size, flags);
    return host !== 0 && this.tlb.displaced && flags & SlowFlag.COMPILED ? this.#leave(Leave.RETRY) : host;
  }

  #store(size: number, flags: number): number {
    const i32 = this.s.i32, lo = i32[SLOW], hi = i32[SLOW + 1];
    if (hi >> 15 !== hi >> 31) return this.#notCanonical(flags);
    const set = flags & SlowFlag.SUPERVISOR ? SUPERVISOR_SET : this.currentSet();
    if ((lo & 0xfff) + size > PAGE_SIZE) return this.#crossStore(size, flags, set, lo, hi);
    if (this.#misaligned(lo, size, flags)) return 0;
    const page = this.resolveCached(lo, hi, Access.WRITE, set, true);
    if (page < 0) return this.#refuse(page);
    const { mem } = this, host = page < 1 << 20 ? mem.hostPage[page] : 0;
    if (host === 0) return this.#mmioStore(page, lo, hi, size, flags);
    if (mem.code[page] && !mem.rom[page] && this.#mustLeave(page, lo & 0xfff, size)) {
      return this.#leave(Leave.ALONE);
    }
    if (this.watch !== null && this.#watches(lo, hi, page, size, true, flags)) {
      return this.#leave(Leave.WATCH);
    }
    if (mem.rom[page]) return this.#romStore(host << 12 | lo & 0xfff, size);
    if (mem.code[page]) this.aboutToChangeCode(page, lo & 0xfff, size);
    return host << 12 | lo & 0xfff;
  }

  /** Carries out the store for which `slowStore` answered `SLOW_DATA`, with the bytes now there. */
  commitStore(): void {
    const size = this.#size, first = this.#first, { u8, view } = this.mem;
    this.#size = 0;
    if (size === 0) return;
    const a = this.#pageA * PAGE_SIZE + (this.#linear & 0xfff), b = this.#pageB * PAGE_SIZE;
    if (first === size) {
      const step = Math.min(size, 4);
      for (let i = 0; i < size; i += step) {
        const at = L.SLOW_DATA + i;
        const value = step === 4 ? view.getUint32(at, true) : step === 2 ? view.getUint16(at, true) : u8[at];
        this.writePhysical(a + i, step, value, this.#linear + i);
      }
      return;
    }
    for (let i = 0; i < size; i++) {
      const byte = u8[L.SLOW_DATA + i];
      if (i < first) this.writePhysical(a + i, 1, byte, this.#linear + i);
      else this.writePhysical(b + i - first, 1, byte, this.#linearB + i - first);
    }
  }

  #leave(reason: number): number {
    this.s.i32[L.LEAVE >> 2] = reason;
    return 0;
  }

  /** The page of a load while a debugger watches: what is in the TLB counts, as it does for generated code. */
  #resolveWatched(lo: number, hi: number, set: number): number {
    const known = this.checksAlignment ? -1 : this.tlb.watchedRead(set, lo, hi);
    return known >= 0 ? known : this.resolve(lo, hi, Access.READ, set, true);
  }

  /** Tells instrumented code which guest pages the bytes in `SLOW_DATA` belong to; -1: none that is memory. */
  #note(pageA: number, pageB: number): void {
    this.s.i32[L.SLOW_PAGE_A >> 2] = pageA;
    this.s.i32[L.SLOW_PAGE_B >> 2] = pageB;
  }

  /**
   * Notes an access inside one page to a watched place.
   * @returns true: it must be executed by itself first, for its exact instruction count
   */
  #watches(lo: number, hi: number, page: number, size: number, write: boolean, flags = 0): boolean {
    if (flags & SlowFlag.PROBE) return false;
    const watch = this.watch!, la = hi * TWO32 + (lo >>> 0), gpa = page * PAGE_SIZE + (lo & 0xfff);
    const rmw = (flags & SlowFlag.RMW) !== 0;
    if (!watch.concerns(la, gpa, size, write, rmw)) return false;
    if (!watch.pass && this.s.i32[L.ALONE >> 2] === 0) return true;
    watch.note(la, gpa, size, write, rmw);
    return false;
  }

  /** The same for both parts of an access that crosses pages, as `#resolveBoth` left them. */
  #watchesBoth(size: number, write: boolean, flags = 0): boolean {
    const first = this.#first, a = this.#linear, b = this.#linearB;
    return this.#watches(a | 0, Math.floor(a / TWO32), this.#pageA, first, write, flags) ||
      this.#watches(b | 0, Math.floor(b / TWO32), this.#pageB, size - first, write, flags);
  }

  #refuse(unresolved: number): number {
    return this.#leave(unresolved === Unresolved.FAULT ? Leave.FAULT : Leave.ALONE);
  }

  #fault(vector: number): number {
    this.s.i32[L.FAULT_VECTOR >> 2] = vector;
    this.s.i32[L.FAULT_ERROR >> 2] = 0;
    return this.#leave(Leave.FAULT);
  }

  #notCanonical(flags: number): number {
    return this.#fault(flags & SlowFlag.STACK ? Vec.SS : Vec.GP);
  }

  /**
   * #AC(0) for user data that is not aligned to its size, looked at before the translation (as processors do);
   * 16-byte operands have their own rules elsewhere.
   */
  #misaligned(lo: number, size: number, flags: number): boolean {
    if (!this.checksAlignment || flags & SlowFlag.SUPERVISOR || size > 8 || (lo & (size - 1)) === 0) {
      return false;
    }
    this.#fault(Vec.AC);
    return true;
  }

  /**
   * True when a store would change decoded code under running generated code. Code of another page may change at any time:
   * whoever goes there looks first.
   */
  #mustLeave(page: number, offset: number, length: number): boolean {
    const { mem } = this;
    if (this.s.i32[L.ALONE >> 2] !== 0 || !mem.code[page]) return false;
    if (mem.codeOverlaps !== null && !mem.codeOverlaps(page, offset, length)) return false;
    const here = this.executingPage();
    return here < 0 || here === page;
  }

  /** Reads bytes without backing into `SLOW_DATA`, four at a time. */
  #readMmio(page: number, lo: number, hi: number, size: number): void {
    const gpa = page * PAGE_SIZE + (lo & 0xfff), linear = hi * TWO32 + (lo >>> 0), step = Math.min(size, 4);
    const { view, u8 } = this.mem;
    for (let i = 0; i < size; i += step) {
      const value = this.hooks.mmioRead(gpa + i, step, linear + i), at = L.SLOW_DATA + i;
      if (step === 4) view.setUint32(at, value, true);
      else if (step === 2) view.setUint16(at, value, true);
      else u8[at] = value;
    }
  }

  #mmioStore(page: number, lo: number, hi: number, size: number, flags: number): number {
    if (this.s.i32[L.ALONE >> 2] === 0) return this.#leave(Leave.ALONE);
    if (this.watch !== null) this.#watches(lo, hi, page, size, true, flags);
    this.#note(-1, -1);
    if (flags & SlowFlag.RMW) this.#readMmio(page, lo, hi, size);
    this.#pageA = page;
    this.#linear = hi * TWO32 + (lo >>> 0);
    this.#first = this.#size = size;
    return L.SLOW_DATA;
  }

  /** ROM ignores writes: the bytes go nowhere. */
  #romStore(host: number, size: number): number {
    const { u8 } = this.mem, from = host >>> 0;
    for (let i = 0; i < size; i++) u8[L.SLOW_DATA + i] = u8[from + i];
    this.#size = 0;
    this.#note(-1, -1);
    return L.SLOW_DATA;
  }

  /** Translates both pages of an access that crosses into the next one; false: see `LEAVE`. */
  #resolveBoth(size: number, flags: number, set: number, access: number, lo: number, hi: number): boolean {
    const lo2 = ((lo | 0xfff) + 1) | 0, hi2 = lo2 === 0 && this.s.code64 ? (hi + 1) | 0 : hi;
    if (this.#misaligned(lo, size, flags)) return false;
    if (hi2 >> 15 !== hi2 >> 31) {
      this.#notCanonical(flags);
      return false;
    }
    const a = this.resolveCached(lo, hi, access, set, true);
    if (a < 0) {
      this.#refuse(a);
      return false;
    }
    const b = this.resolveCached(lo2, hi2, access, set, true);
    if (b < 0) {
      this.#refuse(b);
      return false;
    }
    const { hostPage } = this.mem;
    const backed = a < 1 << 20 && b < 1 << 20 && hostPage[a] !== 0 && hostPage[b] !== 0;
    if (!backed && this.s.i32[L.ALONE >> 2] === 0) {
      this.#leave(Leave.ALONE);
      return false;
    }
    this.#first = PAGE_SIZE - (lo & 0xfff);
    this.#pageA = a;
    this.#pageB = b;
    this.#linear = hi * TWO32 + (lo >>> 0);
    this.#linearB = hi2 * TWO32 + (lo2 >>> 0);
    return true;
  }

  /** Gathers the bytes of the two pages in `SLOW_DATA`. */
  #gather(size: number): void {
    const first = this.#first, { u8 } = this.mem;
    for (let i = 0; i < size; i++) {
      const gpa = i < first
        ? this.#pageA * PAGE_SIZE + (this.#linear & 0xfff) + i
        : this.#pageB * PAGE_SIZE + i - first;
      const h = this.mem.host(gpa);
      const linear = i < first ? this.#linear + i : this.#linearB + i - first;
      u8[L.SLOW_DATA + i] = h >= 0 ? u8[h] : this.hooks.mmioRead(gpa, 1, linear);
    }
  }

  #crossLoad(size: number, flags: number, set: number, lo: number, hi: number): number {
    if (!this.#resolveBoth(size, flags, set, Access.READ, lo, hi)) return 0;
    if (this.watch !== null && this.#watchesBoth(size, false)) return this.#leave(Leave.WATCH);
    this.#gather(size);
    this.#noteBoth(false);
    return L.SLOW_DATA;
  }

  /** `#note` for the pages that `#resolveBoth` left. */
  #noteBoth(write: boolean): void {
    const { mem } = this,
      memory = (page: number): number =>
        page < 1 << 20 && mem.hostPage[page] !== 0 && !(write && mem.rom[page]) ? page : -1;
    this.#note(memory(this.#pageA), memory(this.#pageB));
  }

  #crossStore(size: number, flags: number, set: number, lo: number, hi: number): number {
    if (!this.#resolveBoth(size, flags, set, Access.WRITE, lo, hi)) return 0;
    const first = this.#first;
    if (this.#mustLeave(this.#pageA, lo & 0xfff, first) || this.#mustLeave(this.#pageB, 0, size - first)) {
      return this.#leave(Leave.ALONE);
    }
    if (this.watch !== null && this.#watchesBoth(size, true, flags)) return this.#leave(Leave.WATCH);
    if (flags & SlowFlag.RMW) this.#gather(size);
    this.#noteBoth(true);
    this.#size = size;
    return L.SLOW_DATA;
  }
}
