/**
 * Flags of the slow paths for memory that generated code calls (`Mmu.slowLoad`, `Mmu.slowStore`).
 *
 * @module
 */

/** Flags of `slowLoad` and `slowStore`. */
export const SlowFlag = {
  /** Store of a read-modify-write: the current data must be readable at the offset. */
  RMW: 1,
  /** Access through SS: #SS instead of #GP for an address that is not canonical. */
  STACK: 2,
  /** Implicit supervisor access whatever the CPL. */
  SUPERVISOR: 4,
  /** Called from compiled code, which keeps translations: it must be left when a TLB entry is lost (`Leave.RETRY`). */
  COMPILED: 8,
  /** Nothing is stored: it is only found out whether it could be. */
  PROBE: 16,
} as const;
