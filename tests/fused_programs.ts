/**
 * Machine code for the words in which `core/cpu/decode/sequences.ts` names instructions, with random operands.
 *
 * Source of encodings: Intel SDM volume 2.
 */
import { randomFx } from "./fidelity/fpstate.ts";
import { CODE_OFFSET } from "./fidelity/operand.ts";
import { FLAGS_LOADED, type TestCase, WINDOW } from "./fidelity/protocol.ts";
import { interesting, Random } from "./fidelity/random.ts";

const ALU = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"];
const SHIFTS = ["rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"];
/** Opcode and ModRM.reg of one-operand instructions. */
const UNARY: Record<string, [number, number]> = {
  inc: [0xfe, 0],
  dec: [0xfe, 1],
  not: [0xf6, 2],
  neg: [0xf6, 3],
  mul: [0xf6, 4],
};
const NAMES = [
  ...[...ALU, ...SHIFTS, ...Object.keys(UNARY)],
  ...[
    "movzx",
    "movsx",
    "mov",
    "lea",
    "test",
    "imul2",
    "push",
    "pop",
    "call",
    "ret",
    "jmp",
    "jcc",
    "cmov",
    "setcc",
  ],
];

/** One word taken apart. */
interface Word {
  name: string;
  /** Operand size in bits; 0: the mode's. */
  size: number;
  /** Operands: a letter, and its size where that differs. */
  operands: string[];
  sub: number;
}

function takeApart(word: string): Word {
  const name = NAMES.filter((n) => word.startsWith(n)).sort((a, b) => b.length - a.length)[0];
  const rest = /^(\d*)(?::([a-z0-9,]*))?(?:\.(\d+))?$/.exec(word.slice(name?.length ?? 0));
  if (!name || !rest) throw new Error(`no encoding is known for "${word}"`);
  const [, size, operands = "", sub = "0"] = rest;
  return { name, size: Number(size), operands: operands.split(",").filter((o) => o), sub: Number(sub) };
}

/** Registers that keep their pointers most of the time. */
const SP = 4, POINTERS = [6, 7];

/** Writes instructions of one mode. */
class Encoder {
  readonly bytes: number[] = [];
  /** @param gentle immediates are small, mostly: pointers and counters go far before a loop ends */
  constructor(readonly r: Random, readonly long: boolean, readonly gentle = false) {}

