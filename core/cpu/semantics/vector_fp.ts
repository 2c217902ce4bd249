/**
 * SSE floating-point arithmetic and comparisons in generated code, where WebAssembly's result is provably x86's, flags
 * included: rounding to nearest, all exceptions masked, no NaN, infinity or denormal number among the operands that
 * matter and the results, and either nothing rounded or PE set already. Whatever else may be, the instruction leaves
 * for the system operation "sse_fp" (`core/cpu/sse/`), whose number its record holds.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { type Emit, F32, F64, I32, I64, V128 } from "../emit.ts";
import type { Form, Operand, Semantic } from "../form.ts";
import { Leave } from "../leave.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { setLazy } from "./flags.ts";
import { readVector } from "./vector_operands.ts";

/** SIMD opcode in an expression. */
export const simd = (n: number, ...args: Expr[]): Expr => X.op(V128, 0xfd00 + n, ...args);
const any = (v: Expr): Expr => X.op(I32, 0xfd53, v);

/** What a format needs, scalar and packed. Opcodes are WebAssembly's. */
export interface Format {
  /** Integer and float types of a scalar. */
  i: number;
  f: number;
  /** Opcodes: integer to float bits and back. */
  toF: number;
  toI: number;
  /** Scalar opcodes of add (sub, mul, div follow), sqrt, eq (ne, lt, gt, le, ge follow). */
  add: number;
  sqrt: number;
  eq: number;
  /** Packed: the same, and pmin (pmax follows), and integer eq (ne), lt, gt of lanes. */
  vAdd: number;
  vSqrt: number;
  vEq: number;
  vPmin: number;
  vIntEq: number;
  vIntLt: number;
  vIntGt: number;
  /** Smallest normal number, infinity, all bits but the sign: as integer constants. */
  min: Expr;
  inf: Expr;
  magnitude: Expr;
  /** SIMD opcode of an integer splat. */
  splat: number;
}

/** Single precision. */
export const SINGLE: Format = {
  i: I32,
  f: F32,
  toF: 0xbe,
  toI: 0xbc,
  add: 0x92,
  sqrt: 0x91,
  eq: 0x5b,
  vAdd: 0xe4,
  vSqrt: 0xe3,
  vEq: 0x41,
  vPmin: 0xea,
  vIntEq: 0x37,
  vIntLt: 0x39,
  vIntGt: 0x3b,
  min: X.c32(0x80_0000),
  inf: X.c32(0x7f80_0000),
  magnitude: X.c32(0x7fff_ffff),
  splat: 0x11,
};
/** Double precision. */
export const DOUBLE: Format = {
  i: I64,
  f: F64,
  toF: 0xbf,
  toI: 0xbd,
  add: 0xa0,
  sqrt: 0x9f,
  eq: 0x61,
  vAdd: 0xf0,
  vSqrt: 0xef,
  vEq: 0x47,
  vPmin: 0xf6,
  vIntEq: 0xd6,
  vIntLt: 0xd8,
  vIntGt: 0xd9,
  min: X.c64w(0, 0x10_0000),
  inf: X.c64w(0, 0x7ff0_0000),
  magnitude: X.c64w(-1, 0x7fff_ffff),
  splat: 0x12,
};

/** Format of a form: `sub` bit 7 is set for double precision. */
const formatOf = (f: Form): Format => f.sub & 0x80 ? DOUBLE : SINGLE;

/** Leaves for the system operation. */
export function giveUp(e: Emit, cond: Expr): void {
  e.unlikely(cond, () => e.leave(Leave.SYS));
}
const mxcsr = (e: Emit, bits: number): Expr => X.and(e.state(32, L.MXCSR), X.c32(bits));
/** Not: rounding to nearest and all exceptions masked. */
export const notPlain = (e: Emit): Expr => X.ne(mxcsr(e, 0x7f80), X.c32(0x1f80));
/** Not: as `notPlain`, PE set, DAZ clear: rounding changes nothing but the result. */
export const notSettled = (e: Emit): Expr => X.ne(mxcsr(e, 0x7fe0), X.c32(0x1fa0));

/** The integer bits of a float, and the reverse. */
export const floatOf = (k: Format, v: Expr): Expr => X.op(k.f, k.toF, v);
export const bitsOf = (k: Format, v: Expr): Expr => X.op(k.i, k.toI, v);
const magnitude = (k: Format, v: Expr): Expr => X.and(v, k.magnitude);

