/**
 * One case and what two processors did with it, as the rules of `vendor_rules.ts` look at it: the instructions by
 * iced-x86, the addresses of their operands, which of them ended the case.
 *
 * @module
 */
import { Code, Decoder, Instruction, MemorySizeExt, Mnemonic, OpKind, Register } from "iced-x86";
import type { Difference } from "./compare.ts";
import { DECODER_OPTIONS } from "./disasm.ts";
import type { GeneratedCase } from "./generate.ts";
import { CODE, firstRip, GS_BASE, type TestResult, WINDOW, windowContents } from "./protocol.ts";

/** An instruction of a case. */
export interface Ran {
  /** RIP at which it starts. */
  rip: number;
  /** `Code` and `Mnemonic` of iced-x86. */
  name: string;
  mnemonic: string;
  /** Has an explicit memory operand. */
  memory: boolean;
  /** REX prefix, 0 without one. */
  rex: number;
  operandSizePrefix: boolean;
  addressSizePrefix: boolean;
  repeatPrefix: boolean;
  /** A near jump, call or return. */
  nearBranch: boolean;
  /** F0 0F 20 or F0 0F 22. */
  lockMovCr: boolean;
  /** Number of the general register that is the first operand, or -1. */
  destination: number;
  /** The instruction has an immediate byte, this one. */
  immediate: number | null;
  /** Explicit memory operand: register numbers (-1: none), scale, displacement, width of the address, bytes. */
  base: number;
  index: number;
  scale: number;
  displacement: bigint;
  addressBits: 16 | 32 | 64;
  size: number;
  segment: string;
}

const NOTHING: Ran = {
  rip: -1,
  name: "",
  mnemonic: "",
  memory: false,
  rex: 0,
  operandSizePrefix: false,
  addressSizePrefix: false,
  repeatPrefix: false,
  nearBranch: false,
  lockMovCr: false,
  destination: -1,
  immediate: null,
  base: -1,
  index: -1,
  scale: 1,
  displacement: 0n,
  addressBits: 32,
  size: 0,
  segment: "DS",
};

const NUMBERS = new Map<number, number>();
const LOW_NAMES = ["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"];
for (let n = 0; n < 16; n++) {
  const names = n < 8
    ? [LOW_NAMES[n], `E${LOW_NAMES[n]}`, `R${LOW_NAMES[n]}`]
    : [`R${n}W`, `R${n}D`, `R${n}`];
  for (const name of names) NUMBERS.set(Register[name as keyof typeof Register], n);
}
const number = (register: number) => NUMBERS.get(register) ?? -1;
const LEGACY = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/** True for the opcode of a near jump, call or return: by bytes, as the rest may lie beyond the page. */
function isNearBranch(bytes: Uint8Array, at: number): boolean {
  const op = bytes[at], next = bytes[at + 1];
  if (op === 0x0f) return (next & 0xf0) === 0x80;
  if (op === 0xff) return (next >> 3 & 7) === 2 || (next >> 3 & 7) === 4;
  return (op & 0xf0) === 0x70 || op >= 0xe0 && op <= 0xe3 || [0xc2, 0xc3, 0xe8, 0xe9, 0xeb].includes(op);
}

const scratch = new Instruction();

/** Fields of the instruction that was decoded into `scratch`. */
function describe(bytes: Uint8Array, rip: number, bits: 16 | 32 | 64): Ran {
  const i = scratch;
  const prefixes = new Set<number>();
  let at = 0, rex = 0;
  while (LEGACY.has(bytes[at])) prefixes.add(bytes[at++]);
  while (bits === 64 && (bytes[at] & 0xf0) === 0x40) rex = bytes[at++];
  const memory = [0, 1, 2, 3, 4].some((n) => n < i.opCount && i.opKind(n) === OpKind.Memory);
  const mnemonic = Mnemonic[i.mnemonic];
  const immediates = [0, 1, 2, 3].filter((n) => n < i.opCount && i.opKind(n) === OpKind.Immediate8);
  const narrow = prefixes.has(0x67);
  return {
    rip,
    name: Code[i.code],
    mnemonic,
    memory,
    rex,
    operandSizePrefix: prefixes.has(0x66),
    addressSizePrefix: narrow,
    repeatPrefix: prefixes.has(0xf2) || prefixes.has(0xf3),
    nearBranch: isNearBranch(bytes, at),
    lockMovCr: prefixes.has(0xf0) && bytes[at] === 0x0f && (bytes[at + 1] & 0xfd) === 0x20,
    destination: i.opCount > 0 && i.opKind(0) === OpKind.Register ? number(i.opRegister(0)) : -1,
    immediate: immediates.length
      ? i.immediate(immediates[0]) === null ? null : Number(i.immediate(immediates[0]))
      : null,
    base: number(i.memoryBase),
    index: number(i.memoryIndex),
    scale: i.memoryIndexScale,
    displacement: i.memoryDisplacement,
    addressBits: bits === 64 ? narrow ? 32 : 64 : (bits === 16) !== narrow ? 16 : 32,
    size: MemorySizeExt.size(i.memorySize) || 16,
    segment: memory ? Register[i.memorySegment] : "DS",
  };
}