  /** A register: mostly not one that holds a pointer, seldom the stack pointer; in a loop, `moved` pointers. */
  #register(moved = false): number {
    const { r } = this;
    if (moved && this.gentle && r.chance(0.7)) return POINTERS[0];
    const n = r.chance(0.1) ? r.below(8) : r.pick([0, 1, 2, 3, 5]);
    return this.long && r.chance(0.3) ? n | 8 : n;
  }
  /** ModRM, SIB and displacement of memory around a pointer; now and then of anything. */
  #memory(): { rm: number[]; index: number; base: number } {
    const { r } = this, pointer = this.gentle && r.chance(0.6) ? POINTERS[0] : r.pick(POINTERS);
    const base = r.chance(0.9) ? pointer : r.pick([0, 1, 2, 3, 6, 7]);
    const disp = r.below(200) - 100 & 0xff;
    if (r.chance(0.8)) return { rm: [0x40 | base, disp], index: 0, base };
    const index = r.pick([0, 1, 2, 3]);
    return { rm: [0x44, r.below(4) << 6 | index << 3 | base, disp], index, base };
  }
  #immediate(size: number): number[] {
    const { r } = this, small = this.gentle && r.chance(0.8);
    const v = small ? BigInt.asUintN(64, BigInt(r.below(40) - 8)) : interesting(r);
    return Array.from({ length: size / 8 }, (_, i) => Number(v >> BigInt(i * 8) & 0xffn));
  }

  /** Prefixes, opcode, ModRM with the operands `e` or `m` in rm. `reg` is a register, or the opcode's extension. */
  #put(size: number, opcode: number[], reg: number, rm: "e" | "m", byteRegs: boolean, moved = false): void {
    const memory = rm === "m" ? this.#memory() : null, e = rm === "e" ? this.#register(moved) : 0;
    const rex = (size === 64 ? 8 : 0) | (reg >> 3 & 1) << 2 | (memory === null ? e >> 3 & 1 : 0);
    if (size === 16) this.bytes.push(0x66);
    if (rex !== 0 || this.long && byteRegs && this.r.chance(0.3)) this.bytes.push(0x40 | rex);
    this.bytes.push(...opcode);
    if (memory === null) this.bytes.push(0xc0 | (reg & 7) << 3 | e & 7);
    else this.bytes.push(memory.rm[0] | (reg & 7) << 3, ...memory.rm.slice(1));
  }

  /** Appends the instruction that a word names. */
  word(text: string): void {
    const w = takeApart(text), { name } = w, size = w.size;
    const wide = size === 8 ? 0 : 1,
      imm = Math.min(size, 32),
      rm = w.operands.some((o) => o[0] === "m") ? "m" : "e";
    const shape = w.operands.map((o) => o[0]).join("");
    const reg = shape.includes("g") ? this.#register() : 0;
    if (this.#branch(w)) return;
    if (ALU.includes(name)) return this.#alu(ALU.indexOf(name) * 8, shape, size, reg, rm, imm);
    if (name === "test") {
      if (shape === "ai") return this.#accumulator(0xa8 + wide, size, imm);
      if (shape.endsWith("i")) {
        this.#put(size, [0xf6 + wide], 0, rm, size === 8);
        this.bytes.push(...this.#immediate(imm));
      } else this.#put(size, [0x84 + wide], reg, rm, size === 8);
    } else if (name === "mov") this.#mov(shape, size, reg, rm, imm);
    else if (name === "movzx" || name === "movsx") {
      const from = Number(w.operands[1].slice(1));
      const opcode = from === 32 ? [0x63] : [0x0f, (name === "movzx" ? 0xb6 : 0xbe) + (from === 8 ? 0 : 1)];
      this.#put(size, opcode, reg, rm, from === 8);
    } else if (name === "lea") this.#put(size, [0x8d], reg, "m", false);
    else if (name === "imul2") {
      this.#put(
        size,
        [shape.endsWith("i") ? 0x69 : 0x0f, ...(shape.endsWith("i") ? [] : [0xaf])],
        reg,
        rm,
        false,
      );
      if (shape.endsWith("i")) this.bytes.push(...this.#immediate(imm));
    } else if (SHIFTS.includes(name)) this.#shift(SHIFTS.indexOf(name), w.operands[1], size, wide, rm);
    else if (UNARY[name]) {
      const short = !this.long && size === 32 && /inc|dec/.test(name);
      if (short) this.bytes.push((name === "inc" ? 0x40 : 0x48) | this.#register(true));
      else this.#put(size, [UNARY[name][0] + wide], UNARY[name][1], rm, size === 8);
    } else if (name === "cmov") this.#put(size, [0x0f, 0x40 | w.sub], reg, rm, false);
    else this.#put(8, [0x0f, 0x90 | w.sub], 0, rm, true); // setcc
  }

  #alu(opcode: number, shape: string, size: number, reg: number, rm: "e" | "m", imm: number): void {
    const wide = size === 8 ? 0 : 1;
    if (shape === "ai") return this.#accumulator(opcode + 4 + wide, size, imm);
    if (!shape.endsWith("i")) {
      return this.#put(size, [opcode + wide + (shape.startsWith("g") ? 2 : 0)], reg, rm, size === 8);
    }
    const short = size !== 8 && this.r.chance(0.5);
    const moved = size >= 32 && (opcode === 0 || opcode === 0x28); // ADD, SUB
    this.#put(size, [size === 8 ? 0x80 : short ? 0x83 : 0x81], opcode >> 3, rm, size === 8, moved);
    this.bytes.push(...this.#immediate(short ? 8 : imm));
  }
  #accumulator(opcode: number, size: number, imm: number): void {
    if (size === 16) this.bytes.push(0x66);
    if (size === 64) this.bytes.push(0x48);
    this.bytes.push(opcode, ...this.#immediate(imm));
  }
  #mov(shape: string, size: number, reg: number, rm: "e" | "m", imm: number): void {
    const wide = size === 8 ? 0 : 1;
    if (shape === "gi") {
      const rex = (size === 64 ? 8 : 0) | reg >> 3;
      if (size === 16) this.bytes.push(0x66);
      if (rex) this.bytes.push(0x40 | rex);
      this.bytes.push((size === 8 ? 0xb0 : 0xb8) | reg & 7, ...this.#immediate(size));
    } else if (shape.endsWith("i")) {
      this.#put(size, [0xc6 + wide], 0, rm, size === 8);
      this.bytes.push(...this.#immediate(imm));
    } else this.#put(size, [0x88 + wide + (shape === "gm" ? 2 : 0)], reg, rm, size === 8);
  }
  #shift(kind: number, by: string, size: number, wide: number, rm: "e" | "m"): void {
    const { r } = this;
    if (by[0] === "c") return this.#put(size, [0xd2 + wide], kind, rm, size === 8);
    if (r.chance(0.3)) return this.#put(size, [0xd0 + wide], kind, rm, size === 8);
    this.#put(size, [0xc0 + wide], kind, rm, size === 8);
    this.bytes.push(r.below(2) ? r.below(40) : r.below(256));
  }
  /** Branches (over nothing, or over an undefined instruction) and the stack. */
  #branch(w: Word): boolean {
    const { r, bytes } = this, n = r.chance(0.1) ? SP : r.pick([0, 1, 2, 3, 5, ...POINTERS]);
    if (w.name === "jcc") bytes.push(0x70 | w.sub, 2, 0x0f, 0x0b);
    else if (w.name === "jmp") bytes.push(0xeb, 2, 0x0f, 0x0b);
    else if (w.name === "call") bytes.push(0xe8, 2, 0, 0, 0, 0x0f, 0x0b);
    else if (w.name === "ret") bytes.push(0xc3);
    else if (w.name === "push" || w.name === "pop") bytes.push((w.name === "push" ? 0x50 : 0x58) | n);
    else return false;
    return true;
  }
}

/** A case that executes machine code from a random state. */
function caseOf(r: Random, bytes: readonly number[], long: boolean): TestCase {
  const gpr = new BigUint64Array(16);
  for (let i = 0; i < 16; i++) gpr[i] = long ? interesting(r) : interesting(r) & 0xffff_ffffn;
  gpr[SP] = BigInt(WINDOW + (r.chance(0.9) ? 0x1f00 : r.pick([0, 4, 8, 0x2ffc, 0x3000])));
  // Around the window's middle and near its read-only end, where stores begin to fault.
  for (const p of POINTERS) gpr[p] = BigInt(WINDOW + (r.chance(0.9) ? 0x1000 : 0x1ff8));
  return {
    mode: long ? 64 : 32,
    code: new Uint8Array(bytes),
    codeOffset: CODE_OFFSET,
    seed: r.u32(),
    rflags: r.u32() & 0x8d5 & FLAGS_LOADED,
    gpr,
    fx: randomFx(r, false),
    patches: [],
  };
}

/** A case that executes the instructions of a sequence once, from a random state. */
export function sequenceCase(seed: number, index: number, words: readonly string[], long: boolean): TestCase {
  const r = new Random(seed, index), code = new Encoder(r, long);
  for (const w of words) code.word(w);
  return caseOf(r, code.bytes, long);
}

/**
 * A case in which a sequence that ends in a branch repeats itself: alone, or in turn with another one of the same shape
 * (which is decoded first and entered by a jump, now and then).
 */
export function loopCase(seed: number, index: number, words: readonly string[], long: boolean): TestCase {
  const r = new Random(seed, index), code = new Encoder(r, long, true), { bytes } = code;
  const double = r.chance(0.4), entry = double && r.chance(0.5);
  if (entry) bytes.push(0xeb, 0);
  const start = bytes.length;
  for (const w of words) code.word(w);
  // The branch: two bytes of it count, the undefined instruction behind it goes.
  bytes.length -= 2;
  const first = bytes.length;
  if (double) {
    if (entry) bytes[1] = first - start;
    for (const w of words) code.word(w);
    bytes.length -= 2;
    bytes[first - 1] = bytes.length - first;
  }
  bytes[bytes.length - 1] = start - bytes.length & 0xff;
  const test = caseOf(r, bytes, long);
  // Not far from the boundary of two pages, which the loop may cross.
  for (const p of POINTERS) test.gpr[p] += BigInt(r.below(120) - 80);
  return test;
}
