/**
 * Small loops for the host differential test: what a compiler of hot code must get right. A body of random
 * instructions with forward branches runs a few dozen times; pointers are never overwritten, so few runs end early.
 *
 * @module
 */
import { Code, CpuidFeature, Decoder, FlowControl, Instruction, Mnemonic } from "iced-x86";
import { DECODER_OPTIONS } from "./disasm.ts";
import { randomFx } from "./fpstate.ts";
import { type CodeForm, type Encoding, formsOf, type Group, GROUP_OF_FEATURE, isExcluded } from "./forms.ts";
import {
  APPROXIMATE,
  type GeneratedCase,
  STORES_POINTERS,
  TRANSCENDENTAL,
  undefinedFlagsOf,
} from "./generate.ts";
import { CODE_OFFSET } from "./operand.ts";
import { CODE, FLAGS_LOADED, type Mode, type TestCase, WINDOW } from "./protocol.ts";
import { interesting, Random } from "./random.ts";

const instruction = new Instruction();
/** Where in the window the loop counter is: far from what the pointers reach. */
const COUNTER = 0x1800;
/** Registers that hold pointers: SP; SI and DI, which point at the page boundary in the middle of the window. */
const POINTERS = new Set([4, 6, 7]);
const STACK = 0x1f00, MIDDLE = 0x1000;

/** Never in a loop: they leave it, change pointers, or need privileges. */
const UNSUITABLE = new RegExp(
  "^(Ret|Call|Jmp|J|Loop|Int|Bound|Enter|Leave|Popa|Popad|Pusha|Pushad|Popf|Popfd|Popfq|Ud|Hlt|Cli|Sti|In|Out|Ins|Outs|" +
    "Lmsw|Clts|Inv|Wbinvd|Lgdt|Lidt|Lldt|Ltr|Rdmsr|Wrmsr|Sysret|Sysexit|Movs[bwdq]?|Stos|Lods|Cmps|Scas|Xlat|Div|Idiv|Aam|" +
    "Clflush|Wait)",
);

function suitable(f: CodeForm): boolean {
  const name = Mnemonic[f.mnemonic];
  if (STORES_POINTERS.test(name) || TRANSCENDENTAL.test(name) || APPROXIMATE.test(name)) return false;
  // A bit offset reaches anything, the counter included.
  if (/^Bt[src]?_rm\d+_r/.test(f.name)) return false;
  if (f.group === "sse2" && name === "Movsd") return true;
  if (/^(Stosb|Stosw|Stosd|Stosq|Lods.|Cmps.|Scas.|Movs[bwdq])$/.test(name) && f.group === "int") {
    return false;
  }
  if (/^(Inc|Movsx|Movsxd|Movss|Invalid|Inser)/.test(name)) return !/^Inv/.test(name);
  return !UNSUITABLE.test(name) && !/_(cr|dr|Sreg|moffs)|Sreg/.test(Code[f.code]);
}

const lists = new Map<string, CodeForm[]>();
function formsFor(mode: Mode, groups: ReadonlySet<Group>): CodeForm[] {
  const key = `${mode} ${[...groups]}`;
  let list = lists.get(key);
  if (!list) lists.set(key, list = formsOf(mode).filter((f) => groups.has(f.group) && suitable(f)));
  return list;
}

/** Register numbers (three bits) that may be overwritten. */
const FREE = [0, 1, 2, 3, 5];

/** Encodings whose register is in the opcode itself. */
function registerInOpcode(e: Encoding): boolean {
  const [a, b] = e.opcode;
  return e.opcode.length === 1
    ? a >= 0x40 && a <= 0x5f || a >= 0x90 && a <= 0x97 || a >= 0xb0 && a <= 0xbf
    : a === 0x0f && b >= 0xc8 && b <= 0xcf;
}

