/**
 * Why generated code returned to the dispatcher: values of the `LEAVE` state word.
 *
 * @module
 */

/** Values of the `LEAVE` state word. */
export const Leave = {
  /** It did not: nothing to do. */
  NONE: 0,
  /** The next record is not known: look RIP up. */
  LOOKUP: 1,
  /** A fault is pending in `FAULT_VECTOR`, `FAULT_ERROR`, `FAULT_ADDR`. */
  FAULT: 2,
  /** The instruction must be executed again, alone in its block (MMIO, or it rewrites decoded code). */
  ALONE: 3,
  /** A system operation is to be called. */
  SYS: 4,
  /** The instruction budget is used up. */
  BUDGET: 5,
  /** The run is to stop. */
  STOP: 6,
  /** The block at `LEAVE_REC` has become hot; nothing of it has run. */
  HOT: 7,
  /** The instruction touches a watchpoint: it must be executed again by itself. */
  WATCH: 8,
  /** Not to the dispatcher: compiled code must go on with the interpreter at the same record. */
  RETRY: 9,
} as const;
