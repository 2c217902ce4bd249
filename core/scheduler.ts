/**
 * Which vCPU runs: round robin by instruction count, with a recorded seed that may jitter the turns.
 *
 * @module
 */
import type { Json } from "./bus.ts";
import type { VcpuSet } from "./vcpus.ts";

/** Deterministic round robin. */
export class Scheduler {
  /** Instructions left of the current turn. */
  left: number;
  #random: number;

  /**
   * @param quantum instructions per turn
   * @param seed 0: turns are equal; else they vary by up to half a quantum, from this seed
   */
  constructor(readonly quantum: number, readonly seed: number) {
    this.#random = seed | 0;
    this.left = this.#turn();
  }

  /** xorshift32 (Marsaglia 2003). */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (this.#random = x | 0) >>> 0;
  }

  #turn(): number {
    if (this.seed === 0) return this.quantum;
    return Math.max(1, this.quantum - (this.quantum >> 2) + this.#next() % Math.max(1, this.quantum >> 1));
  }

  /** Number of the vCPU to run next: the current one until its turn is over; -1 when none can run. */
  pick(set: VcpuSet): number {
    const n = set.all.length;
    // A single vCPU has no turns: a new one at every slice would show where the host slices.
    if (n === 1) return set.runnable(set.current) ? set.active : -1;
    if (this.left > 0 && set.runnable(set.current)) return set.active;
    for (let i = 1; i <= n; i++) {
      const id = (set.active + i) % n;
      if (set.runnable(set.all[id])) {
        this.left = this.#turn();
        return id;
      }
    }
    return -1;
  }

  /** Accounts for retired instructions. */
  ran(instructions: number): void {
    this.left -= instructions;
  }

  /** The current vCPU gives up the rest of its turn. */
  giveUp(): void {
    this.left = 0;
  }

  save(): Json {
    return { left: this.left, random: this.#random };
  }
  load(j: Json): void {
    const o = j as { left: number; random: number };
    this.left = o.left;
    this.#random = o.random;
  }
}