/** Prefixes, opcode and operands; null when a pointer would be written. */
function encode(r: Random, mode: Mode, e: Encoding): number[] | null {
  const bytes = [...e.prefixes];
  let rex = 0;
  if (mode === 64 && (e.rexW || r.chance(0.4))) rex = 0x40 | (e.rexW ? 8 : 0) | r.below(8);
  // An index register is not used, so that REX.X must not make SP one.
  rex &= ~2;
  if (registerInOpcode(e) && !(rex & 1) && !FREE.includes(e.opcode[e.opcode.length - 1] & 7)) return null;
  const fixed = (mask: number) => (mask & mask - 1) === 0;
  const register = (mask: number, extended: boolean) => {
    const choices = [0, 1, 2, 3, 4, 5, 6, 7].filter((n) =>
      mask >>> n & 1 && (extended || fixed(mask) || FREE.includes(n))
    );
    return choices.length ? r.pick(choices) : -1;
  };
  let tail: number[] = [];
  if (e.modrm !== "none") {
    const reg = register(e.regs, (rex & 4) !== 0);
    if (reg < 0) return null;
    if (e.modrm === "reg") {
      const rm = register(e.rms, (rex & 1) !== 0);
      if (rm < 0 || fixed(e.rms) && POINTERS.has(rm) && !(rex & 1)) return null;
      tail = [0xc0 | reg << 3 | rm];
    } else {
      rex &= ~1;
      const disp = (r.below(10) ? 16 * r.below(8) - 64 : r.below(128) - 64) & 0xff;
      const base = mode === 16 ? r.pick([4, 5]) : r.pick([6, 7]); // [SI], [DI]
      tail = [0x40 | reg << 3 | base, disp];
    }
  }
  if (rex) bytes.push(rex);
  return [...bytes, ...e.opcode, ...tail];
}

/** One complete instruction, or null. */
function makeInstruction(
  r: Random,
  mode: Mode,
  groups: ReadonlySet<Group>,
): { bytes: number[]; form: CodeForm; undefinedFlags: number } | null {
  const form = r.pick(formsFor(mode, groups));
  const head = encode(r, mode, r.pick(form.encodings));
  if (!head) return null;
  const padded = new Uint8Array(24);
  padded.set(head);
  for (let i = head.length; i < 24; i++) padded[i] = r.below(256);
  const decoder = new Decoder(mode, padded, DECODER_OPTIONS);
  decoder.decodeOut(instruction);
  const offsets = decoder.getConstantOffsets(instruction);
  if (offsets.hasImmediate && r.chance(0.5)) {
    const value = interesting(r);
    for (let i = 0; i < offsets.immediateSize; i++) {
      padded[offsets.immediateOffset + i] = Number(value >> BigInt(i * 8) & 0xffn);
    }
  }
  offsets.free();
  decoder.free();
  const i = instruction;
  if (
    i.code === 0 || isExcluded(i.code, i.mnemonic) || i.isPrivileged || i.flowControl !== FlowControl.Next
  ) return null;
  for (const f of i.cpuidFeatures()) {
    const g = GROUP_OF_FEATURE[CpuidFeature[f]];
    if (!g || !groups.has(g)) return null;
  }
  const bytes = [...padded.subarray(0, i.length)];
  // SHLD and SHRD of 16 bits by more than 16 have no defined result.
  if (/^Sh[lr]d_rm16_r16_imm8$/.test(Code[i.code])) bytes[bytes.length - 1] &= 0xef;
  if (/^Sh[lr]d_rm16_r16_CL$/.test(Code[i.code])) bytes.unshift(0x80, 0xe1, 0x0f); // AND CL, 15
  return { bytes, form, undefinedFlags: undefinedFlagsOf(i) };
}

/** CMP AL, imm8: gives every flag a value again. */
const settleFlags = (r: Random) => [0x3c, r.below(256)];

function counterInstruction(mode: Mode): number[] {
  if (mode === 16) return [0xff, 0x0e, ...le(COUNTER, 2)]; // dec word [COUNTER]
  return mode === 64
    ? [0xff, 0x0c, 0x25, ...le(WINDOW + COUNTER, 4)]
    : [0xff, 0x0d, ...le(WINDOW + COUNTER, 4)];
}

/** Little-endian bytes of an integer. */
const le = (v: number, n: number): number[] => Array.from({ length: n }, (_, i) => v >>> (i * 8) & 0xff);

/** The body of a loop while it grows, and where it calls the subroutine behind the loop. */
interface Body {
  bytes: number[];
  /** Positions of relative call displacements. */
  calls: number[];
  /** Positions of absolute addresses of the subroutine. */
  pointers: number[];
}

/** Bytes of a near displacement, and of an address in a register. */
const width = (mode: Mode) => mode === 16 ? 2 : 4;

