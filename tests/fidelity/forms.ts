/**
 * Every encoding of the opcode maps that user-mode code can try, classed by iced-x86 into instruction forms.
 *
 * @module
 */
import { Code, CpuidFeature, Decoder, Instruction, Mnemonic } from "iced-x86";
import { DECODER_OPTIONS } from "./disasm.ts";
import type { Mode } from "./protocol.ts";

/** One way to encode a form: ModRM.reg and ModRM.rm may take the values whose bits are set. */
export interface Encoding {
  /** 66, F2, F3 in front, in that order. */
  prefixes: number[];
  rexW: boolean;
  opcode: number[];
  /** "none": no ModRM byte. */
  modrm: "none" | "mem" | "reg";
  regs: number;
  rms: number;
}

/** An instruction form with memory or register operand (`Code` of iced-x86), and its encodings. */
export interface CodeForm {
  code: number;
  mnemonic: number;
  name: string;
  group: Group;
  encodings: Encoding[];
}

/** Groups that can be tested separately. */
export type Group = "int" | "x87" | "mmx" | "sse" | "sse2" | "sse3" | "ssse3" | "sse4" | "fxsr" | "invalid";
/** All groups, in the order in which processors got them. */
export const GROUPS: readonly Group[] = [
  "int",
  "x87",
  "mmx",
  "fxsr",
  "sse",
  "sse2",
  "sse3",
  "ssse3",
  "sse4",
  "invalid",
];

/** Groups that our processor implements, tested every day. */
export const EVERYDAY_GROUPS: readonly Group[] = [
  "int",
  "x87",
  "mmx",
  "fxsr",
  "sse",
  "sse2",
  "sse3",
  "ssse3",
  "sse4",
  "invalid",
];

/** Group of a `CpuidFeature` name; features that are not here are never generated. */
export const GROUP_OF_FEATURE: Record<string, Group> = {
  INTEL8086: "int",
  INTEL8086_ONLY: "int",
  INTEL186: "int",
  INTEL286: "int",
  INTEL386: "int",
  INTEL486: "int",
  X64: "int",
  CMOV: "int",
  CX8: "int",
  CMPXCHG16B: "int",
  MOVBE: "int",
  POPCNT: "int",
  MULTIBYTENOP: "int",
  PAUSE: "int",
  PREFETCHW: "int",
  CLFSH: "int",
  MSR: "int",
  FPU: "x87",
  FPU287: "x87",
  FPU387: "x87",
  MMX: "mmx",
  FXSR: "fxsr",
  SSE: "sse",
  SSE2: "sse2",
  SSE3: "sse3",
  SSSE3: "ssse3",
  SSE4_1: "sse4",
  SSE4_2: "sse4",
};

/**
 * What depends on the operating system, the machine or time, or would leave the sandbox. `Mnemonic` names; a segment
 * register as destination and far transfers are recognised by `Code`.
 */
const EXCLUDED = new Set([
  "Syscall",
  "Sysenter",
  "Cpuid",
  "Rdtsc",
  "Rdtscp",
  "Rdpmc",
  "Sgdt",
  "Sidt",
  "Sldt",
  "Str",
  "Smsw",
  "Lar",
  "Lsl",
  "Verr",
  "Verw",
  "Les",
  "Lds",
  "Lss",
  "Lfs",
  "Lgs",
  "Iret",
  "Iretd",
  "Iretq",
  "Retf",
  "Loadall",
  "Swapgs",
  "Fxsave64",
  "Fxrstor64",
  "Xbegin",
  "Ud0",
  "Getsec",
]);
const EXCLUDED_CODE = /^(Mov_Sreg_|Pop[wdq]?_(DS|ES|FS|GS|SS)$|Call_(ptr|m16)|Jmp_(ptr|m16)|Int_imm8_80)/;

/**
 * PUSH of a segment register at 32 or 64 bits: Intel's processors write 16 bits and leave the rest of the slot, AMD's
 * and ours write zeros (Intel SDM volume 2, PUSH, "if the source operand is a segment register").
 */
const MODEL_SPECIFIC = /^Push[dq]_[A-Z]S$/;

/** True when the instruction must not be compared (or run). */
export function isExcluded(code: number, mnemonic: number): boolean {
  return EXCLUDED.has(Mnemonic[mnemonic]) || EXCLUDED_CODE.test(Code[code]) ||
    MODEL_SPECIFIC.test(Code[code]);
}

function oneByteHasModrm(op: number): boolean {
  if (op < 0x40) return (op & 7) < 4;
  if (op >= 0xd8 && op <= 0xdf) return true;
  return [0x62, 0x63, 0x69, 0x6b, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff].includes(op) ||
    op >= 0x80 && op <= 0x8f || op >= 0xd0 && op <= 0xd3;
}

function twoByteHasModrm(op: number): boolean {
  if (op >= 0x80 && op <= 0x8f || op >= 0xc8 && op <= 0xcf || op >= 0x30 && op <= 0x37) return false;
  return ![
    0x04,
    0x05,
    0x06,
    0x07,
    0x08,
    0x09,
    0x0a,
    0x0b,
    0x0c,
    0x0e,
    0x77,
    0xa0,
    0xa1,
    0xa2,
    0xa8,
    0xa9,
    0xaa,
  ]
    .includes(op);
}

/** Prefix bytes, and bytes that begin another encoding space (VEX, EVEX, REX2): not opcodes here. */
function isOpcode(op: number, mode: Mode): boolean {
  if (
    [0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0xc4, 0xc5, 0x62].includes(op)
  ) {
    return mode !== 64 && op === 0x62; // BOUND
  }
  return !(mode === 64 && op >= 0x40 && op <= 0x4f) && !(mode === 64 && op === 0xd5);
}

