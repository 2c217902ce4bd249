/**
 * What the processor asks of the machine around it. The processor knows neither devices nor Xen.
 *
 * @module
 */

/** Results of CPUID. */
export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** Implemented by the machine; called by the processor at instruction boundaries with exact icount and RIP. */
export interface CpuHooks {
  /** Port input; `size` 1, 2 or 4. `str` and `rep` say whether it was INS, and under REP. */
  portIn(port: number, size: number, str: boolean, rep: boolean): number;
  portOut(port: number, size: number, value: number, str: boolean, rep: boolean): void;
  /** Access to guest-physical memory that has no backing; `size` 1, 2, 4 (8 and more are split, low first). */
  mmioRead(gpa: number, size: number, linear: number): number;
  mmioWrite(gpa: number, size: number, value: number, linear: number): void;
  /** CPUID as the guest sees it (dynamic bits such as OSXSAVE included). Called for the CPUID instruction. */
  cpuid(leaf: number, subleaf: number): CpuidResult;
  /**
   * MSRs. The hook may look at and handle any MSR first; return `false` for "not mine": the processor then does
   * its own (EFER, STAR, FS base, ...) or raises #GP. A `read` answers through `state.setMsrResult(lo, hi)`.
   * Throw `GuestFault` to inject a fault.
   */
  msrRead(msr: number): boolean;
  msrWrite(msr: number, lo: number, hi: number): boolean;
  /** VMMCALL (`vmcall` false) or VMCALL (true): hypercall. Return false to raise #UD. */
  vmmcall(vmcall: boolean): boolean;
  /** HLT was executed; the processor is already marked halted. */
  hlt(): void;
  /** Time-stamp counter, in cycles, as a non-negative safe integer. */
  tsc(): number;
  /**
   * An intercept point for anything else (CR, DR, INVLPG, WBINVD, IRET, exceptions, ...): `reason` is an SVM exit
   * code. `info1`, `info2` are EXITINFO as safe integers. The machine records it if it is configured to.
   */
  intercept(reason: number, info1: number, info2: number): void;
  /** A fault or trap is about to be delivered to the guest. `error` is -1 when the vector has no error code. */
  exception(vector: number, error: number): void;
  /** An interrupt may be pending and cannot be taken now (IF clear or shadow): its delivery will need a window. */
  interruptBlocked(): void;
  /** Vector of the highest-priority interrupt that is deliverable now, acknowledged; -1 when there is none. */
  interruptAck(): number;
  /** CR8/TPR as the local APIC keeps it (0-15). */
  readTpr(): number;
  writeTpr(value: number): void;
  /**
   * An unmasked x87 exception is pending and CR0.NE is clear: FERR# is asserted (IRQ 13 on a PC). True: the
   * instruction waits for that interrupt; false (or no hook): it goes on, as with IGNNE# asserted.
   */
  fpuError?(): boolean;
  /** Something that this build does not implement was reached; the run ends. `what` names it. */
  unimplemented(what: string): void;
}

/**
 * A fault raised while TypeScript executes an instruction. Thrown as a preallocated object by `raise`, caught by the
 * dispatcher, never seen outside `core/`.
 */
export class GuestFault {
  vector = 0;
  /** Error code, or -1 when the vector pushes none. */
  error = -1;
  /**
   * The fault belongs to the RIP now in the state, not to the start of the instruction in hand: a task switch was
   * past its point of no return. The dispatcher then leaves RIP alone before it delivers.
   */
  keepRip = false;
}

const theFault = new GuestFault();

/** Raises a fault at the current instruction. For #PF, CR2 must have been stored in `FAULT_ADDR` by the caller. */
export function raise(vector: number, error = -1): never {
  theFault.vector = vector;
  theFault.error = error;
  theFault.keepRip = false;
  throw theFault;
}

/** Exception vectors (Intel SDM volume 3, table 6-1). */
export const Vec = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;
