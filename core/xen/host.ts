/**
 * What Xen's part of the machine needs from the rest of it.
 *
 * @module
 */
import type { DeviceHost } from "../bus.ts";
import type { MachineConfig } from "../config.ts";
import type { Observer } from "../exits.ts";

/**
 * One vCPU as a hypercall sees it.
 *
 * Linear addresses are JavaScript numbers: outside 64-bit mode 0 to 2^32-1; in 64-bit mode the canonical address as a
 * signed value, so that the upper half is negative (0xffff_8880_0000_1000 is -0x777f_ffff_f000). Both are exact.
 */
export interface XenVcpu {
  readonly id: number;
  /** Low word of a general register in encoding order (0 RAX, 1 RCX, 2 RDX, 3 RBX, 4 RSP, ... 15 R15), unsigned. */
  reg(n: number): number;
  /** High word, unsigned. */
  regHi(n: number): number;
  setReg(n: number, lo: number, hi: number): void;
  /** Current privilege level (3 in virtual-8086 mode). */
  readonly cpl: number;
  /** True in 64-bit code: EFER.LMA and CS.L. */
  readonly is64: boolean;
  /** Copies from the guest with supervisor rights and no side effect on failure; null when any byte is not mapped. */
  copyFromGuest(addr: number, len: number): Uint8Array | null;
  /** Copies to the guest; false (and nothing or only a prefix written) when a byte is not mapped writable. */
  copyToGuest(addr: number, bytes: Uint8Array): boolean;
}

/** A 64-bit value as two unsigned words, low first. */
export type Word64 = readonly [lo: number, hi: number];

/** Cached part of a segment register: `attributes` are the 12 descriptor bits (type 0-3, S 4, DPL 5-6, P 7, ... G 11). */
export interface SegmentContext {
  base: number;
  limit: number;
  attributes: number;
}

/** Registers with which VCPUOP_initialise starts a vCPU (hvm/hvm_vcpu.h); everything else is as after INIT. */
export interface VcpuContext {
  mode: 32 | 64;
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI. */
  gpr: Word64[];
  rip: Word64;
  rflags: Word64;
  cr0: Word64;
  cr3: Word64;
  cr4: Word64;
  /** LMA is already set when LME is. */
  efer: Word64;
  cs: SegmentContext;
  ds: SegmentContext;
  ss: SegmentContext;
  es: SegmentContext;
  tr: SegmentContext;
}

/** The machine around Xen. */
export interface XenHost extends DeviceHost {
  readonly config: MachineConfig;
  /** Attached at the one door out; null when nobody looks. */
  readonly observer: Observer | null;
  /** `seq` of the exit being handled, for hypercall events. */
  readonly exitSeq: number;
  /** "amd": VMMCALL in the hypercall page, "intel": VMCALL. */
  readonly vendor: "amd" | "intel";
  /** Every vCPU, online or not, by number. */
  readonly vcpus: readonly XenVcpu[];
  /** Virtual TSC as RDTSC would answer now: a non-negative safe integer. */
  tscNow(): number;
  /** Seconds since 1970 at virtual time 0; asked for once through the one door in. */
  wallclock(): number;
  /** Memory map given to the guest: XENMEM_memory_map answers it. Types as in start_info. */
  memoryMap(): { addr: number; size: number; type: number }[];
  /**
   * Sets an edge-triggered vector in a vCPU's local APIC and wakes the vCPU. @returns false when the APIC is disabled;
   * Xen offers the vector again at the first `pendingVector` that finds it enabled
   */
  lapicInject(vcpu: number, vector: number): boolean;
  /** Makes an NMI pending for a vCPU and wakes it. */
  nmi(vcpu: number): void;
  /** The vCPU gives up the rest of its turn. */
  yield(vcpu: number): void;
  /**
   * The vCPU waits until `wake`, or until an interrupt for it is pending. The machine calls `Xen.unblocked` when the
   * wait ends. @returns false when an interrupt is deliverable now, so that there is no wait
   */
  block(vcpu: number): boolean;
  /** Ends a `block`; no effect on a vCPU that does not wait. */
  wake(vcpu: number): void;
  /** Loads the registers of a vCPU that is down; false when CR4 or EFER is not possible. */
  initialise(vcpu: number, context: VcpuContext): boolean;
  /** Lets a vCPU that was initialised run. */
  up(vcpu: number): void;
  /** Stops a vCPU until `up` or an INIT-SIPI sequence. */
  down(vcpu: number): void;
  /** Drops every cached translation of every vCPU. */
  flushTlbs(): void;
}
