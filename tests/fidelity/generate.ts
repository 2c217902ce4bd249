/**
 * Test cases for the host differential test: single instructions and short sequences in states that make them
 * interesting. A case is a function of (seed, index, groups, mode) only.
 *
 * @module
 */
import { Code, CpuidFeature, Decoder, Instruction, Mnemonic } from "iced-x86";
import { DECODER_OPTIONS } from "./disasm.ts";
import { randomFx } from "./fpstate.ts";
import { type CodeForm, type Encoding, formsOf, type Group, GROUP_OF_FEATURE, isExcluded } from "./forms.ts";
import {
  type Building,
  CODE_OFFSET,
  codePointer,
  memoryOperand,
  randomAddress,
  randomRegisters,
  wrap,
} from "./operand.ts";
import {
  CODE,
  FLAGS_LOADED,
  type Mode,
  READONLY_SIZE,
  type TestCase,
  WINDOW,
  WINDOW_SIZE,
} from "./protocol.ts";
import { interesting, Random } from "./random.ts";

const instruction = new Instruction();

/** A case with what comparison needs to know about it. */
export interface GeneratedCase {
  test: TestCase;
  /** Form of the last instruction. */
  form: CodeForm;
  /** RFLAGS bits that the manual leaves undefined after the sequence. */
  undefinedFlags: number;
  /** Mnemonic of the last instruction. */
  mnemonic: string;
  /** It has an instruction whose last bit (and so C1) the manual does not define. */
  transcendental: boolean;
  /** It has an MMX instruction: one whose store faults has already cleared TOP on the host; re-execution hides that. */
  mmx: boolean;
}

/** Bits of iced's `RflagsBits` in order, as RFLAGS bits; x87 condition codes and others left out. */
const ICED_FLAGS = [0x800, 0x80, 0x40, 0x10, 0x1, 0x4, 0x400, 0x200, 0x40000];

/** RFLAGS bits that are undefined after the decoded instruction, whatever its operands. */
export function undefinedFlagsOf(i: Instruction): number {
  let flags = 0;
  ICED_FLAGS.forEach((bit, n) => {
    if (i.rflagsUndefined >>> n & 1) flags |= bit;
  });
  const name = Mnemonic[i.mnemonic];
  // By count: OF only for 1, CF only up to the operand's width; AF never.
  if (/^(Sh[lr]|Sal|Sar|Shld|Shrd)$/.test(name)) flags |= 0x811;
  if (/^(Ro[lr]|Rc[lr])$/.test(name)) flags |= 0x800;
  if (/^(Shld|Shrd)$/.test(name)) flags |= 0x8d5; // count above 16 with 16-bit operands
  return flags;
}

/** Bits set in a small mask, one of them. */
function pickBit(r: Random, mask: number): number {
  const set = [0, 1, 2, 3, 4, 5, 6, 7].filter((n) => mask >>> n & 1);
  return r.pick(set);
}

/** Appends prefixes, opcode and operands, without immediates. */
function encode(b: Building, e: Encoding): void {
  const { r, bytes } = b;
  const segment = r.chance(0.06)
    ? r.pick(b.mode === 64 ? [0x26, 0x2e, 0x36, 0x3e, 0x65] : [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65])
    : 0;
  const lock = r.chance(0.05), addressSize = r.chance(0.05);
  if (lock) bytes.push(0xf0);
  if (segment) bytes.push(segment);
  if (addressSize) bytes.push(0x67);
  if (r.chance(0.03)) bytes.push(r.pick([0xf2, 0xf3]));
  for (const p of e.prefixes) bytes.push(p);
  const stringOp = e.opcode.length === 1 && /^(6[c-f]|a[4-7a-f])$/.test(e.opcode[0].toString(16));
  if (stringOp && r.chance(0.5)) bytes.push(r.pick([0xf2, 0xf3]));
  let rex = 0;
  if (b.mode === 64 && (e.rexW || r.chance(0.3))) {
    rex = 0x40 | (e.rexW ? 8 : 0) | r.below(8);
    bytes.push(rex);
  }
  for (const o of e.opcode) bytes.push(o);
  if (e.modrm === "none") return;
  const reg = pickBit(r, e.regs);
  if (e.modrm === "reg") bytes.push(0xc0 | reg << 3 | pickBit(r, e.rms));
  else memoryOperand(b, reg, rex, addressSize, segment === 0x65);
}

/** Values for an immediate of the given size. */
function immediate(r: Random, name: string): bigint {
  if (name === "Int") return BigInt(r.pick([0, 1, 3, 4, 5, 0x20, 0x2e, 0xff]));
  if (name === "Enter") return BigInt(r.below(64));
  return interesting(r);
}

