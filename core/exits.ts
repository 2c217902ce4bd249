/**
 * The one door out: every guest→hypervisor transition is one `ExitEvent` with one reason vocabulary.
 *
 * Reasons are SVM exit codes (AMD APM volume 2, appendix C "SVM Intercept Exit Codes"); our own start at 0x10000.
 *
 * @module
 */

/** Exit reason codes by name. CR/DR/exception families are computed: `CR0_READ + n`. */
export const Reason = {
  CR0_READ: 0x000,
  CR0_WRITE: 0x010,
  DR0_READ: 0x020,
  DR0_WRITE: 0x030,
  EXCEPTION_0: 0x040,
  INTR: 0x060,
  NMI: 0x061,
  VINTR: 0x064,
  RDTSC: 0x06e,
  RDPMC: 0x06f,
  PUSHF: 0x070,
  CPUID: 0x072,
  IRET: 0x074,
  SWINT: 0x075,
  INVD: 0x076,
  PAUSE: 0x077,
  HLT: 0x078,
  INVLPG: 0x079,
  INVLPGA: 0x07a,
  IOIO: 0x07b,
  MSR: 0x07c,
  TASK_SWITCH: 0x07d,
  SHUTDOWN: 0x07f,
  VMRUN: 0x080,
  VMMCALL: 0x081,
  VMLOAD: 0x082,
  VMSAVE: 0x083,
  STGI: 0x084,
  CLGI: 0x085,
  SKINIT: 0x086,
  RDTSCP: 0x087,
  ICEBP: 0x088,
  WBINVD: 0x089,
  MONITOR: 0x08a,
  MWAIT: 0x08b,
  XSETBV: 0x08d,
  NPF: 0x400,
  UNIMPLEMENTED: 0x10000,
  INSTRUCTION_LIMIT: 0x10001,
  HOST_STOP: 0x10002,
} as const;

/** Name of a reason code as Xen and `xenalyze --svm-mode` print it, with our own under their bare names. */
export function reasonName(code: number): string {
  if (code < 0x10) return `VMEXIT_CR${code}_READ`;
  if (code < 0x20) return `VMEXIT_CR${code - 0x10}_WRITE`;
  if (code < 0x30) return `VMEXIT_DR${code - 0x20}_READ`;
  if (code < 0x40) return `VMEXIT_DR${code - 0x30}_WRITE`;
  if (code < 0x60) return `VMEXIT_EXCEPTION_${EXCEPTION_NAMES[code - 0x40] ?? (code - 0x40).toString(16)}`;
  for (const [name, value] of Object.entries(Reason)) {
    if (value === code) return code >= 0x10000 ? name : `VMEXIT_${name}`;
  }
  return `VMEXIT_0x${code.toString(16)}`;
}

const EXCEPTION_NAMES = [
  "DE",
  "DB",
  "NMI",
  "BP",
  "OF",
  "BR",
  "UD",
  "NM",
  "DF",
  "09",
  "TS",
  "NP",
  "SS",
  "GP",
  "PF",
  "15",
  "MF",
  "AC",
  "MC",
  "XF",
  "20",
  "CP",
];

/** Processor mode at an exit; indexes of the `mode` column's dictionary. */
export const MODE_NAMES = ["real", "prot16", "prot32", "compat", "long"] as const;

/**
 * 64-bit columns of an `ExitEvent`; each occupies two words (low, high) of `ExitEvent.words`.
 *
 * `info1`, `info2` are EXITINFO1/2 (AMD APM volume 2, 15.10-15.12 and appendix C). What `arg0`-`arg2` and `result` carry,
 * where they apply (the views in `analysis/views` read them so):
 *
 * | reason | arg0 | arg1 | arg2 | result |
 * |---|---|---|---|---|
 * | IOIO | value written (OUT) | RCX before (REP; each element exits) | | value read (IN) |
 * | MSR | ECX | value written | | value read |
 * | CPUID | leaf | subleaf | ECX + EDX * 2^32 out | EAX + EBX * 2^32 out |
 * | NPF (MMIO) | value written | size in bytes | | value read |
 * | CRn, DRn | value written | | | value read |
 * | VMMCALL | hypercall number | first argument | second argument | result |
 * | RDTSC, RDTSCP | | | | value read |
 * | XSETBV | ECX | value written | | |
 *
 * An NPF also fills `gpa` and, when known, `gla`; EXCEPTION_PF fills `gla` with CR2. `injected_vector` and `error_code`
 * tell what the guest got: an exception raised by the exit (an MSR access that ends in #GP, for instance).
 */
export const Col = {
  info1: 0,
  info2: 1,
  rip: 2,
  cr3: 3,
  gpa: 4,
  gla: 5,
  arg0: 6,
  arg1: 7,
  arg2: 8,
  result: 9,
} as const;
/** Number of 64-bit columns. */
export const COLS = 10;

