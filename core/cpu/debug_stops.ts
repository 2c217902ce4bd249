/**
 * Where a debugger wants the processor to stop. Nothing of it is visible to the guest, in exits or in hashes.
 *
 * @module
 */
import { PAGE_SIZE } from "../mmu/physmem.ts";
import { DataWatch, type WatchHit, type Watchpoint } from "../mmu/watch.ts";
import type { Mmu } from "../mmu/mmu.ts";
import type { CodeCache } from "./code_cache.ts";
import { type CpuState, Seg } from "./state.ts";

/** Why and where the processor stopped. */
export interface DebugStop {
  /** Instructions retired. */
  icount: number;
  /** Linear address of the next instruction. */
  address: number;
  /** The watchpoint hit; null: a breakpoint is at `address`. */
  watch: WatchHit | null;
}

/** Splits that are no longer breakpoints are kept, up to this many: debuggers take breakpoints out at every stop. */
const OLD_SPLITS_MAX = 64;

/** Breakpoints and watchpoints of one processor; `Cpu.debug` holds it while a debugger is attached. */
export class DebugStops {
  /** Linear addresses at which decoded blocks end: breakpoints, and former ones. */
  readonly splits: Set<number> = new Set();
  /** Why the last run stopped; the caller clears it before the next. */
  stop: DebugStop | null = null;
  readonly watch: DataWatch;
  /** icount at which a handler was entered last: at the same icount, the processor may be behind that. */
  enteredIcount = -1;
  /** Asked at a breakpoint, when set: false goes on as if there were none. */
  condition: ((address: number) => boolean) | null = null;
  #breakpoints: ReadonlySet<number> = new Set();
  #skipIcount = -1;
  #skipAddress = 0;

  constructor(
    readonly s: CpuState,
    readonly mmu: Mmu,
    readonly code: CodeCache,
    readonly counter: { icount: number },
  ) {
    this.watch = new DataWatch(() => counter.icount, (address, length) => this.peek(address, length));
    // What was decoded before is not known by linear address.
    code.clear();
    code.splits = this.splits;
  }

  /** Sets all breakpoints (linear addresses) and watchpoints. */
  set(breakpoints: ReadonlySet<number>, watchpoints: readonly Watchpoint[]): void {
    this.#breakpoints = breakpoints;
    if (this.splits.size > breakpoints.size + OLD_SPLITS_MAX) this.splits.clear();
    for (const b of breakpoints) {
      if (this.splits.has(b)) continue;
      this.splits.add(b);
      this.code.dropLinear(b);
    }
    this.watch.set(watchpoints);
    this.mmu.setWatch(watchpoints.length > 0 ? this.watch : null);
  }

  /** Lets the run that follows start at a breakpoint without stopping there. */
  skipHere(): void {
    this.#skipIcount = this.counter.icount;
    this.#skipAddress = this.address();
  }

  /** Stops even at the breakpoint where the run starts. */
  skipNothing(): void {
    this.#skipIcount = -1;
  }

  /** Linear address of the next instruction. */
  address(): number {
    const { s } = this;
    if (s.code64) return s.rip;
    return (s.segBase(Seg.CS) + s.rip % 0x1_0000_0000) % 0x1_0000_0000;
  }

  /** Asked before every block: notes a stop. */
  due(): boolean {
    if (this.stop !== null) return true;
    const address = this.address(), { icount } = this.counter;
    const watch = this.watch.hits.length > 0 ? this.watch.take() : null;
    if (watch === null) {
      if (!this.#breakpoints.has(address)) return false;
      if (icount === this.#skipIcount && address === this.#skipAddress) return false;
      if (this.condition !== null && !this.condition(address)) return false;
    }
    this.stop = { icount, address, watch };
    return true;
  }

  /** Asked when the processor has returned for another reason. */
  settle(): void {
    if (this.stop !== null || this.watch.hits.length === 0) return;
    const watch = this.watch.take();
    if (watch !== null) this.stop = { icount: this.counter.icount, address: this.address(), watch };
  }

  /** Linear memory without side effect; what is not mapped or not backed reads as 0. */
  peek(address: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length;) {
      const n = Math.min(length - i, PAGE_SIZE - (((address + i) % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE);
      const gpa = this.mmu.tryTranslate(address + i), h = gpa < 0 ? -1 : this.mmu.mem.host(gpa);
      if (h >= 0) out.set(this.mmu.mem.u8.subarray(h, h + n), i);
      i += n;
    }
    return out;
  }
}
