/**
 * What processors may do differently: each rule names the manual that leaves it open (or the vendors that decided
 * differently) and explains exactly the differences that follow from it. Nothing is left out of the comparison for
 * it: a case runs on every host, and what no rule explains is a mismatch.
 *
 * Our processor does what Intel's do where the vendors differ, whatever the CPUID policy says.
 * SDM is Intel's Software Developer's Manual, APM AMD's Architecture Programmer's Manual.
 *
 * @module
 */
import type { Difference } from "./compare.ts";
import { FX } from "./fpstate.ts";
import type { Ran, RunView } from "./run_view.ts";

/** Whose processor runs the cases. */
export type Vendor = "GenuineIntel" | "AuthenticAMD";

/** One thing that may differ. */
export interface Rule {
  name: string;
  /** Hosts on which it can show; all when absent. */
  vendor?: Vendor;
  /** What happens there, and the manual's section. */
  source: string;
  /** True when the difference follows from the rule. */
  explains(x: RunView, d: Difference): boolean;
}

const MEMORY_FAULTS = new Set([12, 13, 14, 17]);
const STRING = /^(Movs|Cmps|Stos|Lods|Scas)[bwdq]$/;
const STORE_X87 = /^(Fst|Fstp|Fist|Fistp|Fisttp|Fbstp)$/;
/** Instructions that access memory in several parts. */
const IN_PARTS = /^(Fxsave|Fxrstor|Fn?save|Frstor|Fn?stenv|Fldenv|Fstp_m80|Fbstp|Fld_m80|Fbld)/;
const UNALIGNED_16 = /^(Movups|Movupd|Movdqu|Lddqu|Pcmp[ei]str[im](64)?)$/;

const stoppedByMemory = (x: RunView) => x.diverged && MEMORY_FAULTS.has(x.host.vector);
const is = (bits: bigint) => (v: bigint) => (v & bits) === bits;
const isQuietNan32 = is(0x7fc0_0000n), isQuietNan64 = is(0x7ff8n << 48n);
const isCanonical = (v: bigint) => BigInt.asUintN(64, BigInt.asIntN(48, v)) === v;

/** True when the operand of an instruction begins below 4 GiB and ends above it. */
function wraps(x: RunView, i: Ran): boolean {
  if (x.made.test.mode !== 32) return false;
  // What ENTER reads below EBP and what pushes write below ESP are no operands of their own.
  if (x.host.vector === 12 && x.ours.vector === 14 && x.ours.faultAddress >= 0xffff_fff0n) return true;
  return x.operandAddresses(i).some(({ at, size }) => at <= 0xffff_ffff && at + size > 0x1_0000_0000);
}

/** True when all lanes of two vectors are the same or alike. */
function lanes(d: Difference, bits: 32 | 64, alike: (a: bigint, b: bigint) => boolean): boolean {
  const mask = (1n << BigInt(bits)) - 1n;
  for (let at = 0n; at < 128n; at += BigInt(bits)) {
    const a = d.host! >> at & mask, b = d.ours! >> at & mask;
    if (a !== b && !alike(a, b)) return false;
  }
  return true;
}

/** Each is within 1.5 * 2^-12 of the exact value, so they are within twice that of each other. */
function approximate(a: bigint, b: bigint): boolean {
  const [x, y] = new Float32Array(new Uint32Array([Number(a), Number(b)]).buffer);
  return Number.isFinite(x) && Number.isFinite(y) && Math.abs(x - y) <= Math.abs(y) * 3 * 2 ** -12;
}

/** What SHLD and SHRD of 16 bits by more than 16 leave undefined: the destination and the flags. */
function longDoubleShift(x: RunView, d: Difference): boolean {
  const i = x.last;
  if (!/^Sh[lr]d_rm16_r16/.test(i.name) || x.shiftCount(i) <= 16) return false;
  if (i.memory) return d.what === "memory" && x.onlyWithin(d, x.operandAddresses(i)[0].at, 2);
  return d.what === "gpr" && d.index === i.destination && ((d.host! ^ d.ours!) & ~0xffffn) === 0n;
}

