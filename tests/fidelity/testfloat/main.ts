/**
 * `deno task fidelity --testfloat FOLDER`: SSE and x87 arithmetic against the vectors of Berkeley TestFloat.
 *
 * TestFloat and SoftFloat are built elsewhere and are no part of this repository. SoftFloat's specialisation decides what
 * NaN comes out of two: 8086-SSE for all of these functions.
 *
 * @module
 */
import { assemble, BATCH, FloatGuest } from "./guest.ts";
import { type FloatFunction, FUNCTIONS } from "./functions.ts";
import {
  AT,
  CASE_SIZE,
  hexAt,
  PRECISIONS,
  readVectors,
  ROUNDINGS,
  type Vectors,
  x86Flags,
} from "./vectors.ts";

/** What is asked of the generator. */
export interface FloatOptions {
  /** Folder of `testfloat_gen`. */
  folder: string;
  /** 1, or 2: about a hundred times as many cases. */
  level: number;
  seed: number;
  /** Only functions whose name contains this. */
  only: string;
  /** Differences to print of each function. */
  show: number;
}

/** All but DE: TestFloat knows no flag for denormal operands. */
const FLAGS = 0x3d;
/** Engines by their threshold: interpreted, and compiled at once. */
const THRESHOLDS = [0, 2];

/** How one function in one rounding came out. */
interface Outcome {
  cases: number;
  differences: string[];
}

/** Compares a batch that an engine ran with what was expected. */
function compare(fn: FloatFunction, lines: string[], ran: Uint8Array, name: string): string[] {
  const view = new DataView(ran.buffer, ran.byteOffset), differences: string[] = [];
  lines.forEach((line, i) => {
    const at = i * CASE_SIZE, words = line.split(" ");
    const value = hexAt(ran, at + AT.RESULT, fn.result);
    const flags = (view.getUint32(at + AT.MXCSR, true) | view.getUint16(at + AT.FSW, true)) & FLAGS;
    const expected = x86Flags(parseInt(words[words.length - 1], 16));
    if (value !== words[words.length - 2] || flags !== expected) {
      differences.push(
        `${name}: ${line}: got ${value}, flags ${flags.toString(16)} (expected ${expected.toString(16)})`,
      );
    }
  });
  return differences;
}

function runAll(
  fn: FloatFunction,
  code: Uint8Array,
  vectors: Vectors,
  rc: number,
  pc: number,
  guests: FloatGuest[],
): Outcome {
  const out: Outcome = { cases: vectors.lines.length, differences: [] };
  for (let from = 0; from < vectors.lines.length; from += BATCH) {
    const lines = vectors.lines.slice(from, from + BATCH);
    const cases = vectors.cases.subarray(from * CASE_SIZE, (from + lines.length) * CASE_SIZE);
    guests.forEach((guest, n) => {
      const engine = THRESHOLDS[n] === 0 ? "interpreted" : "compiled";
      out.differences.push(...compare(fn, lines, guest.run(code, cases, rc, pc), engine));
    });
  }
  return out;
}

/** Runs one function in every rounding and precision that matters to it. */
export async function testFunction(
  fn: FloatFunction,
  o: FloatOptions,
  guests: FloatGuest[],
): Promise<Outcome> {
  const code = await assemble(fn), all: Outcome = { cases: 0, differences: [] };
  for (const { option, rc } of ROUNDINGS) {
    for (const { option: precision, pc } of fn.precision ? PRECISIONS : PRECISIONS.slice(0, 1)) {
      const options = [option, "-seed", String(o.seed), "-level", String(o.level)];
      if (fn.name.includes("extF80")) options.push(precision);
      const { cases, differences } = runAll(
        fn,
        code,
        await readVectors(o.folder, fn, options),
        rc,
        pc,
        guests,
      );
      all.cases += cases;
      all.differences.push(...differences.map((d) => `${fn.name} ${option} ${precision} ${d}`));
    }
  }
  return all;
}

/** Runs all functions and prints a line each. Returns the exit code. */
export async function testfloatMain(o: FloatOptions): Promise<number> {
  const chosen = FUNCTIONS.filter((f) => f.name.includes(o.only));
  try {
    Deno.statSync(`${o.folder}/testfloat_gen`);
  } catch {
    console.error(`No testfloat_gen in ${o.folder}: build Berkeley TestFloat 3e and give its build folder`);
    return 2;
  }
  let cases = 0, different = 0;
  const guests = THRESHOLDS.map((t) => new FloatGuest(t));
  for (const fn of chosen) {
    const r = await testFunction(fn, o, guests);
    cases += r.cases;
    different += r.differences.length;
    console.log(
      `${fn.name.padEnd(22)} ${String(r.cases).padStart(9)} cases, ${r.differences.length} differences`,
    );
    for (const d of r.differences.slice(0, o.show)) console.log(`  ${d}`);
  }
  console.log(
    `${chosen.length} functions, ${cases} cases, each interpreted and compiled: ${different} differences`,
  );
  return different === 0 && cases > 0 ? 0 : 1;
}
