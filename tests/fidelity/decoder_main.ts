/**
 * `deno task fidelity --decoder`: millions of random and structured strings, decoded here and by iced-x86.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import { DecodeComparison, type DecodeResult } from "./decodediff.ts";

/** Widths of code segments. */
export const WIDTHS = [16, 32, 64] as const;
const SLICE = 10_000;

/** What was found, as lines. */
export function decodeReport(bits: number, r: DecodeResult): string[] {
  const differing = r.unexplained.length;
  return [
    `${bits}-bit code: ${grouped(r.strings)} strings, ${grouped(r.agreed)} equal in length and operands, ` +
    `${grouped(r.undefinedInBoth)} undefined in both, ${grouped(r.skipped)} of features that are absent, ` +
    `${differing} unexplained differences`,
    ...[...r.explained].map(([reason, n]) => `  ${grouped(n)} explained: ${reason}`),
    ...r.unexplained.slice(0, 20).map((m) => `  ${m.text}: ${m.what}`),
  ];
}

/** Compares that many strings, a third of them in code of each width. Returns the exit code. */
export function decoderMain(strings: number, seed: number): number {
  let unexplained = 0;
  for (const bits of WIDTHS) {
    const comparison = new DecodeComparison(bits, seed), count = Math.ceil(strings / WIDTHS.length);
    for (let done = 0; done < count; done += SLICE) comparison.run(Math.min(SLICE, count - done));
    for (const line of decodeReport(bits, comparison.result)) console.log(line);
    unexplained += comparison.result.unexplained.length;
  }
  console.log(`seed ${seed}: ${unexplained} unexplained differences`);
  return unexplained > 0 ? 1 : 0;
}
