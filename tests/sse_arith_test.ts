import { assertEquals } from "@std/assert";
import { binary, Op, squareRoot } from "../core/cpu/sse/arith.ts";
import { ctx, Ex, Rc } from "../core/cpu/sse/context.ts";
import { changeFormat, fromInteger, roundIntegral, toInteger } from "../core/cpu/sse/convert.ts";
import { compareStrings, stringIndex } from "../core/cpu/sse/strings.ts";
import { Random } from "./fidelity/random.ts";

const SEED = 20_260_703;
const words = new Uint32Array(4), out = new Uint32Array(4), view = new DataView(words.buffer);
const result = new DataView(out.buffer);

/** MXCSR with all exceptions masked. */
function begin(rc: number = Rc.NEAREST): void {
  Object.assign(ctx, { rc, daz: false, fz: false, masks: 0x3f, flags: 0, earlier: 0 });
}

/** Any double: every exponent, and often ones near 1. */
function anyDouble(r: Random): number {
  view.setBigUint64(0, r.u64(), true);
  if (r.chance(0.5)) {
    view.setUint32(4, view.getUint32(4, true) & 0x800f_ffff | 1000 + r.below(48) << 20, true);
  }
  const v = view.getFloat64(0, true);
  return Number.isNaN(v) ? 1.5 : v;
}

/** A quotient, product, ... of doubles as this module computes it. */
function compute(op: number, double: boolean, a: number, b: number): number {
  if (double) {
    view.setFloat64(0, a, true);
    view.setFloat64(8, b, true);
    binary(op, true, words, 0, words, 2, out, 0);
    return result.getFloat64(0, true);
  }
  view.setFloat32(0, a, true);
  view.setFloat32(4, b, true);
  binary(op, false, words, 0, words, 1, out, 0);
  return result.getFloat32(0, true);
}

const NATIVE: Record<number, (a: number, b: number) => number> = {
  [Op.ADD]: (a, b) => a + b,
  [Op.SUB]: (a, b) => a - b,
  [Op.MUL]: (a, b) => a * b,
  [Op.DIV]: (a, b) => a / b,
};

Deno.test("SSE arithmetic rounds to nearest as IEEE 754 doubles and singles do", () => {
  const r = new Random(SEED);
  for (let n = 0; n < 20_000; n++) {
    const a = anyDouble(r), b = anyDouble(r);
    for (const [op, native] of Object.entries(NATIVE)) {
      begin();
      assertEquals(compute(Number(op), true, a, b), native(a, b), `seed ${SEED}: ${a} ${op} ${b}`);
      const x = Math.fround(a), y = Math.fround(b);
      begin();
      assertEquals(
        compute(Number(op), false, x, y),
        Math.fround(native(x, y)),
        `seed ${SEED}: ${x} ${op} ${y}`,
      );
    }
    begin();
    view.setFloat64(0, Math.abs(a), true);
    squareRoot(true, words, 0, out, 0);
    assertEquals(result.getFloat64(0, true), Math.sqrt(Math.abs(a)), `seed ${SEED}: root of ${a}`);
    begin();
    changeFormat(false, words, 0, out, 0);
    assertEquals(result.getFloat32(0, true), Math.fround(Math.abs(a)), `seed ${SEED}: ${a} as single`);
  }
});

Deno.test("SSE directed rounding encloses the result, and PE tells when it is not exact", () => {
  const r = new Random(SEED, 1);
  for (let n = 0; n < 5000; n++) {
    const a = anyDouble(r), b = anyDouble(r);
    for (const op of [Op.ADD, Op.MUL, Op.DIV]) {
      begin(Rc.DOWN);
      const low = compute(op, true, a, b), flags = ctx.flags;
      begin(Rc.UP);
      const high = compute(op, true, a, b);
      begin(Rc.ZERO);
      const cut = compute(op, true, a, b);
      if (Number.isNaN(low)) continue;
      const nearest = NATIVE[op](a, b), inexact = (flags & Ex.PE) !== 0;
      assertEquals(low < high, inexact, `seed ${SEED}: ${a} ${op} ${b}`);
      assertEquals(low <= nearest && nearest <= high, true, `seed ${SEED}: ${a} ${op} ${b}`);
      assertEquals(cut, nearest > 0 || Object.is(nearest, 0) ? low : high, `seed ${SEED}: ${a} ${op} ${b}`);
    }
  }
});