/** Denormal, given the bits. */
export function isDenormal(k: Format, v: Expr): Expr {
  const one = X.cLike(v, 1);
  return X.ltU(X.sub(magnitude(k, v), one), X.sub(k.min, one));
}
/** Not a normal number above the smallest, nor infinite, nor a NaN; given the bits. */
export function notNormal(k: Format, v: Expr): Expr {
  const above = X.add(k.min, X.cLike(v, 1));
  return X.geU(X.sub(magnitude(k, v), above), X.sub(k.inf, above));
}

/** The source operand's bits, then the destination's. */
function operands(e: Emit, f: Form): { a: Expr; b: Expr } {
  const b = e.read(f.ops[1]), a = e.read(f.ops[0]);
  return { a, b };
}

// ---- exactness while PE is clear ----

/** Trailing zeros of a significand, at most its width - 1. */
const zeros = (k: Format, v: Expr): Expr => X.ctz(X.or(v, k.min));
const ADD = 0, SUB = 1, MUL = 2, DIV = 3;

/** True when r = a op b was not exact (or that is not known). Floats; none of them overflowed. */
function inexact(e: Emit, k: Format, op: number, a: Expr, b: Expr, r: Expr): Expr {
  const o = (n: number, x: Expr, y: Expr) => X.op(k.f, k.add + n, x, y);
  const ne = (x: Expr, y: Expr) => X.op(I32, k.eq + 1, x, y);
  if (op <= SUB) {
    // TwoSum (Knuth): the rounding error, itself exact.
    const y = op === SUB ? X.op(k.f, k.f === F64 ? 0x9a : 0x8c, b) : b;
    const bb = e.let(o(SUB, r, a));
    const error = o(ADD, o(SUB, a, o(SUB, r, bb)), o(SUB, y, bb));
    return ne(error, o(SUB, a, a));
  }
  const wide = k.f === F64 ? 53 : 24, bits = (v: Expr) => zeros(k, bitsOf(k, v));
  const short = (x: Expr, y: Expr) => X.ltU(X.wrap(X.add(bits(x), bits(y))), X.c32(wide));
  if (op === MUL) return short(a, b);
  return X.or(short(r, b), ne(o(MUL, r, b), a));
}

/** ADDSD, SUBSD, MULSD, DIVSD and the single ones. */
function scalarArith(op: number): Semantic {
  return (e, f) => {
    const k = formatOf(f), { a, b } = operands(e, f);
    giveUp(e, notPlain(e));
    const fa = e.let(floatOf(k, a)), fb = e.let(floatOf(k, b));
    const fr = e.let(X.op(k.f, k.add + op, fa, fb)), r = e.let(bitsOf(k, fr));
    const denormal = e.let(X.or(isDenormal(k, a), isDenormal(k, b)));
    e.unlikely(X.or(denormal, notNormal(k, r)), () => {
      const zero = (v: Expr) => X.eqz(magnitude(k, v));
      const exact = op <= SUB
        ? X.c32(1)
        : op === MUL
        ? X.or(zero(a), zero(b))
        : X.or(zero(a), X.eq(magnitude(k, b), k.inf));
      giveUp(e, X.or(denormal, X.eqz(X.and(zero(r), exact))));
    });
    e.unlikely(X.eqz(mxcsr(e, 0x20)), () => giveUp(e, inexact(e, k, op, fa, fb, fr)));
    e.write(f.ops[0], r);
    e.next();
  };
}

const scalarSqrt: Semantic = (e, f) => {
  const k = formatOf(f), b = e.read(f.ops[1]);
  giveUp(e, notPlain(e));
  const fb = e.let(floatOf(k, b)), fr = e.let(X.op(k.f, k.sqrt, fb)), r = e.let(bitsOf(k, fr));
  const negative = X.ltS(b, X.cLike(b, 0));
  e.unlikely(X.or(negative, notNormal(k, b)), () => giveUp(e, X.eqz(X.eqz(magnitude(k, b)))));
  e.unlikely(X.eqz(mxcsr(e, 0x20)), () => giveUp(e, inexact(e, k, DIV, fb, fr, fr)));
  e.write(f.ops[0], r);
  e.next();
};