/** One guest→hypervisor transition. One object is reused for all exits: observers must copy what they keep. */
export class ExitEvent {
  /** Position in the run, from 0. */
  seq = 0;
  /** Instructions retired before the exit. */
  icount = 0;
  /** Virtual nanoseconds since start. */
  timeNs = 0;
  /** Domain number. */
  domid = 1;
  /** Virtual processor. */
  vcpu = 0;
  /** One of `Reason` (or a computed CR/DR/exception code). */
  reason = 0;
  /** Selector in CS. */
  cs = 0;
  /** Privilege level. */
  cpl = 0;
  /** Index into `MODE_NAMES`. */
  mode = 0;
  /** Injected vector, error code: -1 when the column does not apply. */
  injectedVector: number = -1;
  /** Its error code; -1: none. */
  errorCode: number = -1;
  /** 64-bit columns, two words each, indexed by `Col`. */
  readonly words: Uint32Array = new Uint32Array(COLS * 2);
  /** Bit n set: column n applies (is not null). */
  present = 0;

  /** Clears what is optional, before filling the event in. */
  reset(): void {
    this.present = 0;
    const { words } = this;
    for (let i = 0; i < words.length; i++) words[i] = 0;
    this.injectedVector = -1;
    this.errorCode = -1;
  }

  /** Sets a 64-bit column from two 32-bit words. */
  set(col: number, lo: number, hi: number): void {
    this.words[col * 2] = lo;
    this.words[col * 2 + 1] = hi;
    this.present |= 1 << col;
  }

  /** Sets a 64-bit column from a safe integer (negative ones are sign-extended). */
  setNumber(col: number, value: number): void {
    this.set(col, value >>> 0, Math.floor(value / 0x1_0000_0000) >>> 0);
  }

  /** Reads a column as an unsigned BigInt (for display and tests, not for the hot path). */
  get(col: number): bigint | null {
    if (!(this.present >>> col & 1)) return null;
    return BigInt(this.words[col * 2]) | BigInt(this.words[col * 2 + 1]) << 32n;
  }
}

/** One hypercall, or one entry of a multicall. */
export interface HypercallEvent {
  /** `seq` of the exit it belongs to. */
  seq: number;
  /** `seq` of the enclosing multicall's exit, or -1. */
  parentSeq: number;
  /** Instructions retired before it. */
  icount: number;
  /** Virtual processor. */
  vcpu: number;
  /** Hypercall number. */
  nr: number;
  /** Name of the hypercall. */
  name: string;
  /** Sub-operation number, or -1. */
  subop: number;
  /** Name of the sub-operation, or null. */
  subopName: string | null;
  /** Up to six arguments. */
  args: bigint[];
  /** Result as the guest sees it (signed). */
  result: bigint;
  /** e.g. "EINVAL" when the result is an error. */
  errnoName: string | null;
  /** Bytes the call read or wrote, bounded to 256; null when none. */
  buffer: Uint8Array | null;
}

/** One delivered interrupt or event-channel upcall. */
export interface InterruptEvent {
  /** Instructions retired before it. */
  icount: number;
  /** Virtual nanoseconds since start. */
  timeNs: number;
  /** Virtual processor. */
  vcpu: number;
  /** Interrupt vector. */
  vector: number;
  /** e.g. "pic", "lapic-timer", "ioapic", "ipi", "evtchn", "nmi". */
  source: string;
  /** Event channel port, or -1. */
  port: number;
  /** icount at which the source raised it. */
  raisedIcount: number;
  /** Interrupted RIP (low, high). */
  ripLo: number;
  /** Upper half of RIP. */
  ripHi: number;
}

/** One deterministic PC sample. */
export interface SampleEvent {
  /** Instructions retired before it. */
  icount: number;
  /** Virtual processor. */
  vcpu: number;
  /** Lower half of RIP. */
  ripLo: number;
  /** Upper half of RIP. */
  ripHi: number;
  /** Page table root. */
  cr3: number;
  /** Privilege level. */
  cpl: number;
  /** Return addresses, innermost first. */
  stack: bigint[];
}

/** What may be attached at the door: recorder, replayer, debugger, profiler. */
export interface Observer {
  /** An exit, complete. Left out: exits are counted only. */
  onExit?(e: ExitEvent): void;
  /** A hypercall, or one entry of a multicall. */
  onHypercall(h: HypercallEvent): void;
  /** A delivered interrupt. */
  onInterrupt(i: InterruptEvent): void;
  /** Guest output; `device` is e.g. "xen" (console ring and console_io), "uart0", "debugcon", "port-e9". */
  onConsole(icount: number, timeNs: number, device: string, bytes: Uint8Array): void;
  /** An input that was applied or asked for. */
  onInput(input: import("./inputs.ts").Input): void;
  /** A PC sample. */
  onSample?(s: SampleEvent): void;
}