const PREFIX_SETS: { prefixes: number[]; rexW: boolean }[] = [
  { prefixes: [], rexW: false },
  { prefixes: [0x66], rexW: false },
  { prefixes: [0xf2], rexW: false },
  { prefixes: [0xf3], rexW: false },
  { prefixes: [], rexW: true },
  { prefixes: [0x66], rexW: true },
  { prefixes: [0xf2], rexW: true },
  { prefixes: [0xf3], rexW: true },
];

/** Opcodes of all four maps. */
function* opcodes(mode: Mode): Generator<{ opcode: number[]; modrm: boolean }> {
  for (let op = 0; op < 256; op++) {
    if (isOpcode(op, mode)) yield { opcode: [op], modrm: oneByteHasModrm(op) };
    if (op !== 0x38 && op !== 0x3a && op !== 0x0f) yield { opcode: [0x0f, op], modrm: twoByteHasModrm(op) };
    yield { opcode: [0x0f, 0x38, op], modrm: true };
    yield { opcode: [0x0f, 0x3a, op], modrm: true };
  }
}

/** Opcodes whose register forms mean something else for each ModRM.rm. */
function rmMatters(opcode: number[]): boolean {
  const [a, b] = opcode;
  return a >= 0xd8 && a <= 0xdf || a === 0x0f && (b === 0x01 || b === 0xae || b === 0xc7);
}

class Collector {
  readonly forms = new Map<string, CodeForm>();
  readonly #instruction = new Instruction();

  constructor(readonly mode: Mode) {}

  add(e: Encoding): void {
    const bytes = bytesOf(e);
    const decoder = new Decoder(this.mode, bytes, DECODER_OPTIONS);
    decoder.decodeOut(this.#instruction);
    decoder.free();
    const i = this.#instruction, group = this.#group(e);
    if (group === null || isExcluded(i.code, i.mnemonic)) return;
    const key = `${i.code} ${e.modrm} ${i.code === 0 ? e.opcode : ""}`;
    let form = this.forms.get(key);
    if (!form) {
      const name = i.code === 0 ? `invalid ${e.opcode.map((b) => b.toString(16)).join(" ")}` : Code[i.code];
      this.forms.set(key, form = { code: i.code, mnemonic: i.mnemonic, name, group, encodings: [] });
    }
    const last = form.encodings.at(-1);
    if (
      last && last.modrm === e.modrm && last.rexW === e.rexW &&
      String(last.prefixes) === String(e.prefixes) &&
      String(last.opcode) === String(e.opcode) && (last.rms === e.rms || last.regs === e.regs)
    ) {
      last.regs |= e.regs;
      last.rms |= e.rms;
    } else form.encodings.push(e);
  }

  #group(e: Encoding): Group | null {
    const i = this.#instruction;
    if (i.code === 0) {
      // Undefined to iced; other spaces may be defined on the host.
      return e.opcode.length === 1 || e.opcode.length === 2 ? "invalid" : null;
    }
    let group: Group = "int";
    for (const f of i.cpuidFeatures()) {
      const g = GROUP_OF_FEATURE[CpuidFeature[f]];
      if (g === undefined) return null;
      if (GROUPS.indexOf(g) > GROUPS.indexOf(group)) group = g;
    }
    return group;
  }
}

const cache = new Map<Mode, CodeForm[]>();

/** Every encoding of the opcode maps: prefixes, opcode, one ModRM.reg and ModRM.rm. */
export function* encodingsOf(mode: Mode): Generator<Encoding> {
  for (const { opcode, modrm } of opcodes(mode)) {
    for (const { prefixes, rexW } of PREFIX_SETS) {
      if (rexW && mode !== 64) continue;
      const e = { prefixes, rexW, opcode };
      if (!modrm) {
        yield { ...e, modrm: "none", regs: 1, rms: 1 };
        continue;
      }
      for (let reg = 0; reg < 8; reg++) {
        yield { ...e, modrm: "mem", regs: 1 << reg, rms: 1 };
        if (!rmMatters(opcode)) {
          yield { ...e, modrm: "reg", regs: 1 << reg, rms: 1 };
          continue;
        }
        for (let rm = 0; rm < 8; rm++) yield { ...e, modrm: "reg", regs: 1 << reg, rms: 1 << rm };
      }
    }
  }
}

/** Bytes of an encoding with the first of its ModRM values, zeros behind them. */
export function bytesOf(e: Encoding): Uint8Array {
  const bytes = new Uint8Array(15);
  let n = 0;
  for (const p of e.prefixes) bytes[n++] = p;
  if (e.rexW) bytes[n++] = 0x48;
  for (const o of e.opcode) bytes[n++] = o;
  const reg = 31 - Math.clz32(e.regs), rm = 31 - Math.clz32(e.rms);
  if (e.modrm !== "none") bytes[n] = (e.modrm === "reg" ? 0xc0 : 0) | reg << 3 | rm;
  return bytes;
}

/** All forms of a mode, in a fixed order. */
export function formsOf(mode: Mode): CodeForm[] {
  const known = cache.get(mode);
  if (known) return known;
  const collector = new Collector(mode);
  for (const e of encodingsOf(mode)) collector.add(e);
  const forms = [...collector.forms.values()];
  for (const f of forms) {
    for (const e of f.encodings) if (e.modrm === "reg" && !rmMatters(e.opcode)) e.rms = 0xff;
  }
  cache.set(mode, forms);
  return forms;
}
