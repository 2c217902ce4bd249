/**
 * Length, validity and operands of instructions: our decoder against iced-x86, on random and structured bytes.
 *
 * @module
 */
import { CpuidFeature, type Instruction, Mnemonic } from "iced-x86";
import {
  Decoded,
  Decoder,
  MODE_FLAT,
  MODE_MMX,
  MODE_SSE,
  MODE_STACK32,
} from "../../core/cpu/decode/decoder.ts";
import { SYS_OPS } from "../../core/cpu/system/ops.ts";
import { type Bits, decodeOne, disassemble } from "./disasm.ts";
import { operandDifference } from "./operanddiff.ts";
import { Random } from "./random.ts";

/** Bytes on which two decoders disagree. */
export interface DecodeMismatch {
  bits: Bits;
  bytes: Uint8Array;
  /** What differs. */
  what: string;
  text: string;
  /** Why it must, by the manual; null: it must not. */
  reason: string | null;
}

/** What a comparison did. */
export interface DecodeResult {
  strings: number;
  /** Valid in both, of one length, with equal operands. */
  agreed: number;
  /** Undefined in both. */
  undefinedInBoth: number;
  /** Instructions of features that the tables do not have. */
  skipped: number;
  /** By reason: differences that the manual explains. */
  explained: Map<string, number>;
  unexplained: DecodeMismatch[];
}

/** Features whose encodings our tables claim to know completely. */
const FEATURES = new Set([
  ..."INTEL8086 INTEL8086_ONLY INTEL186 INTEL286 INTEL386 INTEL486 X64 CMOV CX8 CMPXCHG16B MOVBE POPCNT"
    .split(" "),
  ..."MULTIBYTENOP PAUSE PREFETCHW CLFSH MSR FPU FPU287 FPU387 FXSR CPUID TSC RDTSCP SYSCALL SEP MONITOR"
    .split(" "),
  ..."FSGSBASE SMAP INVPCID SVM XSAVE RDRAND RDSEED".split(" "),
  ..."MMX SSE SSE2 SSE3 SSSE3 SSE4_1 SSE4_2".split(" "),
]);
/** Features of the policy that change which encodings exist. */
const ABSENT = new Set(["bmi1", "abm", "avx", "clflushopt", "clwb"]);
const UD = SYS_OPS.indexOf("ud");

const PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3];
/** ModRM and SIB bytes at which addressing forms change. */
const MODRM = [0x04, 0x05, 0x06, 0x44, 0x45, 0x46, 0x84, 0x85, 0x86, 0xc0, 0xc4, 0xff, 0x3c, 0x25, 0x0d];
const SIB = [0x20, 0x24, 0x25, 0x05, 0x65, 0xe5, 0xfd, 0x64, 0x04];

/** Fifteen bytes: anything at all, or what looks like code: prefixes, an opcode of any map, addressing. */
export function randomCode(r: Random, bits: Bits): Uint8Array {
  const out = new Uint8Array(15);
  let n = 0;
  if (!r.chance(0.15)) {
    while (r.chance(0.3) && n < 4) out[n++] = r.pick(PREFIXES);
    if (bits === 64 && r.chance(0.4)) out[n++] = 0x40 | r.below(16);
    const map = r.below(10);
    if (map > 4) out[n++] = 0x0f;
    if (map > 7) out[n++] = map === 8 ? 0x38 : 0x3a;
    out[n++] = r.below(256);
    if (r.chance(0.4)) out[n++] = r.pick(MODRM);
    if (r.chance(0.3)) out[n++] = r.pick(SIB);
  }
  while (n < 15) out[n++] = r.below(256);
  return out;
}

/** Why encodings that iced calls invalid, or undefined, decode here: they raise #UD when they are executed. */
function reasonOf(bytes: Uint8Array, bits: Bits): string | null {
  const prefix = (b: number) => PREFIXES.includes(b) || (bits === 64 && (b & 0xf0) === 0x40);
  let i = 0;
  while (prefix(bytes[i])) i++;
  const op = bytes[i];
  if (op === 0x8c || op === 0x8e) {
    return "segment registers 6 and 7, and loading CS: #UD when executed (SDM vol. 2, MOV)";
  }
  if (op >= 0xd8 && op <= 0xdf) return "reserved x87 encodings: #UD when executed (SDM vol. 2, A.5)";
  if (op === 0x0f && (bytes[i + 1] & 0xfc) === 0x20) {
    return "control registers that there are not: #UD when executed (SDM vol. 2, MOV to/from Control Registers)";
  }
  return null;
}

/** Compares decoders on seeded strings, one after the other. */
export class DecodeComparison {
  readonly result: DecodeResult = {
    strings: 0,
    agreed: 0,
    undefinedInBoth: 0,
    skipped: 0,
    explained: new Map(),
    unexplained: [],
  };
  readonly #decoder = new Decoder((feature) => !ABSENT.has(feature));
  readonly #random: Random;

  constructor(readonly bits: Bits, seed: number) {
    this.#random = new Random(seed, bits);
  }

  /** Compares so many more strings. */
  run(count: number): DecodeResult {
    for (let i = 0; i < count; i++) this.#compare(randomCode(this.#random, this.bits));
    return this.result;
  }

  #compare(bytes: Uint8Array): void {
    const { bits, result } = this, theirs = decodeOne(bytes, bits);
    result.strings++;
    const expected = theirs.isInvalid || /^Ud[012]$/.test(Mnemonic[theirs.mnemonic]) ? 0 : theirs.length;
    const ours = this.#length(bytes);
    const what = ours !== expected
      ? `length ${ours}, iced ${expected}`
      : ours === 0
      ? ""
      : operandDifference(this.#decoder, theirs);
    if (what === "") {
      if (ours === 0) result.undefinedInBoth++;
      else result.agreed++;
      return;
    }
    if (!known(theirs)) {
      result.skipped++;
      return;
    }
    const reason = expected === 0 ? reasonOf(bytes, bits) : null;
    if (reason !== null) result.explained.set(reason, (result.explained.get(reason) ?? 0) + 1);
    else if (result.unexplained.length < 100) {
      result.unexplained.push({ bits, bytes, what, text: disassemble(bytes, bits, 0n, 1)[0], reason });
    }
  }

  /** Length in bytes; 0 when the bytes are undefined (#UD) or longer than 15 bytes (#GP). */
  #length(bytes: Uint8Array): number {
    const decoder = this.#decoder, { bits } = this;
    const mode = bits === 16 ? 0 : bits === 32 ? 1 | MODE_FLAT | MODE_STACK32 : 2;
    if (decoder.decode(bytes, 0, 15, mode | MODE_SSE | MODE_MMX) !== Decoded.OK) return 0;
    return decoder.name === "sys" && decoder.entry.sys === UD ? 0 : decoder.length;
  }
}

function known(i: Instruction): boolean {
  return [...i.cpuidFeatures()].every((f) => FEATURES.has(CpuidFeature[f]));
}