/** Registers that string instructions and the stack address through. */
const IMPLICIT = [4, 5, 6, 7];

/** A case, its two results, and what ran. */
export class RunView {
  readonly instructions: Ran[] = [];
  #initial: Uint8Array | null = null;

  constructor(readonly made: GeneratedCase, readonly host: TestResult, readonly ours: TestResult) {
    const { test } = made, start = firstRip(test);
    const decoder = new Decoder(test.mode, test.code, DECODER_OPTIONS);
    decoder.ip = BigInt(start);
    try {
      while (decoder.canDecode) {
        const at = decoder.position;
        decoder.decodeOut(scratch);
        this.instructions.push(describe(test.code.subarray(at), start + at, test.mode));
      }
    } finally {
      decoder.free();
    }
  }

  /** The last instruction of the case. */
  get last(): Ran {
    return this.instructions.at(-1) ?? NOTHING;
  }

  #at(rip: bigint): Ran {
    return this.instructions.find((i) => BigInt(i.rip) === rip) ?? NOTHING;
  }

  /** The instruction at which the host stopped; one without a name when it left the code. */
  get atHostEnd(): Ran {
    return this.#at(this.host.rip);
  }

  /** The instruction at which ours stopped. */
  get atOurEnd(): Ran {
    return this.#at(this.ours.rip);
  }

  /** True when any instruction of the case has the property. */
  any(property: (i: Ran) => boolean): boolean {
    return this.instructions.some(property);
  }

  /** Alignment checks were on at the start or at the end. */
  get alignmentChecked(): boolean {
    return ((this.made.test.rflags | this.host.rflags) & 0x40000) !== 0;
  }

  /** Count of a double shift, modulo 32. */
  shiftCount(i: Ran): number {
    if (i.immediate !== null) return i.immediate & 31;
    return Number((i.destination === 1 ? this.made.test.gpr : this.host.gpr)[1] & 31n);
  }

  /**
   * Linear addresses and sizes of what the instruction accesses, from the registers at the host's end: the explicit
   * operand, or else wherever SP, BP, SI and DI point.
   */
  operandAddresses(i: Ran): { at: number; size: number }[] {
    const { gpr } = this.host, mask = (1n << BigInt(i.addressBits)) - 1n;
    if (!i.memory) return IMPLICIT.map((n) => ({ at: Number(gpr[n] & mask), size: i.size }));
    const linear = BigInt.asUintN(
      this.made.test.mode === 64 ? 64 : 32,
      this.offset(i) + BigInt(this.#base(i)),
    );
    return [{ at: Number(linear), size: i.size }];
  }

  #base(i: Ran): number {
    const { mode } = this.made.test;
    if (mode === 16) return i.segment === "CS" ? CODE : WINDOW;
    return i.segment === "GS" && mode === 64 ? GS_BASE : 0;
  }

  /** Offset of the explicit memory operand in its segment. */
  offset(i: Ran): bigint {
    const { gpr } = this.host, base = i.base < 0 ? 0n : gpr[i.base];
    const index = i.index < 0 ? 0n : gpr[i.index] * BigInt(i.scale);
    return BigInt.asUintN(i.addressBits, base + index + i.displacement);
  }

  /** Linear address of the top of the stack. */
  get stack(): number {
    const { mode } = this.made.test;
    return mode === 16 ? WINDOW + Number(this.host.gpr[4] & 0xffffn) : Number(this.host.gpr[4]);
  }

  /** The two ended at different instructions or in different ways. */
  get diverged(): boolean {
    return this.host.vector !== this.ours.vector || this.host.rip !== this.ours.rip;
  }

  /** Bytes of the window before the case ran. */
  get initial(): Uint8Array {
    return this.#initial ??= windowContents(this.made.test);
  }

  /** A word of the window before the case ran, by linear address. */
  initialWord32(at: number): number {
    const view = new DataView(this.initial.buffer), offset = at - WINDOW;
    return offset >= 0 && offset + 4 <= view.byteLength ? view.getUint32(offset, true) : 0;
  }

  /** True when the two values of a memory word differ in bytes of [at, at + size) only. */
  onlyWithin(d: Difference, at: number, size: number): boolean {
    const word = d.index!, before = new DataView(this.initial.buffer).getBigUint64(word, true);
    const wrong = (d.host ?? before) ^ (d.ours ?? before);
    for (let n = 0; n < 8; n++) {
      const address = WINDOW + word + n;
      if ((wrong >> BigInt(n * 8) & 0xffn) !== 0n && (address < at || address >= at + size)) return false;
    }
    return true;
  }
}
