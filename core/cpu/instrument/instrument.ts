/**
 * What may look on at execution, in place of the plain engines: an instrumented interpreter made from the same
 * semantics. Nothing of it is visible to the guest, in instruction counts, exits or hashes.
 *
 * @module
 */
import type { EventKind } from "../system/exceptions.ts";

/** An instrumented interpreter and what it tells; for `Cpu.setInstrument`. */
export interface Instrument {
  /** Most instructions it may run at once. */
  readonly slice: number;
  /** Where the records of decoded blocks must end. */
  readonly codeEnd: number;
  /**
   * Runs generated code from a record.
   * @param budget instructions left, the first block paid for  @param horizon instruction count at budget 0
   */
  run(rec: number, budget: number, horizon: number): void;
  /** The instruction at this count will be executed again by itself: what it has told is void. */
  undo(icount: number): void;
  /** A record was made from bytes at `from[at]`. */
  decoded(rec: number, from: Uint8Array, at: number, length: number): void;
  /** The system operation of a record was executed; RIP is where it leads. */
  executed(rec: number, op: string): void;
  /** An exception or interrupt has entered its handler; `from` is RIP before. */
  delivered(vector: number, kind: EventKind, from: number): void;
}
