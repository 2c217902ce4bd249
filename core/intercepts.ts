/**
 * Which events leave the guest.
 *
 * "xen": what Xen 4.17 intercepts for a PVH guest with nested paging (xen/arch/x86/hvm/svm/vmcb.c, construct_vmcb).
 * "kvm": what Linux's KVM does for SVM with nested paging (arch/x86/kvm/svm/svm.c, init_vmcb).
 *
 * @module
 */
import type { InterceptPreset } from "./config.ts";
import { Reason } from "./exits.ts";

/** Exceptions both intercept: #DB (Xen only), #AC, #MC. */
const DB = Reason.EXCEPTION_0 + 1, UD = Reason.EXCEPTION_0 + 6, AC = Reason.EXCEPTION_0 + 17;
const MC = Reason.EXCEPTION_0 + 18;

const ALWAYS = [
  Reason.INTR,
  Reason.NMI,
  Reason.VINTR,
  Reason.CPUID,
  Reason.INVD,
  Reason.HLT,
  Reason.INVLPGA,
  Reason.IOIO,
  Reason.MSR,
  Reason.TASK_SWITCH,
  Reason.SHUTDOWN,
  Reason.VMRUN,
  Reason.VMMCALL,
  Reason.VMLOAD,
  Reason.VMSAVE,
  Reason.STGI,
  Reason.CLGI,
  Reason.SKINIT,
  Reason.WBINVD,
  Reason.MONITOR,
  Reason.MWAIT,
  Reason.XSETBV,
  Reason.ICEBP,
  Reason.NPF,
  AC,
  MC,
  Reason.RDPMC,
];

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
const except = (codes: number[], out: number[]): number[] => codes.filter((c) => !out.includes(c));

const PRESETS: Record<InterceptPreset, readonly number[]> = {
  // All control registers except CR2 and CR8 (by construct_vmcb) and CR3 (nested paging); all debug registers.
  xen: [
    ...ALWAYS,
    ...except(range(Reason.CR0_READ, 16), [Reason.CR0_READ + 2, Reason.CR0_READ + 3, Reason.CR0_READ + 8]),
    ...except(range(Reason.CR0_WRITE, 16), [
      Reason.CR0_WRITE + 2,
      Reason.CR0_WRITE + 3,
      Reason.CR0_WRITE + 8,
    ]),
    ...range(Reason.DR0_READ, 32),
    DB,
  ].filter((c) => c !== Reason.RDPMC),
  kvm: [
    ...ALWAYS,
    Reason.CR0_READ,
    Reason.CR0_READ + 4,
    Reason.CR0_WRITE,
    Reason.CR0_WRITE + 4,
    Reason.CR0_WRITE + 8,
    ...range(Reason.DR0_WRITE, 16),
    ...range(Reason.DR0_READ, 16),
    UD,
  ],
  all: range(0, 0x100).concat(Reason.NPF),
};

/** Model-specific registers Xen gives the guest without an exit (vmcb.c: svm_disable_intercept_for_msr, and PAT). */
const MSR_PASS = new Set([
  0xc000_0100,
  0xc000_0101,
  0xc000_0102,
  0xc000_0081,
  0xc000_0082,
  0xc000_0083,
  0xc000_0084,
  0x277,
]);

/** The intercepts of one machine. */
export class Intercepts {
  readonly #on = new Uint8Array(0x401);
  readonly #passMsrs: boolean;
  /** Xen and KVM take debug-register intercepts away after the first access, until the vCPU is scheduled out. */
  readonly lazyDebug: boolean;

  constructor(preset: InterceptPreset) {
    for (const code of PRESETS[preset]) this.#on[code] = 1;
    this.#passMsrs = preset !== "all";
    this.lazyDebug = preset !== "all";
  }

  /** True when the event exits. Our own reasons always do. */
  has(reason: number): boolean {
    return reason >= 0x10000 || this.#on[reason] === 1;
  }

  /** True when an access to the MSR exits. */
  hasMsr(msr: number): boolean {
    return !(this.#passMsrs && MSR_PASS.has(msr));
  }
}
