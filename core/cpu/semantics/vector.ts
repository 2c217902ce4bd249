/**
 * MMX and SSE integer operations and shuffles, as WebAssembly SIMD. Source: Intel SDM volume 2.
 *
 * @module
 */
import { type Emit, V128 } from "../emit.ts";
import type { Semantic } from "../form.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import {
  binary,
  constant,
  enterMmx,
  isMmx,
  lane,
  lowQword,
  readVector,
  shuffle,
  simd,
  writeVector,
  zero,
} from "./vector_operands.ts";

/** One WebAssembly lane operation (`sub`). */
const lanesOp = binary((_e, a, b, f) => simd(f.sub, a, b));
const andn = binary((_e, a, b) => simd(0x4f, b, a));

/** Interleave: sub 0-3 low bytes, words, dwords, qwords; 4-7 high. An MMX source's low half serves both. */
const unpack = binary((_e, a, b, f) => {
  const size = 1 << (f.sub & 3), high = f.sub >= 4;
  const half = isMmx(f) ? (high ? 4 : 0) : high ? 8 : 0;
  const idx: number[] = [];
  for (let i = 0; idx.length < 16; i++) {
    const from = (half + i * size) % 16;
    for (let k = 0; k < size; k++) idx.push(from + k);
    for (let k = 0; k < size; k++) idx.push(16 + from + k);
  }
  return shuffle(a, b, idx.slice(0, 16));
});

/** Pack with saturation: MMX packs two low halves. */
const pack = binary((e, a, b, f) => {
  if (!isMmx(f)) return simd(f.sub, a, b);
  const both = e.let(lane(V128, 0x1e, 1, a, lowQword(b)));
  return simd(f.sub, both, both);
});

/** PMULHW (sub 0) and PMULHUW (1): high halves of the 32-bit products. */
const pmulhw = binary((e, a, b, f) => {
  const [lo, hi] = f.sub ? [0xbe, 0xbf] : [0xbc, 0xbd];
  const l = e.let(simd(lo, a, b)), h = e.let(simd(hi, a, b));
  return shuffle(l, h, [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31]);
});
/** PMULUDQ: even dwords multiplied. */
const pmuludq = binary((e, a, b) => {
  const even = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
  return simd(0xde, e.let(shuffle(a, a, even)), e.let(shuffle(b, b, even)));
});
/** PSADBW: sums of absolute byte differences in each half. */
const psadbw = binary((e, a, b) => {
  const d = e.let(simd(0x50, simd(0x73, a, b), simd(0x73, b, a)));
  const words = e.let(simd(0x7d, d)); // i16x8.extadd_pairwise_i8x16_u
  const dwords = e.let(simd(0x7f, words)); // i32x4.extadd_pairwise_i16x8_u
  const mask = X.c64w(-1, 0);
  const sum = (i: number) => {
    const q = e.let(lane(X.c64(0).t, 0x1d, i, dwords));
    return X.add(X.and(q, mask), X.shrU(q, X.c64(32)));
  };
  return lane(V128, 0x1e, 1, lane(V128, 0x1e, 0, zero(), sum(0)), sum(1));
});

/** Lane width in bits of a WebAssembly SIMD shift opcode. */
const shiftWidth = (op: number): number => op < 0xa0 ? 16 : op < 0xc0 ? 32 : 64;
/** True for the arithmetic right shifts. */
const isArithmetic = (op: number): boolean => op === 0x8c || op === 0xac || op === 0xcc;