/** FXSAVE's MXCSR_MASK, and FXRSTOR with a bit of MXCSR that only the host has. */
function mxcsrMask(x: RunView, d: Difference): boolean {
  if (d.what === "memory") {
    return /^Fxsave/.test(x.last.mnemonic) && x.onlyWithin(d, x.operandAddresses(x.last)[0].at + 28, 4);
  }
  const i = x.atOurEnd;
  return d.what === "end" && x.ours.vector === 13 && i.mnemonic === "Fxrstor" &&
    x.host.rip !== x.ours.rip && (x.initialWord32(x.operandAddresses(i)[0].at + 24) & 0xfffd_0000) === 0;
}

const ANY: Rule[] = [
  {
    name: "shld16-count",
    source:
      "SDM volume 2, SHLD, SHRD: the result is undefined when the count is greater than the operand size",
    explains: longDoubleShift,
  },
  {
    name: "approximation",
    source: "SDM volume 2, RCPPS, RSQRTPS: any result with a relative error of at most 1.5 * 2^-12",
    explains: (x, d) =>
      d.what === "xmm" && /^(Rcp|Rsqrt)[ps]s$/.test(x.last.mnemonic) && lanes(d, 32, approximate),
  },
  {
    name: "dot-product-nan",
    source:
      "SDM volume 2, DPPS, DPPD: which of several NaNs reaches the destination is implementation dependent",
    explains: (x, d) =>
      d.what === "xmm" &&
      (x.last.mnemonic === "Dpps" && lanes(d, 32, (a, b) => isQuietNan32(a) && isQuietNan32(b)) ||
        x.last.mnemonic === "Dppd" && lanes(d, 64, (a, b) => isQuietNan64(a) && isQuietNan64(b))),
  },
  {
    name: "wrap-at-4-gib",
    source: "SDM volume 3, 5.3: an access that wraps in a segment of 4 GiB may or may not raise #GP or #SS",
    explains: (x) =>
      x.diverged && (x.host.vector === 12 || x.host.vector === 13) && x.host.errorCode === 0 &&
      wraps(x, x.atHostEnd),
  },
  {
    name: "unaligned-16-byte-check",
    source: "SDM volume 3, 6.15, interrupt 17: MOVUPS and its like may or may not raise #AC",
    explains: (x) =>
      x.diverged && x.host.vector === 17 && x.alignmentChecked && UNALIGNED_16.test(x.atHostEnd.mnemonic),
  },
  {
    name: "order-within-class",
    source:
      "SDM volume 3, 6.9: which fault of one instruction's execution comes first is implementation specific",
    explains(x, d) {
      const a = x.host.vector, b = x.ours.vector;
      if (d.what !== "end" || x.host.rip !== x.ours.rip) return false;
      if (!MEMORY_FAULTS.has(a) || !MEMORY_FAULTS.has(b)) return false;
      return a === 17 || b === 17 ? x.alignmentChecked : IN_PARTS.test(x.atHostEnd.name);
    },
  },
  {
    name: "mxcsr-mask",
    source:
      "SDM volume 1, 11.6.6: MXCSR_MASK's bits above 15 depend on the model (APM volume 1: bit 17 is MM)",
    explains: mxcsrMask,
  },
];

