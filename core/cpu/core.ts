/**
 * The processor core as its TypeScript half sees it: implemented by `Cpu`, used by `system/` and `x87/`.
 *
 * @module
 */
import type { Mmu } from "../mmu/mmu.ts";
import type { CpuidPolicy } from "./cpuid.ts";
import type { CpuHooks } from "./hooks.ts";
import type { CpuState } from "./state.ts";

/**
 * Values of the state word `INT_SHADOW`: after STI, external interrupts wait for one instruction; after MOV SS or POP SS
 * debug exceptions wait, too (SDM volume 3, 6.8.3).
 */
export const STI_SHADOW = 1, STACK_SHADOW = 2;

/** Bits of the word `WAITING`: while it is 0, no instruction boundary can deliver anything. */
export const Waiting = {
  /** @see Cpu.interruptCheck */
  CHECK: 1,
  NMI: 2,
  NMI_BLOCKED: 4,
} as const;

/**
 * Bits of the word `DIRECT`: generated code may execute these without asking `CpuHooks.intercept` (or `tsc`). SYSRET: as
 * AMD's processors execute it.
 */
export const Direct = { RDTSC: 1, PAUSE: 2, IRET: 4, SWINT: 8, SYSRET: 16 } as const;

/** What system operations may use. */
export interface Core {
  readonly s: CpuState;
  readonly mmu: Mmu;
  readonly hooks: CpuHooks;
  readonly policy: CpuidPolicy;
  /** HLT (or MWAIT) executed and not yet woken. */
  halted: boolean;
  /** DR6 bits of a #DB trap to deliver after the current instruction (data breakpoints, TSS T flag, ICEBP none). */
  pendingDb: number;
  /** NMIs are blocked until the next IRET. */
  nmiBlocked: boolean;
  /** Results of an MSR read hook. */
  msrLo: number;
  msrHi: number;
  /**
   * Must be called after changing CS, SS, DS, ES, CR0, CR4, EFER, CPL, EFLAGS.VM or EFLAGS.AC: recomputes the decoding
   * mode, `TLB_BASE` and `JC_BASE`. Does not flush the TLB.
   */
  updateMode(): void;
}
