/**
 * Reads what TestFloat's `testfloat_gen` prints: a line a case of operands, expected result and exception flags, in
 * hexadecimal (TestFloat 3e, doc/testfloat_gen.html).
 *
 * @module
 */
import { BYTES, type FloatFunction, type Format } from "./functions.ts";

/** Bytes of a case in guest memory: operands at 0 and 16, result at 32, MXCSR at 48, x87 status word at 52. */
export const CASE_SIZE = 64;
/** Offsets in a case. */
export const AT = { RESULT: 32, MXCSR: 48, FSW: 52 } as const;

/** A rounding mode: TestFloat's option and the value of RC in MXCSR and the x87 control word. */
export const ROUNDINGS = [
  { option: "-rnear_even", rc: 0 },
  { option: "-rmin", rc: 1 },
  { option: "-rmax", rc: 2 },
  { option: "-rminMag", rc: 3 },
] as const;

/** x87 rounding precisions: TestFloat's option and the value of PC in the control word. */
export const PRECISIONS = [
  { option: "-precision80", pc: 3 },
  { option: "-precision64", pc: 2 },
  { option: "-precision32", pc: 0 },
] as const;

/** Cases of one function in one rounding. */
export interface Vectors {
  lines: string[];
  /** Operands where the guest's code looks for them; `CASE_SIZE` bytes a case. */
  cases: Uint8Array;
}

/** Flags of x86 (IE 1, ZE 4, OE 8, UE 16, PE 32) for TestFloat's (inexact 1, underflow 2, overflow 4, infinite 8, invalid 16). */
export function x86Flags(flags: number): number {
  return flags >> 4 & 1 | (flags & 8) >> 1 | (flags & 4) << 1 | (flags & 2) << 3 | (flags & 1) << 5;
}

/** Little-endian hexadecimal text of a number of guest memory, as TestFloat prints it. */
export function hexAt(memory: Uint8Array, at: number, format: Format): string {
  if (format === "bool") return String(memory[at]);
  let text = "";
  for (let i = BYTES[format] - 1; i >= 0; i--) text += memory[at + i].toString(16).padStart(2, "0");
  return text.toUpperCase();
}

function put(memory: Uint8Array, at: number, text: string): void {
  for (let i = 0; i * 2 < text.length; i++) {
    memory[at + i] = parseInt(text.slice(text.length - i * 2 - 2, text.length - i * 2), 16);
  }
}

/**
 * Asks the generator for the cases of a function.
 * @param folder where `testfloat_gen` is
 * @param options rounding, precision, level and seed as the generator takes them
 */
export async function readVectors(folder: string, fn: FloatFunction, options: string[]): Promise<Vectors> {
  const args = [...options, ...(fn.exact ? ["-exact"] : []), fn.name];
  const { success, stdout, stderr } = await new Deno.Command(`${folder}/testfloat_gen`, { args }).output();
  if (!success) {
    throw new Error(`testfloat_gen ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
  }
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  const cases = new Uint8Array(lines.length * CASE_SIZE);
  lines.forEach((line, i) => {
    const words = line.split(" ");
    if (words.length !== fn.operands.length + 2) {
      throw new Error(`testfloat_gen ${fn.name} printed "${line}"`);
    }
    fn.operands.forEach((_, n) => put(cases, i * CASE_SIZE + n * 16, words[n]));
  });
  return { lines, cases };
}