/** One instruction appended to the case; null when the bytes are not to be run. */
function appendInstruction(b: Building, form: CodeForm, groups: ReadonlySet<Group>): Instruction | null {
  const start = b.bytes.length;
  encode(b, b.r.pick(form.encodings));
  const head = b.bytes.length;
  const padded = new Uint8Array(start + 24);
  padded.set(b.bytes);
  for (let i = head; i < padded.length; i++) padded[i] = b.r.below(256);
  const decoder = new Decoder(b.mode, padded.subarray(start), DECODER_OPTIONS);
  try {
    decoder.ip = BigInt((b.mode === 16 ? 0 : CODE) + CODE_OFFSET + start);
    decoder.decodeOut(instruction);
    if (isExcluded(instruction.code, instruction.mnemonic)) return null;
    if (instruction.code === 0) {
      if (groupOfInvalid(padded, start, b.mode)) return null;
      for (let i = head; i < Math.min(start + 15, padded.length); i++) b.bytes.push(padded[i]);
      return instruction;
    }
    for (const f of instruction.cpuidFeatures()) {
      const g = GROUP_OF_FEATURE[CpuidFeature[f]];
      if (!g || !groups.has(g)) return null;
    }
    for (let i = head - start; i < instruction.length; i++) b.bytes.push(padded[start + i]);
    patchConstants(b, decoder, start);
    return instruction;
  } finally {
    decoder.free();
  }
}

/** True when undefined bytes may mean something to the host: escapes that later extensions use. */
function groupOfInvalid(bytes: Uint8Array, start: number, mode: Mode): boolean {
  let i = start;
  while ([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3].includes(bytes[i])) i++;
  if (mode === 64 && (bytes[i] & 0xf0) === 0x40) i++;
  if ([0xc4, 0xc5, 0x62].includes(bytes[i])) return true;
  return bytes[i] === 0x0f && [0x01, 0x0f, 0x38, 0x3a, 0xae, 0xc7].includes(bytes[i + 1]);
}

/** Interesting immediates; short branches stay in the code page most of the time. */
function patchConstants(b: Building, decoder: Decoder, start: number): void {
  const offsets = decoder.getConstantOffsets(instruction);
  const name = Mnemonic[instruction.mnemonic];
  const branch = /^(J|Loop|Call)/.test(name);
  const put = (at: number, size: number, value: bigint) => {
    for (let i = 0; i < size; i++) b.bytes[start + at + i] = Number(value >> BigInt(i * 8) & 0xffn);
  };
  if (
    offsets.hasImmediate &&
    (name === "Int" || b.r.chance(branch ? offsets.immediateSize === 1 ? 1 : 0.9 : 0.6))
  ) {
    const value = branch
      ? BigInt(b.r.chance(0.5) ? 64 + b.r.below(50) : -64 - b.r.below(50))
      : immediate(b.r, name);
    put(offsets.immediateOffset, offsets.immediateSize, value);
  }
  if (offsets.hasImmediate2 && b.r.chance(0.7)) {
    put(offsets.immediateOffset2, offsets.immediateSize2, BigInt(b.r.below(4)));
  }
  // MOV with an absolute address has a displacement and no ModRM byte.
  if (offsets.hasDisplacement && b.bytes[start + offsets.displacementOffset - 1] >> 2 === 0xa0 >> 2) {
    put(offsets.displacementOffset, offsets.displacementSize, randomAddress(b.r, b.mode));
  }
  offsets.free();
}

/** Fixes registers that one instruction would otherwise almost always misuse. */
function adaptRegisters(b: Building, name: string): void {
  if (/^(Bt|Bts|Btr|Btc)$/.test(name) && b.r.chance(0.7)) {
    for (let i = 0; i < 16; i++) if (!b.taken.has(i)) b.gpr[i] = wrap(BigInt(b.r.below(512) - 256), b.mode);
  }
  if (/^(Jmp|Call)$/.test(name) && b.r.chance(0.6)) {
    for (let i = 0; i < 16; i++) {
      if (i !== 4 && !b.taken.has(i)) b.gpr[i] = codePointer(b.r, b.mode);
    }
  }
}

function randomPatches(r: Random, gpr: BigUint64Array, mode: Mode): TestCase["patches"] {
  const patches: TestCase["patches"] = [];
  const near = (address: bigint, bytes: Uint8Array) => {
    const offset = mode === 16 ? Number(address & 0xffffn) : Number(address - BigInt(WINDOW));
    if (offset >= 0 && offset + bytes.length <= WINDOW_SIZE + READONLY_SIZE) patches.push({ offset, bytes });
  };
  const word = (v: bigint) => new Uint8Array(new BigUint64Array([v]).buffer);
  if (r.chance(0.4)) near(gpr[4], word(codePointer(r, mode)));
  for (const i of [6, 7, r.below(16), r.below(16)]) if (r.chance(0.6)) near(gpr[i], word(interesting(r)));
  return patches;
}

