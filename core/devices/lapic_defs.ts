/**
 * Names and numbers of the local APIC.
 *
 * Source: Intel SDM volume 3, chapter 11 "Advanced Programmable Interrupt Controller" (registers: table 11-1, x2APIC
 * MSRs: table 11-6); AMD APM volume 2, chapter 16.
 *
 * @module
 */

/** Guest-physical address of the register page (the only one supported). */
export const LAPIC_BASE = 0xfee0_0000;

/** Model-specific registers. */
export const MSR_APIC_BASE = 0x1b,
  MSR_TSC_DEADLINE = 0x6e0,
  MSR_X2APIC_FIRST = 0x800,
  MSR_X2APIC_LAST = 0x8ff;

/** Bits of IA32_APIC_BASE. */
export const APIC_BASE_BSP = 0x100, APIC_BASE_X2APIC = 0x400, APIC_BASE_ENABLE = 0x800;

/** Register numbers: MMIO offset >> 4, and x2APIC MSR - 0x800. */
export const Reg = {
  ID: 0x02,
  VERSION: 0x03,
  TPR: 0x08,
  APR: 0x09,
  PPR: 0x0a,
  EOI: 0x0b,
  RRD: 0x0c,
  LDR: 0x0d,
  DFR: 0x0e,
  SVR: 0x0f,
  ISR: 0x10,
  TMR: 0x18,
  IRR: 0x20,
  ESR: 0x28,
  ICR: 0x30,
  ICR_HIGH: 0x31,
  LVT_TIMER: 0x32,
  LVT_THERMAL: 0x33,
  LVT_PERF: 0x34,
  LVT_LINT0: 0x35,
  LVT_LINT1: 0x36,
  LVT_ERROR: 0x37,
  TIMER_INITIAL: 0x38,
  TIMER_CURRENT: 0x39,
  TIMER_DIVIDE: 0x3e,
  SELF_IPI: 0x3f,
} as const;

/** Delivery modes (ICR, LVT and IO-APIC entries alike). */
export const Delivery = {
  FIXED: 0,
  LOWEST: 1,
  SMI: 2,
  NMI: 4,
  INIT: 5,
  STARTUP: 6,
  EXTINT: 7,
} as const;

/** Mask bit of a local vector table entry. */
export const LVT_MASKED = 0x10000;

/** Bits of the error status register. */
export const ESR_SEND_ILLEGAL = 0x20, ESR_RECEIVE_ILLEGAL = 0x40, ESR_ILLEGAL_REGISTER = 0x80;

/** What became of an MSR access: not one of ours, done, or #GP(0). */
export const MsrAccess = { NOT_MINE: 0, DONE: 1, FAULT: 2 } as const;
/** One of `MsrAccess`. */
export type MsrAccess = (typeof MsrAccess)[keyof typeof MsrAccess];

/** Who raised an interrupt; the names of the `interrupts` table's `source` column. */
export type InterruptSource =
  | "pic"
  | "lapic-timer"
  | "lapic-lint"
  | "lapic-error"
  | "ioapic"
  | "ipi"
  | "evtchn"
  | "spurious"
  | "device";

/** The machine's side: signals that are not interrupt vectors. */
export interface ApicSignals {
  /** Non-maskable interrupt for a vCPU. */
  nmi(vcpu: number): void;
  /** INIT: the vCPU resets and waits for a start-up IPI. Its local APIC has been reset already. */
  init(vcpu: number): void;
  /** Start-up IPI: a vCPU that waits for one starts in real mode at `vector << 12`. */
  startup(vcpu: number, vector: number): void;
}

/** An interrupt message on its way to local APICs. */
export interface ApicMessage {
  /** One of `Delivery`. */
  mode: number;
  vector: number;
  /** Level-triggered: its EOI is broadcast. */
  level: boolean;
  /** Destination is logical, not an APIC ID. */
  logical: boolean;
  dest: number;
  /** `dest` is the 8-bit form of IO-APICs, MSIs and xAPICs (0xff is everybody); otherwise 32-bit x2APIC. */
  dest8: boolean;
  source: InterruptSource;
}