/** True when one of two scalars is a NaN or denormal. */
function awkward(k: Format, a: Expr, b: Expr): Expr {
  const nan = (v: Expr) => X.gtU(magnitude(k, v), k.inf);
  return X.or(X.or(nan(a), nan(b)), X.or(isDenormal(k, a), isDenormal(k, b)));
}

/** MINSD (0), MAXSD (1): the second operand unless the first is smaller, or larger. */
function scalarExtreme(max: number): Semantic {
  return (e, f) => {
    const k = formatOf(f), { a, b } = operands(e, f);
    giveUp(e, awkward(k, a, b));
    e.write(f.ops[0], X.select(X.op(I32, k.eq + 2 + max, floatOf(k, a), floatOf(k, b)), a, b));
    e.next();
  };
}

/** COMISD, UCOMISD and the single ones: ZF and CF; PF, SF, OF, AF are 0 for ordered operands. */
const comis: Semantic = (e, f) => {
  const k = formatOf(f), { a, b } = operands(e, f);
  giveUp(e, awkward(k, a, b));
  const fa = e.let(floatOf(k, a)), fb = e.let(floatOf(k, b));
  const eq = e.let(X.op(I32, k.eq, fa, fb)), lt = e.let(X.op(I32, k.eq + 2, fa, fb));
  // Result 0 would set PF: the parity correction clears it.
  const carry = X.or(X.shl(lt, X.c32(31)), X.shl(lt, X.c32(30)));
  setLazy(e, X.extU(X.xor(eq, X.c32(1))), X.or(carry, X.shl(eq, X.c32(8))));
  e.next();
};

/** Result of a predicate on ordered operands: EQ LT LE UNORD (never) and their negations. */
function chosen(e: Emit, eq: Expr, lt: Expr, le: Expr, none: Expr, negate: (v: Expr) => Expr): Expr {
  const p = e.let(X.and(e.imm(8), X.c32(7))), low = e.let(X.and(p, X.c32(3)));
  const upper = X.select(X.eq(low, X.c32(2)), le, none);
  const v = X.select(X.eqz(low), eq, X.select(X.eq(low, X.c32(1)), lt, upper));
  const plain = e.let(v);
  return X.select(X.and(p, X.c32(4)), negate(plain), plain);
}

const scalarCompare: Semantic = (e, f) => {
  const k = formatOf(f), { a, b } = operands(e, f);
  giveUp(e, awkward(k, a, b));
  const fa = e.let(floatOf(k, a)), fb = e.let(floatOf(k, b));
  const test = (n: number) => X.op(I32, k.eq + n, fa, fb);
  const bit = e.let(chosen(e, test(0), test(2), test(4), X.c32(0), X.eqz));
  e.write(f.ops[0], X.sub(X.cLike(a, 0), k.i === I64 ? X.extU(bit) : bit));
  e.next();
};

// ---- packed ----

/** A constant in every lane. */
export const splat = (k: Format, v: Expr): Expr => simd(k.splat, v);
const vMagnitude = (k: Format, v: Expr): Expr => simd(0x4e, v, splat(k, k.magnitude));
const vZero = (k: Format, m: Expr): Expr => simd(k.vIntEq, m, splat(k, X.cLike(k.min, 0)));
/** Lanes whose magnitude is that of a denormal number. */
export function vDenormal(k: Format, m: Expr): Expr {
  return simd(0x4f, simd(k.vIntLt, m, splat(k, k.min)), vZero(k, m));
}
/** Lanes whose magnitude is that of a NaN. */
export const vNan = (k: Format, m: Expr): Expr => simd(k.vIntGt, m, splat(k, k.inf));
/** Lanes that are normal numbers above the smallest. */
export function vNormal(k: Format, m: Expr): Expr {
  return simd(0x4e, simd(k.vIntGt, m, splat(k, k.min)), simd(k.vIntLt, m, splat(k, k.inf)));
}
const or = (a: Expr, b: Expr): Expr => simd(0x50, a, b);
const and = (a: Expr, b: Expr): Expr => simd(0x4e, a, b);
/** True unless every bit is set. */
export const notAll = (v: Expr): Expr => any(simd(0x4d, v));

function vOperands(e: Emit, f: Form): { a: Expr; b: Expr } {
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  return { a, b };
}
/** Stores a whole XMM register. */
export function writeXmm(e: Emit, o: Operand, v: Expr): void {
  if (o.k !== "xmm") throw new Error(`Cannot write operand kind ${o.k} as a vector`);
  e.store(128, e.field8(o.at), v, L.XMM);
}