const AMD: Omit<Rule, "vendor">[] = [
  {
    name: "near-branch-operand-size",
    source:
      "SDM volume 2, table A-2, superscript f64: Intel ignores 66 before near branches in 64-bit code; " +
      "AMD (APM volume 3, 1.2.2) takes 16-bit operands and clears the rest of RIP",
    explains: (x) => x.made.test.mode === 64 && x.any((i) => i.nearBranch && i.operandSizePrefix),
  },
  {
    name: "prefetch-register",
    source: "APM volume 3, PREFETCHW: 0F 0D with a register operand is undefined; a reserved NOP of Intel's",
    explains: (x) => x.diverged && x.host.vector === 6 && /^Reservednop_.*0F0D/.test(x.atHostEnd.name),
  },
  {
    name: "icebp-under-a-hypervisor",
    source: "APM volume 2, 15.14: #DB of INT1 that is intercepted and injected again leaves RIP on INT1",
    explains: (x, d) => d.what === "rip" && x.host.vector === 1 && x.atHostEnd.mnemonic === "Int1",
  },
  {
    name: "pause-rex-b",
    source: "SDM volume 2, table A-2: F3 90 is PAUSE; AMD's exchange rAX and R8 when REX.B is set",
    explains: (x) => x.any((i) => i.mnemonic === "Pause" && (i.rex & 1) !== 0),
  },
  {
    name: "loop-repeat-prefix",
    source:
      "SDM volume 2, 2.1.1: a repeat prefix before LOOPcc is reserved; on AMD's it replaces the condition",
    explains: (x) => x.any((i) => /^Loopn?e$/.test(i.mnemonic) && i.repeatPrefix),
  },
  {
    name: "undefined-opcode-fetch",
    source:
      "SDM volume 2, UD: how many bytes of an undefined instruction are fetched depends on the processor",
    explains: (x, d) =>
      d.what === "end" && x.host.vector === 6 && x.ours.vector === 14 && x.ours.rip === x.host.rip &&
      (x.ours.faultAddress & 0xfffn) === 0n,
  },
  {
    name: "lock-mov-cr8",
    source: "APM volume 3, MOV CRn: LOCK MOV CR0 is MOV CR8 (CPUID 8000_0001, ECX bit 4)",
    explains: (x, d) =>
      d.what === "end" && x.host.vector === 13 && x.ours.vector === 6 && x.atHostEnd.lockMovCr,
  },
  {
    name: "rep-compare-flags",
    source:
      "SDM volume 2, REP: CMPS and SCAS that are interrupted or fault leave the flags as they were before; " +
      "AMD's leave those of the last iteration",
    explains: (x, d) =>
      d.what === "flags" && (x.host.vector === 1 || MEMORY_FAULTS.has(x.host.vector)) &&
      /^(Cmps|Scas)[bwdq]$/.test(x.atHostEnd.mnemonic),
  },
  {
    name: "two-operand-fault-order",
    source: "SDM volume 3, 6.9: whether the first or second operand of CMPS, the lower or upper half of " +
      "MASKMOVDQU faults first is implementation specific",
    explains: (x, d) =>
      (d.what === "fault address" || d.what === "error code" || d.what === "end") &&
      MEMORY_FAULTS.has(x.host.vector) && MEMORY_FAULTS.has(x.ours.vector) && x.host.rip === x.ours.rip &&
      /^(Cmps[bwdq]|Maskmovdqu|Maskmovq)$/.test(x.atHostEnd.mnemonic),
  },
  {
    name: "rep-address-size-registers",
    source:
      "SDM volume 1, 3.4.1.1: 32-bit results are zero-extended; Intel's also extend RCX, RSI, RDI of a REP " +
      "with 32-bit addresses that does nothing, AMD's leave them alone",
    explains: (x, d) =>
      d.what === "gpr" && [1, 6, 7].includes(d.index!) && x.made.test.mode === 64 &&
      BigInt.asUintN(32, d.host!) === d.ours && x.any((i) => STRING.test(i.mnemonic) && i.addressSizePrefix),
  },
  {
    name: "movsxd-16",
    source: "APM volume 3, MOVSXD: reads 32 bits of memory also with a 16-bit operand; Intel's read 16",
    explains: (x, d) =>
      d.what === "end" && MEMORY_FAULTS.has(x.host.vector) && x.atHostEnd.name === "Movsxd_r16_rm16",
  },
  {
    name: "canonical-before-base",
    source: "SDM volume 1, 3.3.7.1: linear addresses must be canonical; AMD's refuse such an offset, too",
    explains: (x) =>
      x.diverged && (x.host.vector === 12 || x.host.vector === 13) && x.made.test.mode === 64 &&
      x.atHostEnd.segment === "GS" && !isCanonical(x.offset(x.atHostEnd)),
  },
  {
    name: "popa-skipped-slot",
    source:
      "SDM volume 2, POPA: Intel's skip the slot of ESP, AMD's read it: where it lies on a missing page, it " +
      "is what faults",
    explains: (x, d) =>
      d.what === "fault address" && x.host.vector === 14 && x.ours.vector === 14 &&
      /^Popa/.test(x.atHostEnd.mnemonic) && (x.host.faultAddress & 0xfffn) === 0n &&
      x.ours.faultAddress > x.host.faultAddress && x.ours.faultAddress - x.host.faultAddress <= 4n,
  },
  {
    name: "bound-reads-both",
    source:
      "SDM volume 2, BOUND: #BR when the index is below the lower bound; Intel's read the upper one only if it " +
      "is not, AMD's read both first",
    explains: (x, d) =>
      d.what === "end" && MEMORY_FAULTS.has(x.host.vector) && x.ours.vector === 5 &&
      x.host.rip === x.ours.rip && x.atHostEnd.mnemonic === "Bound",
  },
  {
    name: "branch-target-check",
    source: "SDM volume 2, CALL: Intel's push the return address before #GP of the target; AMD's check first",
    explains: (x, d) =>
      d.what === "memory" && x.host.vector === 13 && x.atHostEnd.mnemonic === "Call" &&
      x.onlyWithin(d, x.stack - 8, 8),
  },
  {
    name: "x87-store-order",
    source: "SDM volume 3, 6.9: a store's memory fault and its unmasked x87 exception are of one class; " +
      "AMD's look at memory first",
    explains: (x) =>
      stoppedByMemory(x) && STORE_X87.test(x.atHostEnd.mnemonic) &&
      ((x.made.test.fx[FX.FCW] & 0x3f) !== 0x3f ||
        x.any((i) => /^(Fldcw|Fldenv|Frstor|Fxrstor)$/.test(i.mnemonic))),
  },
  {
    name: "fprem-underflow",
    source:
      "SDM volume 2, FPREM: #U is possible; AMD's raise it for an exact denormal when unmasked, Intel's do not",
    explains: (x, d) =>
      x.any((i) => /^Fprem1?$/.test(i.mnemonic)) && (x.made.test.fx[FX.FCW] & 0x10) === 0 &&
      (d.what === "fsw" || d.what === "fpr" || d.what === "end"),
  },
  {
    name: "partial-execution",
    source:
      "SDM volume 3, 6.5: a fault need not undo parts of an instruction; AMD's write nothing of FSTP m80 and " +
      "FBSTP, what fits of PUSHA, and load what was read of POPA",
    explains: (x, d) =>
      MEMORY_FAULTS.has(x.host.vector) && !x.diverged &&
      (d.what === "memory" && /^(Fstp_m80fp|Fbstp_m80bcd|Pusha[wd])$/.test(x.atHostEnd.name) ||
        d.what === "gpr" && /^Popa[wd]$/.test(x.atHostEnd.name)),
  },
];

/** Every rule, in the order in which they are tried. */
export const RULES: readonly Rule[] = [...ANY, ...AMD.map((r): Rule => ({ ...r, vendor: "AuthenticAMD" }))];

/**
 * Differences that no rule of the host explains.
 * @param used counts for each rule the cases that it explained
 */
export function unexplained(
  x: RunView,
  differences: Difference[],
  vendor: Vendor,
  used?: Map<string, number>,
): Difference[] {
  const rules = RULES.filter((r) => r.vendor === undefined || r.vendor === vendor);
  const names = new Set<string>();
  const left = differences.filter((d) => {
    const rule = rules.find((r) => r.explains(x, d));
    if (rule) names.add(rule.name);
    return rule === undefined;
  });
  if (left.length === 0) { for (const name of names) used?.set(name, (used.get(name) ?? 0) + 1); }
  return left;
}
