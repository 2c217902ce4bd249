/**
 * SSE conversions and rounding to integral values in generated code, under the conditions of `vector_fp.ts`.
 *
 * `sub` of a form: bit 7 the floating-point operand is double, bit 0 truncating.
 *
 * @module
 */
import { F64, I32, I64, V128 } from "../emit.ts";
import type { Form, Semantic } from "../form.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { readVector } from "./vector_operands.ts";
import {
  bitsOf,
  DOUBLE,
  floatOf,
  type Format,
  giveUp,
  isDenormal,
  notAll,
  notNormal,
  notPlain,
  notSettled,
  simd,
  SINGLE,
  splat,
  vDenormal,
  vNan,
  vNormal,
  writeXmm,
} from "./vector_fp.ts";

const formatOf = (f: Form): Format => f.sub & 0x80 ? DOUBLE : SINGLE;
const any = (v: Expr): Expr => X.op(I32, 0xfd53, v);
const magnitudes = (k: Format, v: Expr): Expr => simd(0x4e, v, splat(k, k.magnitude));

/** CVTSI2SD, CVTSI2SS: exact below 2^53 and 2^24. */
const fromInt: Semantic = (e, f) => {
  const k = formatOf(f), v = e.read(f.ops[1]), double = k.f === F64;
  if (!double || v.t === I64) {
    const limit = double ? X.c64(2 ** 53) : X.cLike(v, 2 ** 24);
    const large = X.gtU(X.add(v, limit), X.shl(limit, X.cLike(v, 1)));
    e.unlikely(large, () => giveUp(e, notSettled(e)));
  }
  const code = (double ? 0xb7 : 0xb2) + (v.t === I64 ? 2 : 0);
  e.write(f.ops[0], bitsOf(k, X.op(k.f, code, v)));
  e.next();
};

/** 2^31 or 2^63 as a float's bits. */
function bound(k: Format, wide: boolean): Expr {
  if (k.f === F64) return X.c64w(0, wide ? 0x43e0_0000 : 0x41e0_0000);
  return X.c32(wide ? 0x5f00_0000 : 0x4f00_0000);
}

/** CVTSD2SI, CVTTSD2SI and the single ones: magnitudes below 2^31 or 2^63. */
const toInt: Semantic = (e, f) => {
  const k = formatOf(f), b = e.read(f.ops[1]), wide = f.ops[0].size === 64, double = k.f === F64;
  const x = e.let(floatOf(k, b));
  const integral = X.op(k.f, (double ? 0x9d : 0x8f) + (f.sub & 1 ? 0 : 1), x); // trunc, nearest
  const y = e.let(integral);
  giveUp(e, X.geU(X.and(bitsOf(k, y), k.magnitude), bound(k, wide)));
  e.unlikely(X.op(I32, k.eq + 1, y, x), () => giveUp(e, notSettled(e)));
  e.write(f.ops[0], X.op(wide ? I64 : I32, 0xfc00 + (wide ? 4 : 0) + (double ? 2 : 0), y));
  e.next();
};

/** CVTSS2SD: exact. */
const widen: Semantic = (e, f) => {
  const b = e.read(f.ops[1]);
  const nan = X.gtU(X.and(b, SINGLE.magnitude), SINGLE.inf);
  giveUp(e, X.or(nan, isDenormal(SINGLE, b)));
  e.write(f.ops[0], bitsOf(DOUBLE, X.op(F64, 0xbb, floatOf(SINGLE, b))));
  e.next();
};

/** CVTSD2SS. */
const narrow: Semantic = (e, f) => {
  const b = e.read(f.ops[1]);
  giveUp(e, notPlain(e));
  const fb = e.let(floatOf(DOUBLE, b)), fr = e.let(X.op(SINGLE.f, 0xb6, fb));
  const r = e.let(bitsOf(SINGLE, fr));
  e.unlikely(notNormal(SINGLE, r), () => giveUp(e, X.eqz(X.eqz(X.and(b, DOUBLE.magnitude)))));
  e.unlikely(X.op(I32, DOUBLE.eq + 1, X.op(F64, 0xbb, fr), fb), () => giveUp(e, notSettled(e)));
  e.write(f.ops[0], r);
  e.next();
};

/** The two low dwords twice: the upper half of a register is not an operand. */
const lowHalf = (v: Expr): Expr =>
  new X.Expr(V128, 0xfd0d, [v, v], 0, 0, Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7]));

/** CVTPS2PD: exact. */
const widenPacked: Semantic = (e, f) => {
  const v = e.let(lowHalf(readVector(e, f.ops[1]))), m = e.let(magnitudes(SINGLE, v));
  giveUp(e, any(simd(0x50, vNan(SINGLE, m), vDenormal(SINGLE, m))));
  writeXmm(e, f.ops[0], simd(0x5f, v));
  e.next();
};