/** Instructions whose result is not the same on every processor: nothing may follow them. */
export const APPROXIMATE = /^(Rcp|Rsqrt)[ps]s$|^Dpp[sd]$/;

/** x87 functions accurate to one unit in the last place (SDM volume 1, 8.3.10). */
export const TRANSCENDENTAL = /^(Fsin|Fcos|Fsincos|Fptan|Fpatan|Fyl2x|Fyl2xp1|F2xm1)$/;

/** Instructions that store or load the x87 pointers. */
export const STORES_POINTERS = /^(Fn?stenv|Fn?save|Fxsave|Fldenv|Frstor|Fxrstor)/;

/** Forms by mode and groups, and their cached lists. */
const selections = new Map<string, CodeForm[]>();
function formsFor(mode: Mode, groups: ReadonlySet<Group>): CodeForm[] {
  const key = `${mode} ${[...groups]}`;
  let list = selections.get(key);
  if (!list) selections.set(key, list = formsOf(mode).filter((f) => groups.has(f.group)));
  return list;
}

/**
 * Tries once; null when the bytes that came out must not be run.
 * @param only one instruction of this form, instead of a sequence of any
 */
function attempt(r: Random, mode: Mode, groups: ReadonlySet<Group>, only?: CodeForm): GeneratedCase | null {
  const forms = only ? [only] : formsFor(mode, groups);
  const b: Building = { r, mode, bytes: [], gpr: randomRegisters(r, mode), taken: new Set() };
  const length = only || r.chance(0.75) ? 1 : 2 + r.below(4);
  let form = forms[0], undefinedFlags = 0, mnemonic = "", transcendental = false, mmx = false;
  for (let n = 0; n < length && b.bytes.length < 45; n++) {
    form = r.pick(forms);
    const decoded = appendInstruction(b, form, groups);
    if (!decoded || b.bytes.length > 64 || only && decoded.code !== only.code) return null;
    // What is undefined must not steer what follows.
    if ((undefinedFlags || transcendental || APPROXIMATE.test(mnemonic)) && n > 0) return null;
    // Nor do processors agree on the pointers to the last x87 instruction (CPUID leaf 7, FDP_EXCPTN_ONLY, no FCS/FDS).
    // A 32-bit displacement beyond a 64 KiB segment: ours faults at the target, processors at the branch.
    if (mode === 16 && /_rel32/.test(Code[decoded.code])) return null;
    const pointers = STORES_POINTERS.test(Mnemonic[decoded.mnemonic]);
    if (pointers && n > 0) return null;
    // Narrow addresses would wrap inside the area; FXSAVE's many checks have an order of their own through CS.
    if (pointers && (mode === 16) !== b.bytes.includes(0x67)) return null;
    if (pointers && b.bytes.includes(0x2e)) return null;
    undefinedFlags = undefinedFlagsOf(decoded);
    mnemonic = Mnemonic[decoded.mnemonic];
    if (form.group === "mmx" || /_mm(_|$)/.test(form.name)) mmx = true;
    if (TRANSCENDENTAL.test(mnemonic)) transcendental = true;
    adaptRegisters(b, mnemonic);
    if (decoded.code === 0) break;
  }
  const code = new Uint8Array(b.bytes);
  const test: TestCase = {
    mode,
    code,
    codeOffset: r.chance(0.03) ? 4096 - Math.max(1, code.length - r.below(3)) : CODE_OFFSET,
    seed: r.u32(),
    rflags: (r.u32() & 0x8d5) | (r.chance(0.2) ? 0x400 : 0) | (r.chance(0.02) ? 0x100 : 0) |
      (r.chance(0.02) ? 0x40000 : 0),
    gpr: b.gpr,
    fx: randomFx(r, [...groups].some((g) => g !== "int" && g !== "invalid")),
    patches: randomPatches(r, b.gpr, mode),
  };
  test.rflags &= FLAGS_LOADED;
  test.code = code.subarray(0, 4096 - test.codeOffset);
  return { test, form, undefinedFlags, mnemonic, transcendental, mmx };
}

/** The case with a number. */
export function makeCase(seed: number, index: number, groups: ReadonlySet<Group>): GeneratedCase {
  const r = new Random(seed, index);
  const mode: Mode = r.chance(0.6) ? 64 : r.chance(0.6) ? 32 : 16;
  for (;;) {
    const made = attempt(r, mode, groups);
    if (made) return made;
  }
}

/** A state for one instruction of a form; null when the form's encodings are never run (too many tries). */
export function makeFormCase(
  r: Random,
  mode: Mode,
  groups: ReadonlySet<Group>,
  form: CodeForm,
): GeneratedCase | null {
  for (let tries = 0; tries < 400; tries++) {
    const made = attempt(r, mode, groups, form);
    if (made) return made;
  }
  return null;
}
