/**
 * What may look on when guest memory is accessed. Nothing of it is visible to the guest, in exits or in hashes.
 *
 * @module
 */

/** Who accessed guest memory. */
export const Accessor = {
  /** An instruction. */
  CPU: 0,
  /** The delivery of an exception or interrupt: tables read, frames pushed. */
  EVENT: 1,
  /** A page walk that set accessed or dirty flags. */
  WALK: 2,
  /** The hypervisor, or a device by DMA. */
  HYPERVISOR: 3,
  /** An input from outside: an injected fault. */
  INPUT: 4,
} as const;

/** Accesses to some places, which generated code then makes through the slow paths. */
export interface Watch {
  /** Linear page numbers, and guest-physical ones, whose accesses take the slow paths. */
  readonly pages: ReadonlySet<number>;
  readonly frames: ReadonlySet<number>;
  /** The instruction in hand runs alone and has been charged: its accesses are noted, and happen. */
  pass: boolean;
  /**
   * True when an access is to be noted. It lies in one page.
   * @param la linear address  @param gpa guest-physical address  @param rmw a write that reads first
   */
  concerns(la: number, gpa: number, size: number, write: boolean, rmw: boolean): boolean;
  /** Notes an access that is about to happen. */
  note(la: number, gpa: number, size: number, write: boolean, rmw: boolean): void;
}

/** Told of every access to backed guest memory that generated code does not make. */
export interface AccessObserver {
  /** An access by linear address inside one page; the bytes of a write are in place when anything else happens. */
  access(write: boolean, la: number, gpa: number, size: number): void;
  /** A page walk sets flags in a page-table entry. */
  walked(gpa: number, size: number): void;
}