/** CVTPD2PS. */
const narrowPacked: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]);
  giveUp(e, notSettled(e));
  const r = e.let(simd(0x5e, v)), m = e.let(magnitudes(SINGLE, lowHalf(r)));
  const tinyIn = simd(DOUBLE.vIntLt, magnitudes(DOUBLE, v), splat(DOUBLE, DOUBLE.min));
  giveUp(e, X.or(notAll(vNormal(SINGLE, m)), any(tinyIn)));
  writeXmm(e, f.ops[0], r);
  e.next();
};

/** CVTDQ2PD: exact. */
const fromInts: Semantic = (e, f) => {
  writeXmm(e, f.ops[0], simd(0xfe, readVector(e, f.ops[1])));
  e.next();
};

/** CVTDQ2PS: exact up to 2^24. */
const fromIntsSingle: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]);
  const large = simd(0x3c, simd(0xa0, v), simd(0x11, X.c32(1 << 24))); // unsigned: |−2^31| is large, too
  e.unlikely(any(large), () => giveUp(e, notSettled(e)));
  writeXmm(e, f.ops[0], simd(0xfa, v));
  e.next();
};

/** CVTPS2DQ, CVTTPS2DQ, CVTPD2DQ, CVTTPD2DQ: magnitudes below 2^31. */
const toInts: Semantic = (e, f) => {
  const k = formatOf(f), double = k.f === F64, v = readVector(e, f.ops[1]);
  const op = f.sub & 1 ? (double ? 0x7a : 0x69) : double ? 0x94 : 0x6a;
  const y = e.let(simd(op, v));
  giveUp(e, notAll(simd(k.vIntLt, magnitudes(k, y), splat(k, bound(k, false)))));
  e.unlikely(any(simd(k.vEq + 1, y, v)), () => giveUp(e, notSettled(e)));
  writeXmm(e, f.ops[0], simd(double ? 0xfc : 0xf8, y));
  e.next();
};

/** ROUNDSD, ROUNDPD and the single ones: the immediate's mode, or MXCSR's (bit 2) while that is to nearest. */
const round: Semantic = (e, f) => {
  const k = formatOf(f), double = k.f === F64, packed = f.ops[0].size === 128;
  const imm = e.let(e.imm(8)), mode = e.let(X.and(imm, X.c32(7)));
  const b = packed ? readVector(e, f.ops[1]) : e.read(f.ops[1]);
  const ops = packed
    ? (double ? [0x94, 0x75, 0x74, 0x7a] : [0x6a, 0x68, 0x67, 0x69])
    : double
    ? [0x9e, 0x9c, 0x9b, 0x9d]
    : [0x90, 0x8e, 0x8d, 0x8f]; // nearest, floor, ceil, trunc
  const x = packed ? b : e.let(floatOf(k, b));
  const by = (n: number) => packed ? simd(ops[n], x) : X.op(k.f, ops[n], x);
  const directed = X.select(
    X.eq(mode, X.c32(1)),
    by(1),
    X.select(X.eq(mode, X.c32(2)), by(2), X.select(X.eq(mode, X.c32(3)), by(3), by(0))),
  );
  const y = e.let(directed);
  if (packed) {
    const m = e.let(magnitudes(k, b));
    giveUp(e, any(simd(0x50, vNan(k, m), vDenormal(k, m))));
  } else {
    const nan = X.gtU(X.and(b, k.magnitude), k.inf);
    giveUp(e, X.or(nan, isDenormal(k, b)));
  }
  const differs = packed ? any(simd(k.vEq + 1, y, x)) : X.op(I32, k.eq + 1, y, x);
  const silent = X.eq(X.and(imm, X.c32(0xc)), X.c32(8));
  e.unlikely(X.and(differs, X.eqz(silent)), () => giveUp(e, notSettled(e)));
  if (packed) writeXmm(e, f.ops[0], y);
  else e.write(f.ops[0], bitsOf(k, y));
  e.next();
};

/** Semantic functions of this file. */
export const vectorConvert: Record<string, Semantic> = {
  cvt_from_int: fromInt,
  cvt_to_int: toInt,
  cvt_widen: widen,
  cvt_narrow: narrow,
  cvt_widen_packed: widenPacked,
  cvt_narrow_packed: narrowPacked,
  cvt_dq2pd: fromInts,
  cvt_dq2ps: fromIntsSingle,
  cvt_to_dq: toInts,
  fp_round: round,
};