Deno.test("SSE conversions to integers round, and give the indefinite for what does not fit", () => {
  const cases: [number, boolean, boolean, bigint, number][] = [
    [2.5, false, false, 2n, Ex.PE],
    [3.5, false, false, 4n, Ex.PE],
    [-3.7, true, false, -3n, Ex.PE],
    [-(2 ** 31), false, false, -(2n ** 31n), 0],
    [2 ** 31, false, false, -(2n ** 31n), Ex.IE],
    [2 ** 31, false, true, 2n ** 31n, 0],
    [-(2 ** 63), true, true, -(2n ** 63n), 0],
    [2 ** 63, true, true, -(2n ** 63n), Ex.IE],
    [NaN, true, false, -(2n ** 31n), Ex.IE],
    [5e-324, false, true, 0n, Ex.PE],
  ];
  for (const [x, truncate, wide, expected, flags] of cases) {
    begin();
    view.setFloat64(0, x, true);
    toInteger(wide, truncate, true, words, 0, out, 0);
    const got = wide ? result.getBigInt64(0, true) : BigInt(result.getInt32(0, true));
    assertEquals([got, ctx.flags], [expected, flags], `${x}`);
  }
  const r = new Random(SEED, 2);
  for (let n = 0; n < 3000; n++) {
    const v = BigInt.asIntN(64, r.u64()) >> BigInt(r.below(64));
    begin();
    fromInteger(true, Number(v >> 32n & 0xffff_ffffn) | 0, Number(v & 0xffff_ffffn), out, 0);
    assertEquals(result.getFloat64(0, true), Number(v), `seed ${SEED}: ${v}`);
  }
});

Deno.test("ROUNDSD rounds in all four directions", () => {
  for (const x of [-2.5, -0.3, 0.5, 1.5, 2.5, 1e15 + 0.5, -7.000000001, 4.5e18]) {
    const even = Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
    for (const [mode, expected] of [[0, even], [1, Math.floor(x)], [2, Math.ceil(x)], [3, Math.trunc(x)]]) {
      begin();
      view.setFloat64(0, x, true);
      roundIntegral(mode, true, words, 0, out, 0);
      assertEquals(result.getFloat64(0, true), expected, `${x} mode ${mode}`);
    }
  }
});

/** Sixteen bytes of text, the rest zeros. */
function text(s: string): Uint32Array {
  const bytes = new Uint8Array(16);
  new TextEncoder().encodeInto(s, bytes);
  return new Uint32Array(bytes.buffer);
}

Deno.test("PCMPISTRI finds characters, ranges, differences and substrings", () => {
  const find = (a: string, b: string, imm: number, last = false) =>
    stringIndex(compareStrings(text(a), text(b), imm, false, 0, 0), last);
  assertEquals(find("aeiou", "rhythm and blues", 0x00), 7);
  assertEquals(find("aeiou", "rhythm and blues", 0x00, true), 14);
  assertEquals(find("09", "since 1985", 0x04), 6);
  assertEquals(find("abcdef", "abcxef", 0x18), 3);
  assertEquals(find("lue", "rhythm and blues", 0x0c), 12);
  assertEquals(find("xyz", "none here", 0x00), 16);
  // Explicit lengths: only the first two elements count.
  assertEquals(stringIndex(compareStrings(text("e"), text("here"), 0, true, 1, 1), false), 16);
  assertEquals(stringIndex(compareStrings(text("e"), text("here"), 0, true, -1, 2), false), 1);
});
