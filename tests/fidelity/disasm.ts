/**
 * Disassembly by iced-x86: a decoder that has nothing to do with ours.
 *
 * @module
 */
import { CpuidFeature, Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } from "iced-x86";

/** Width of the code segment. */
export type Bits = 16 | 32 | 64;

const formatter = new Formatter(FormatterSyntax.Intel);
formatter.hexPrefix = "0x";
formatter.hexSuffix = "";
formatter.spaceAfterOperandSeparator = true;

const scratch = new Instruction();

/** Options that make iced agree with Intel processors without MPX. */
export const DECODER_OPTIONS = DecoderOptions.None;

/** Decodes the first instruction; the returned object is reused by the next call. */
export function decodeOne(bytes: Uint8Array, bits: Bits, ip = 0n): Instruction {
  const decoder = new Decoder(bits, bytes, DECODER_OPTIONS);
  try {
    decoder.ip = ip;
    decoder.decodeOut(scratch);
    return scratch;
  } finally {
    decoder.free();
  }
}

/** One line per instruction: address, bytes, text. Stops after `limit` instructions. */
export function disassemble(bytes: Uint8Array, bits: Bits, ip: bigint, limit = 32): string[] {
  const decoder = new Decoder(bits, bytes, DECODER_OPTIONS);
  const lines: string[] = [];
  try {
    decoder.ip = ip;
    while (decoder.canDecode && lines.length < limit) {
      const at = decoder.position;
      decoder.decodeOut(scratch);
      const raw = [...bytes.subarray(at, decoder.position)].map((b) => b.toString(16).padStart(2, "0")).join(
        " ",
      );
      lines.push(`${(ip + BigInt(at)).toString(16)}  ${raw.padEnd(32)} ${formatter.format(scratch)}`);
    }
  } finally {
    decoder.free();
  }
  return lines;
}

/** Names of the CPUID features that an instruction needs. */
export function featuresOf(instruction: Instruction): string[] {
  return [...instruction.cpuidFeatures()].map((f) => CpuidFeature[f]);
}
