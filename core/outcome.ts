/**
 * How a run ended.
 *
 * @module
 */

/** Kinds of ending. */
export type OutcomeKind =
  | "poweroff"
  | "reboot"
  | "crash"
  | "suspend"
  | "watchdog"
  | "exit" // debug exit port
  | "halted" // interrupts off, nothing armed: can never wake
  | "triple-fault"
  | "instruction-limit"
  | "host-stop"
  | "unimplemented"
  | "idle"; // waiting for input that will never come

/** How a run ended, with one sentence for people. */
export interface Outcome {
  /** Kind of ending. */
  kind: OutcomeKind;
  /** One sentence: what, where (icount, RIP), what to do next. */
  message: string;
  /** Guest-given code (debug exit port, shutdown reason), when there is one. */
  code?: number;
}

/** True when the guest ended its run of its own accord and well. */
export function isSuccess(o: Outcome): boolean {
  if (o.kind === "exit") return (o.code ?? 0) === 0;
  return o.kind === "poweroff" || o.kind === "reboot" || o.kind === "suspend" || o.kind === "idle";
}
