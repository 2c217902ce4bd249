/**
 * Instruction length and validity: our decoder against iced-x86 on random bytes.
 *
 * @module
 */
import { CpuidFeature, Mnemonic } from "iced-x86";
import { type Bits, decodeOne, disassemble } from "./disasm.ts";
import { Random } from "./random.ts";

/**
 * A decoder under test.
 * @returns length in bytes; 0 when the bytes are undefined (#UD) or longer than 15 bytes (#GP)
 */
export type LengthDecoder = (bytes: Uint8Array, bits: Bits) => number;

/** Bytes on which two decoders disagree. */
export interface DecodeMismatch {
  bits: Bits;
  bytes: Uint8Array;
  ours: number;
  theirs: number;
  text: string;
}

const PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3];

/** Fifteen bytes that look like code: prefixes, an opcode of any map, the rest random. */
export function randomCode(r: Random, bits: Bits): Uint8Array {
  const out = new Uint8Array(15);
  let n = 0;
  while (r.chance(0.3) && n < 4) out[n++] = r.pick(PREFIXES);
  if (bits === 64 && r.chance(0.4)) out[n++] = 0x40 | r.below(16);
  const map = r.below(10);
  if (map > 4) out[n++] = 0x0f;
  if (map > 7) out[n++] = map === 8 ? 0x38 : 0x3a;
  while (n < 15) out[n++] = r.below(256);
  return out;
}

/**
 * Compares `count` random encodings. Instructions that need a CPUID feature outside `features` are skipped.
 * @param features names as in iced's `CpuidFeature`
 */
export function compareDecoders(
  decode: LengthDecoder,
  bits: Bits,
  seed: number,
  count: number,
  features: ReadonlySet<string>,
): DecodeMismatch[] {
  const r = new Random(seed, bits), mismatches: DecodeMismatch[] = [];
  for (let i = 0; i < count; i++) {
    const bytes = randomCode(r, bits);
    const theirs = decodeOne(bytes, bits);
    if ([...theirs.cpuidFeatures()].some((f) => !features.has(CpuidFeature[f]))) continue;
    const expected = theirs.isInvalid || /^Ud[012]$/.test(Mnemonic[theirs.mnemonic]) ? 0 : theirs.length;
    const ours = decode(bytes, bits);
    if (ours !== expected) {
      mismatches.push({ bits, bytes, ours, theirs: expected, text: disassemble(bytes, bits, 0n, 1)[0] });
    }
  }
  return mismatches;
}
