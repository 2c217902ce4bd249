/**
 * Compares what the host processor and ours did with one case.
 *
 * @module
 */
import { GPR_NAMES } from "../../core/cpu/state.ts";
import { disassemble } from "./disasm.ts";
import { FX } from "./fpstate.ts";
import type { GeneratedCase } from "./generate.ts";
import { DID_NOT_END, firstRip, type TestCase, type TestResult } from "./protocol.ts";
import { RunView } from "./run_view.ts";
import { unexplained, type Vendor } from "./vendor_rules.ts";

/** Something that is not the same. */
export interface Difference {
  what:
    | "missing"
    | "end"
    | "error code"
    | "fault address"
    | "rip"
    | "cs"
    | "gpr"
    | "flags"
    | "memory"
    | "fcw"
    | "fsw"
    | "ftw"
    | "mxcsr"
    | "fpr"
    | "xmm";
  /** Register number, or offset of the memory word in the window. */
  index?: number;
  /** Values; a memory word that did not change has none. */
  host?: bigint;
  ours?: bigint;
  /** For people. */
  text: string;
}

/** RFLAGS bits that are compared: all but RF, which only the pushed image has, and reserved ones. */
const FLAGS_COMPARED = 0x24_4fd5;
/** First linear address that Linux never gives to user space (TASK_SIZE_MAX). */
const USER_END = 0x7fff_ffff_f000n;
/** Vectors with an error code. */
const HAS_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);
const FLAG_NAMES: [number, string][] = [
  [1, "CF"],
  [4, "PF"],
  [0x10, "AF"],
  [0x40, "ZF"],
  [0x80, "SF"],
  [0x100, "TF"],
  [0x200, "IF"],
  [0x400, "DF"],
  [0x800, "OF"],
  [0x4000, "NT"],
  [0x40000, "AC"],
  [0x200000, "ID"],
];

/** Names of the flags in a word. */
export function flagNames(flags: number): string {
  return FLAG_NAMES.filter(([bit]) => flags & bit).map(([, name]) => name).join(" ") || "-";
}

/** Distance of two 80-bit images in units of the last place; Infinity when sign or exponent class differ. */
function ulps(a: string, b: string): number {
  const x = BigInt(`0x${a}`), y = BigInt(`0x${b}`);
  const line = (v: bigint) => (v >> 64n) * (1n << 63n) + (v & 0x7fff_ffff_ffff_ffffn);
  const d = line(x) - line(y);
  return Number(d < 0n ? -d : d);
}

/** Compares images, FOP, pointers and MXCSR_MASK apart, before anything is looked at closely. */
function sameImage(a: Uint8Array, b: Uint8Array): boolean {
  for (let n = 0; n < 416; n++) if (a[n] !== b[n] && (n < 6 || n >= 24 && (n < 28 || n >= 32))) return false;
  return true;
}

function compareFx(
  host: Uint8Array,
  ours: Uint8Array,
  c: GeneratedCase,
  faulted: boolean,
  out: Difference[],
): void {
  if (sameImage(host, ours)) return;
  const h = new DataView(host.buffer, host.byteOffset), o = new DataView(ours.buffer, ours.byteOffset);
  const check = (what: Difference["what"], index: number, a: string, b: string) => {
    if (a === b) return;
    const text = `${what}${what === "fpr" || what === "xmm" ? index : ""}: host ${a}, ours ${b}`;
    out.push({ what, index, host: BigInt(`0x${a}`), ours: BigInt(`0x${b}`), text });
  };
  const hex = (v: DataView, at: number, n: number) => {
    let s = "";
    for (let i = n - 1; i >= 0; i--) s += v.getUint8(at + i).toString(16).padStart(2, "0");
    return s;
  };
  check("fcw", 0, hex(h, FX.FCW, 2), hex(o, FX.FCW, 2));
  const hidden = (c.transcendental ? 0x200 : 0) | (c.mmx && faulted ? 0x3800 : 0);
  const fsw = (v: DataView) => (v.getUint16(FX.FSW, true) & ~hidden).toString(16);
  check("fsw", 0, fsw(h), fsw(o));
  check("ftw", 0, hex(h, FX.FTW, 1), hex(o, FX.FTW, 1));
  check("mxcsr", 0, hex(h, FX.MXCSR, 4), hex(o, FX.MXCSR, 4));
  // By physical register: the image is in stack order.
  const physical = (v: DataView, i: number) =>
    hex(v, FX.ST + (i - (v.getUint16(FX.FSW, true) >> 11) & 7) * 16, 10);
  for (let i = 0; i < 8; i++) {
    const a = physical(h, i), b = physical(o, i);
    if (!c.transcendental || ulps(a, b) > 2) check("fpr", i, a, b);
  }
  for (let i = 0; i < 16; i++) check("xmm", i, hex(h, FX.XMM + i * 16, 16), hex(o, FX.XMM + i * 16, 16));
}