/** Shift by a count (i64): counts beyond the lane give zero, or the sign for arithmetic shifts. */
function shiftLanes(e: Emit, op: number, v: Expr, count: Expr): Expr {
  const n = e.let(count), width = shiftWidth(op);
  const over = X.gtU(n, X.c64(width - 1));
  if (isArithmetic(op)) return simd(op, v, X.select(over, X.c32(width - 1), X.wrap(n)));
  const mask = X.select(over, X.c64(0), X.c64(-1));
  return simd(0x4e, simd(op, v, X.wrap(n)), simd(0x12, mask));
}
const vshift = binary((e, a, b, f) => shiftLanes(e, f.sub, a, lowQword(b)));
const vshiftImm: Semantic = (e, f) => {
  enterMmx(e, f);
  const v = readVector(e, f.ops[0]);
  writeVector(e, f, f.ops[0], shiftLanes(e, f.sub, v, X.extU(e.imm(8))));
  e.next();
};
/** PSRLDQ (sub 0), PSLLDQ (1): by bytes, as a swizzle with indexes out of range reading zero. */
const byteShift: Semantic = (e, f) => {
  const v = readVector(e, f.ops[0]);
  const n = e.let(e.imm(8)), count = X.select(X.gtU(n, X.c32(16)), X.c32(16), n);
  if (n.isConst) {
    const by = Math.min(n.lo, 16),
      from = (i: number) => f.sub ? (i < by ? 16 : i - by) : Math.min(i + by, 16);
    writeVector(e, f, f.ops[0], shuffle(v, zero(), Array.from({ length: 16 }, (_, i) => from(i))));
    return e.next();
  }
  const iota = constant(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const idx = f.sub ? simd(0x71, iota, simd(0x0f, count)) : simd(0x6e, iota, simd(0x0f, count));
  writeVector(e, f, f.ops[0], simd(0x0e, v, idx));
  e.next();
};

// ---- shuffles by an immediate known only when running ----

/** Byte indexes of one 16- or 32-bit element chosen by two bits of the immediate, placed at element `i`. */
function pick(e: Emit, width: number, count: number, base: number): Expr {
  // Index vector: for element i, bytes (field(i) * width + k + base).
  let idx = zero();
  for (let i = 0; i < count; i++) {
    const field = X.and(X.shrU(e.imm(8), X.c32(i * 2)), X.c32(3));
    const first = X.add(X.mul(field, X.c32(width)), X.c32(base));
    const bytes = width === 4
      ? X.add(X.mul(first, X.c32(0x01010101)), X.c32(0x03020100))
      : X.add(X.mul(first, X.c32(0x0101)), X.c32(0x0100));
    idx = width === 4 ? lane(V128, 0x1c, i, idx, bytes) : lane(V128, 0x1a, i, idx, bytes);
  }
  return e.let(idx);
}
/** Byte indexes as `pick` makes them, from an immediate that is known. */
function picked(imm: number, width: number, count: number, base: number): number[] {
  const field = (i: number) => imm >> i * 2 & 3;
  return Array.from({ length: count * width }, (_, n) => field(n / width | 0) * width + n % width + base);
}
const pshufd: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]), imm = e.imm(8);
  if (imm.isConst) {
    writeVector(e, f, f.ops[0], shuffle(v, v, picked(imm.lo, 4, 4, 0)));
    return e.next();
  }
  writeVector(e, f, f.ops[0], simd(0x0e, v, pick(e, 4, 4, 0)));
  e.next();
};
/** PSHUFLW (sub 0), PSHUFHW (1). */
const pshufHalf: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]), imm = e.imm(8), low = [0, 1, 2, 3, 4, 5, 6, 7];
  if (imm.isConst) {
    const half = picked(imm.lo, 2, 4, f.sub * 8);
    const idx = f.sub ? [...low, ...half] : [...half, ...low.map((b) => b + 8)];
    writeVector(e, f, f.ops[0], shuffle(v, v, idx));
    return e.next();
  }
  const chosen = e.let(simd(0x0e, v, pick(e, 2, 4, f.sub * 8)));
  const idx = f.sub
    ? [...low, ...low.map((b) => b + 16)]
    : [...low.map((b) => b + 16), ...low.map((b) => b + 8)];
  writeVector(e, f, f.ops[0], shuffle(v, chosen, idx));
  e.next();
};
const pshufw: Semantic = (e, f) => {
  enterMmx(e, f);
  const v = readVector(e, f.ops[1]);
  writeVector(e, f, f.ops[0], simd(0x0e, v, pick(e, 2, 4, 0)));
  e.next();
};
/** SHUFPS: two elements of the destination, then two of the source. */
const shufps: Semantic = (e, f) => {
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  const imm = e.imm(8);
  if (imm.isConst) {
    const all = picked(imm.lo, 4, 4, 0).map((b, n) => n < 8 ? b : b + 16);
    writeVector(e, f, f.ops[0], shuffle(a, b, all));
    return e.next();
  }
  const idx = pick(e, 4, 4, 0);
  const fromA = e.let(simd(0x0e, a, idx)), fromB = e.let(simd(0x0e, b, idx));
  writeVector(
    e,
    f,
    f.ops[0],
    shuffle(fromA, fromB, [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31]),
  );
  e.next();
};
const shufpd: Semantic = (e, f) => {
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  const known = e.imm(8);
  if (known.isConst) {
    const from = [known.lo & 1 ? 8 : 0, known.lo & 2 ? 24 : 16];
    writeVector(
      e,
      f,
      f.ops[0],
      shuffle(a, b, from.flatMap((n) => [0, 1, 2, 3, 4, 5, 6, 7].map((k) => n + k))),
    );
    return e.next();
  }
  const q = (v: Expr, i: number) => lane(X.c64(0).t, 0x1d, i, v);
  const imm = e.let(e.imm(8));
  const lo = X.select(X.and(imm, X.c32(1)), q(a, 1), q(a, 0));
  const hi = X.select(X.and(imm, X.c32(2)), q(b, 1), q(b, 0));
  writeVector(e, f, f.ops[0], lane(V128, 0x1e, 1, lane(V128, 0x1e, 0, zero(), lo), hi));
  e.next();
};

/** Semantic functions of this file. */
export const vector: Record<string, Semantic> = {
  lanes: lanesOp,
  andn,
  unpack,
  pack,
  pmulhw,
  pmuludq,
  psadbw,
  vshift,
  vshift_imm: vshiftImm,
  byte_shift: byteShift,
  pshufd,
  pshuf_half: pshufHalf,
  pshufw,
  shufps,
  shufpd,
};