/** Control transfers and string instructions, in shapes that keep pointers and stack as they are. */
function appendSpecial(r: Random, mode: Mode, b: Body): void {
  const w = width(mode), register = r.pick(FREE);
  switch (r.below(5)) {
    case 0: // CALL rel
      b.bytes.push(0xe8);
      b.calls.push(b.bytes.length);
      b.bytes.push(...le(0, w));
      return;
    case 1: // MOV reg, address; CALL reg
      b.bytes.push(0xb8 | register);
      b.pointers.push(b.bytes.length);
      b.bytes.push(...le(0, w), 0xff, 0xd0 | register);
      return;
    case 2: // JMP over something
      b.bytes.push(0xeb, 2, 0x0f, 0x0b);
      return;
    case 3: // PUSH, POP elsewhere
      b.bytes.push(0x50 | register, 0x58 | r.pick(FREE));
      return;
    default: { // PUSH SI; PUSH DI; MOV CX, n; REP string; POP DI; POP SI
      const op = r.pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]);
      const rep = [0xa6, 0xa7, 0xae, 0xaf].includes(op) ? r.pick([0xf2, 0xf3]) : 0xf3;
      b.bytes.push(0x56, 0x57, 0xb9, ...le(r.below(12), w), rep, op, 0x5f, 0x5e);
    }
  }
}

/** A random instruction with settled flags, sometimes jumped over. */
function appendPiece(r: Random, mode: Mode, groups: ReadonlySet<Group>, bytes: number[]): CodeForm {
  for (;;) {
    const made = makeInstruction(r, mode, groups);
    if (!made) continue;
    const piece = made.undefinedFlags ? [...made.bytes, ...settleFlags(r)] : made.bytes;
    if (r.chance(0.25)) bytes.push(0x70 | r.below(16), piece.length); // Jcc over the piece
    bytes.push(...piece);
    return made.form;
  }
}

/** Body, counter, branch back, INT3, subroutine. */
function makeCode(r: Random, mode: Mode, groups: ReadonlySet<Group>): { code: number[]; form: CodeForm } {
  const b: Body = { bytes: [], calls: [], pointers: [] }, length = 2 + r.below(12);
  let form = formsFor(mode, groups)[0];
  for (let n = 0; n < length && b.bytes.length < 100; n++) {
    if (r.chance(0.15)) appendSpecial(r, mode, b);
    else form = appendPiece(r, mode, groups, b.bytes);
  }
  const counter = counterInstruction(mode), w = width(mode);
  const near = b.bytes.length < 100;
  const back = -(b.bytes.length + counter.length + (near ? 2 : 2 + w));
  const code = [...b.bytes, ...counter, ...(near ? [0x75, back & 0xff] : [0x0f, 0x85, ...le(back, w)]), 0xcc];
  const sub = code.length;
  if (b.calls.length + b.pointers.length) {
    for (let n = r.below(3); n >= 0; n--) appendPiece(r, mode, groups, code);
    code.push(0xc3);
  }
  const put = (at: number, v: number) => le(v, w).forEach((byte, i) => code[at + i] = byte);
  for (const at of b.calls) put(at, sub - at - w);
  for (const at of b.pointers) put(at, (mode === 16 ? 0 : CODE) + CODE_OFFSET + sub);
  return { code, form };
}

/** The loop with a number. */
export function makeLoop(seed: number, index: number, groups: ReadonlySet<Group>): GeneratedCase {
  const r = new Random(seed ^ 0x5eed, index);
  const mode: Mode = r.chance(0.6) ? 64 : r.chance(0.7) ? 32 : 16;
  const { code, form } = makeCode(r, mode, groups);
  const gpr = new BigUint64Array(16), window = mode === 16 ? 0 : WINDOW;
  for (let i = 0; i < 16; i++) gpr[i] = interesting(r);
  for (const p of POINTERS) gpr[p] = BigInt(window + (p === 4 ? STACK : MIDDLE));
  if (mode !== 64) { for (let i = 0; i < 16; i++) gpr[i] &= 0xffff_ffffn; }
  const test: TestCase = {
    mode,
    code: new Uint8Array(code),
    codeOffset: CODE_OFFSET,
    seed: r.u32(),
    rflags: r.u32() & 0x8d5 & FLAGS_LOADED | (r.chance(0.1) ? 0x400 : 0),
    gpr,
    fx: randomFx(r, [...groups].some((g) => g !== "int")),
    patches: [{ offset: COUNTER, bytes: new Uint8Array([1 + r.below(40), 0, 0, 0]) }],
  };
  return {
    test,
    form,
    undefinedFlags: 0,
    mnemonic: Mnemonic[form.mnemonic],
    transcendental: false,
    mmx: true,
  };
}
