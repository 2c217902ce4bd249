/**
 * Why the processor stopped, and the clock it counts on.
 *
 * @module
 */

/** Why `Cpu.run` returned. */
export const Stopped = {
  /** The instruction count reached the limit. */
  LIMIT: 0,
  /** Halted, and no interrupt is deliverable. */
  HALTED: 1,
  /** Triple fault. */
  SHUTDOWN: 2,
  /** Somebody called `requestReturn`. */
  ASKED: 3,
  /** A debugger's breakpoint or watchpoint: see `Cpu.debug`. */
  DEBUG: 4,
} as const;

/** Where the instruction count lives: the machine's clock. */
export interface Counter {
  icount: number;
  /** @see Clock.skippedNs */
  readonly skippedNs: number;
}
