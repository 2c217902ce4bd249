/**
 * What waits to be delivered to the processor. The bits lie in the WebAssembly memory, where generated code sees them.
 *
 * @module
 */
import * as L from "../layout.ts";
import { Waiting } from "./core.ts";
import { type CpuState, Fl } from "./state.ts";

const WAIT = L.WAITING >> 2;

/** The events that wait for one processor, and whether it would take them. */
export class WaitingEvents {
  constructor(readonly s: CpuState) {}

  /** Set when `hooks.interruptAck` may have something. */
  get interruptCheck(): boolean {
    return this.#waits(Waiting.CHECK);
  }
  set interruptCheck(on: boolean) {
    this.#setWaits(Waiting.CHECK, on);
  }
  /** A non-maskable interrupt has come. */
  get nmiPending(): boolean {
    return this.#waits(Waiting.NMI);
  }
  set nmiPending(on: boolean) {
    this.#setWaits(Waiting.NMI, on);
  }
  /** The handler of a non-maskable interrupt runs: the next one waits for IRET (SDM volume 3, 6.7.1). */
  get nmiBlocked(): boolean {
    return this.#waits(Waiting.NMI_BLOCKED);
  }
  set nmiBlocked(on: boolean) {
    this.#setWaits(Waiting.NMI_BLOCKED, on);
  }
  #waits(bit: number): boolean {
    return (this.s.i32[WAIT] & bit) !== 0;
  }
  #setWaits(bit: number, on: boolean): void {
    this.s.i32[WAIT] = on ? this.s.i32[WAIT] | bit : this.s.i32[WAIT] & ~bit;
  }

  /** True when external interrupts would be taken now. */
  get interruptible(): boolean {
    return (this.s.u32[L.FLAGS >> 2] & Fl.IF) !== 0 && this.s.i32[L.INT_SHADOW >> 2] === 0;
  }
}