/** How a case ended differently. */
function endDifference(c: GeneratedCase, host: TestResult, ours: TestResult): Difference {
  const name = (v: number) => v === DID_NOT_END ? "did not end" : `vector ${v}`;
  const end = (r: TestResult) =>
    `${name(r.vector)} at +${Number(r.rip) - firstRip(c.test)}` +
    (r.vector === 14 ? ` (fault address ${r.faultAddress.toString(16)})` : "");
  return { what: "end", text: `end: host ${end(host)}, ours ${end(ours)}` };
}

/** All differences; empty when the two agree. */
export function differencesOf(c: GeneratedCase, host: TestResult, ours: TestResult): Difference[] {
  const out: Difference[] = [];
  if (ours.missing) return [{ what: "missing", text: `not built: ${ours.missing}` }];
  if (host.vector !== ours.vector) return [endDifference(c, host, ours)];
  if (host.vector === DID_NOT_END) return out;
  const number = (what: Difference["what"], a: bigint | number, b: bigint | number, index = 0) => {
    const name = what === "gpr" ? GPR_NAMES[index] : what;
    const text = `${name}: host ${a.toString(16)}, ours ${b.toString(16)}`;
    if (a !== b) out.push({ what, index, host: BigInt(a), ours: BigInt(b), text });
  };
  // Linux reports every fault above user space as a protection violation, so as not to tell what is mapped there.
  const masked = host.vector === 14 && host.faultAddress >= USER_END ? 1 : 0;
  if (HAS_ERROR_CODE.has(host.vector)) number("error code", host.errorCode | masked, ours.errorCode | masked);
  if (host.vector === 14) number("fault address", host.faultAddress, ours.faultAddress);
  number("rip", host.rip, ours.rip);
  number("cs", host.cs, ours.cs);
  const count = c.test.mode === 64 ? 16 : 8,
    mask = c.test.mode === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  for (let i = 0; i < count; i++) number("gpr", host.gpr[i] & mask, ours.gpr[i] & mask, i);
  const wrong = (host.rflags ^ ours.rflags) & FLAGS_COMPARED & ~c.undefinedFlags;
  if (wrong) {
    const text = `flags ${flagNames(wrong)}: host ${flagNames(host.rflags)}, ours ${flagNames(ours.rflags)}`;
    out.push({ what: "flags", text });
  }
  for (const at of new Set([...host.changes.keys(), ...ours.changes.keys()])) {
    const a = host.changes.get(at), b = ours.changes.get(at);
    if (a === b) continue;
    const text = (v: bigint | undefined) => v?.toString(16) ?? "unchanged";
    out.push({
      what: "memory",
      index: at,
      ...(a !== undefined && { host: a }),
      ...(b !== undefined && { ours: b }),
      text: `memory window+${at.toString(16)}: host ${text(a)}, ours ${text(b)}`,
    });
  }
  compareFx(host.fx, ours.fx, c, host.vector !== 3, out);
  return out;
}

/**
 * Differences between the host and ours that no rule about the host's vendor explains, one line each; empty when the
 * two agree.
 * @param vendor whose processor the host is; null compares two engines of ours, for which no rule holds
 * @param used counts how often each rule explained a case
 */
export function compareResults(
  c: GeneratedCase,
  host: TestResult,
  ours: TestResult,
  vendor: Vendor | null,
  used?: Map<string, number>,
): string[] {
  const differences = differencesOf(c, host, ours);
  if (differences.length === 0) return [];
  const left = vendor === null
    ? differences
    : unexplained(new RunView(c, host, ours), differences, vendor, used);
  return left.map((d) => d.text);
}

function describeFx(fx: Uint8Array): string[] {
  const v = new DataView(fx.buffer, fx.byteOffset),
    hex = (at: number, n: number) =>
      [...fx.subarray(at, at + n)].reverse().map((b) => b.toString(16).padStart(2, "0")).join("");
  const list = (name: string, at: number, n: number, count: number) =>
    Array.from({ length: count }, (_, i) => `${name}${i}=${hex(at + i * 16, n)}`)
      .filter((s) => !/=0+$/.test(s)).join(" ");
  const control = `fcw=${hex(FX.FCW, 2)} fsw=${hex(FX.FSW, 2)} ftw=${hex(FX.FTW, 1)} mxcsr=${
    v.getUint32(FX.MXCSR, true).toString(16)
  }`;
  return [control, list("st", FX.ST, 10, 8), list("xmm", FX.XMM, 16, 16)];
}

/** A case as text: code and the state that is not zero. */
export function describeCase(test: TestCase): string[] {
  const lines = disassemble(test.code, test.mode, BigInt(firstRip(test)));
  const registers = [...test.gpr].map((v, i) => v ? `${GPR_NAMES[i]}=${v.toString(16)}` : "").filter((s) =>
    s
  );
  lines.push(`${test.mode}-bit, flags ${flagNames(test.rflags)}, seed of memory ${test.seed}`);
  lines.push(registers.join(" "));
  if (test.fx.some((b, i) => b && i > 1 && i !== 24 && i !== 25)) lines.push(...describeFx(test.fx));
  for (const p of test.patches) {
    lines.push(
      `window+${p.offset.toString(16)}: ${
        [...p.bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ")
      }`,
    );
  }
  return lines;
}