/** ADDPS, SUBPS, MULPS, DIVPS and the double ones. */
function packedArith(op: number): Semantic {
  return (e, f) => {
    const k = formatOf(f), { a, b } = vOperands(e, f);
    giveUp(e, op <= SUB ? notPlain(e) : notSettled(e));
    const r = e.let(simd(k.vAdd + op, a, b));
    const ma = e.let(vMagnitude(k, a)), mb = e.let(vMagnitude(k, b)), mr = e.let(vMagnitude(k, r));
    let zero = vZero(k, mr);
    if (op === MUL) zero = and(zero, or(vZero(k, ma), vZero(k, mb)));
    else if (op === DIV) zero = and(zero, vZero(k, ma));
    const bad = or(vDenormal(k, ma), vDenormal(k, mb));
    giveUp(e, any(or(bad, simd(0x4d, or(vNormal(k, mr), zero)))));
    if (op <= SUB) e.unlikely(X.eqz(mxcsr(e, 0x20)), () => giveUp(e, vInexact(e, k, op, a, b, r)));
    writeXmm(e, f.ops[0], r);
    e.next();
  };
}

/** As `inexact` for sums. */
function vInexact(e: Emit, k: Format, op: number, a: Expr, b: Expr, r: Expr): Expr {
  const o = (n: number, x: Expr, y: Expr) => simd(k.vAdd + n, x, y);
  const y = op === SUB ? simd(k.f === F64 ? 0xed : 0xe1, b) : b, bb = e.let(o(SUB, r, a));
  const error = o(ADD, o(SUB, a, o(SUB, r, bb)), o(SUB, y, bb));
  return any(simd(k.vEq + 1, error, o(SUB, a, a)));
}

const packedSqrt: Semantic = (e, f) => {
  const k = formatOf(f), b = readVector(e, f.ops[1]);
  giveUp(e, notSettled(e));
  const ok = or(vNormal(k, b), vZero(k, vMagnitude(k, b))); // negative ones are below every normal number
  giveUp(e, notAll(ok));
  writeXmm(e, f.ops[0], simd(k.vSqrt, b));
  e.next();
};

/** Leaves when a lane is a NaN or denormal. */
function refuseAwkward(e: Emit, k: Format, a: Expr, b: Expr): void {
  const ma = e.let(vMagnitude(k, a)), mb = e.let(vMagnitude(k, b));
  giveUp(e, any(or(or(vDenormal(k, ma), vDenormal(k, mb)), or(vNan(k, ma), vNan(k, mb)))));
}

function packedExtreme(max: number): Semantic {
  return (e, f) => {
    const k = formatOf(f), { a, b } = vOperands(e, f);
    refuseAwkward(e, k, a, b);
    writeXmm(e, f.ops[0], simd(k.vPmin + max, b, a));
    e.next();
  };
}

const packedCompare: Semantic = (e, f) => {
  const k = formatOf(f), { a, b } = vOperands(e, f);
  refuseAwkward(e, k, a, b);
  const test = (n: number) => simd(k.vEq + n, a, b), none = X.c128(new Uint8Array(16));
  writeXmm(e, f.ops[0], chosen(e, test(0), test(2), test(4), none, (v) => simd(0x4d, v)));
  e.next();
};

const isPacked = (f: Form): boolean => f.ops[0].size === 128;
const either = (packed: Semantic, scalar: Semantic): Semantic => (e, f) =>
  (isPacked(f) ? packed : scalar)(e, f);

/** Semantic functions of this file; each has its scalar and packed forms. */
export const vectorFp: Record<string, Semantic> = {
  fp_add: either(packedArith(ADD), scalarArith(ADD)),
  fp_sub: either(packedArith(SUB), scalarArith(SUB)),
  fp_mul: either(packedArith(MUL), scalarArith(MUL)),
  fp_div: either(packedArith(DIV), scalarArith(DIV)),
  fp_sqrt: either(packedSqrt, scalarSqrt),
  fp_min: either(packedExtreme(0), scalarExtreme(0)),
  fp_max: either(packedExtreme(1), scalarExtreme(1)),
  fp_compare: either(packedCompare, scalarCompare),
  comis,
};
