/**
 * F2XM1, FYL2X, FYL2XP1, FPATAN, FPTAN, FSIN, FCOS, FSINCOS: special operands and rounding; the mathematics is in
 * `series.ts` (Intel SDM volume 1, 8.3.7-8.3.10, and volume 2's tables).
 *
 * @module
 */
import { denormalOperand, invalid, propagate, special } from "./arith.ts";
import { Class, classOf, exponentOf, type Ext, INFINITIES, isNan, ONE, withSign, ZEROES } from "./ext.ts";
import { Ex, type FpContext, roundExt } from "./round.ts";
import * as S from "./series.ts";

function big(a: Ext): S.Big {
  return { mant: a.sig, exp: exponentOf(a) - 63 };
}

/** Rounds an inexact result to 64 bits. */
function inexact(ctx: FpContext, sign: number, v: S.Big): Ext {
  return roundExt(ctx, sign, v.exp, v.mant, true);
}

/** 2^a - 1 for -1 <= a <= 1; outside that range, where the manual leaves the result undefined, the operand. */
export function f2xm1(ctx: FpContext, a: Ext): Ext {
  const c = classOf(a);
  if (c === Class.UNSUPPORTED) return invalid(ctx);
  if (isNan(c)) return propagate(ctx, a, c, a, c);
  if (c === Class.ZERO) return a;
  if (c === Class.INFINITY) return a.sign ? withSign(ONE, 1) : a;
  if (denormalOperand(ctx, c, c)) return a;
  const e = exponentOf(a);
  if (e >= 0) {
    ctx.flags |= Ex.PE;
    if (e > 0 || a.sig !== 1n << 63n) return a;
    return a.sign ? roundExt(ctx, 1, -1, 1n) : ONE;
  }
  return inexact(ctx, a.sign, S.exp2m1(big(a), a.sign === 1));
}

/** b × log2(a). */
export function fyl2x(ctx: FpContext, a: Ext, b: Ext): Ext {
  const ca = classOf(a), cb = classOf(b);
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return s;
  if (a.sign && ca !== Class.ZERO) return invalid(ctx);
  if (ca === Class.ZERO) {
    if (cb === Class.ZERO) return invalid(ctx);
    if (cb === Class.INFINITY) return INFINITIES[b.sign ^ 1];
    ctx.flags |= Ex.ZE;
    return INFINITIES[b.sign ^ 1];
  }
  if (ca === Class.INFINITY) {
    if (cb === Class.ZERO) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return INFINITIES[b.sign];
  }
  if (cb === Class.INFINITY) {
    const e = exponentOf(a);
    if (e === 0 && a.sig === 1n << 63n) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return INFINITIES[e < 0 ? b.sign ^ 1 : b.sign];
  }
  if (denormalOperand(ctx, ca, cb)) return a;
  const log = S.log2(big(a)), sign = b.sign ^ (log.negative ? 1 : 0);
  if (log.zero || cb === Class.ZERO) return ZEROES[sign];
  const v = S.times(log.value, big(b));
  if (!log.exact) return inexact(ctx, sign, v);
  const product = roundExt(ctx, sign, v.exp, v.mant);
  ctx.flags |= product.exp === 0 ? Ex.PE | Ex.UE : Ex.PE; // processors do not notice that the logarithm is exact
  return product;
}

/** b × log2(a + 1) for |a| < 1 - sqrt(2)/2; beyond, as far as a + 1 is positive, the same function. */
export function fyl2xp1(ctx: FpContext, a: Ext, b: Ext): Ext {
  const ca = classOf(a), cb = classOf(b);
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return s;
  if (ca === Class.INFINITY) {
    if (a.sign || cb === Class.ZERO) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return INFINITIES[b.sign];
  }
  if (cb === Class.INFINITY) {
    if (ca === Class.ZERO) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return INFINITIES[a.sign ^ b.sign];
  }
  if (denormalOperand(ctx, ca, cb)) return a;
  if (ca === Class.ZERO || cb === Class.ZERO) return ZEROES[a.sign ^ b.sign];
  const e = exponentOf(a);
  if (a.sign && e >= 0) {
    ctx.flags |= Ex.PE; // a + 1 <= 0: undefined
    return a;
  }
  const v = e < -2 || (e === -2 && a.sign === 1) ? logOfOnePlus(a, e) : S.log2(onePlus(a, e)).value;
  return inexact(ctx, a.sign ^ b.sign, S.times(v, big(b)));
}

/** |log2(1 + a)| for small a: the ratio a / (2 + a) keeps its relative precision. */
function logOfOnePlus(a: Ext, e: number): S.Big {
  const down = 63 - e;
  const two = 2n << BigInt(Math.min(down, 400));
  const sum = down > 400 ? two : two + (a.sign ? -a.sig : a.sig);
  const ratio = S.over(big(a), { mant: sum, exp: down > 400 ? -400 : -down });
  return S.log2FromRatio(ratio);
}

/** 1 + a, exactly. */
function onePlus(a: Ext, e: number): S.Big {
  if (e >= 63) return { mant: (a.sig << BigInt(Math.min(e - 63, 200))) + 1n, exp: Math.max(0, e - 263) };
  return { mant: (1n << BigInt(63 - e)) + (a.sign ? -a.sig : a.sig), exp: e - 63 };
}

/** The angle of the point (x = a, y = b): arctan(b / a) with quadrant. */
export function fpatan(ctx: FpContext, a: Ext, b: Ext): Ext {
  const ca = classOf(a), cb = classOf(b);
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return s;
  if (denormalOperand(ctx, ca, cb)) return a;
  const sign = b.sign;
  if (cb === Class.INFINITY) {
    const quarters = ca === Class.INFINITY ? (a.sign ? 3 : 1) : 2;
    return inexact(ctx, sign, S.quarterPi(quarters, null, null));
  }
  if (ca === Class.INFINITY || cb === Class.ZERO) {
    return a.sign ? inexact(ctx, sign, S.quarterPi(4, null, null)) : ZEROES[sign];
  }
  if (ca === Class.ZERO) return inexact(ctx, sign, S.quarterPi(2, null, null));
  const x = big(a), y = big(b);
  if (compareBig(y, x) <= 0) {
    const t = S.atan(S.over(y, x));
    return inexact(ctx, sign, a.sign ? S.quarterPi(4, t, null) : t);
  }
  const t = S.atan(S.over(x, y));
  return inexact(ctx, sign, a.sign ? S.quarterPi(2, null, t) : S.quarterPi(2, t, null));
}

function compareBig(a: S.Big, b: S.Big): number {
  const e = Math.min(a.exp, b.exp), va = shiftTo(a, e), vb = shiftTo(b, e);
  return va < vb ? -1 : va > vb ? 1 : 0;
}

function shiftTo(a: S.Big, exp: number): bigint {
  return a.exp >= exp ? a.mant << BigInt(a.exp - exp) : a.mant >> BigInt(exp - a.exp);
}

/** An argument reduced by multiples of π/2: the rest in -π/4..π/4, and the quadrant. */
interface Reduced {
  sign: number;
  rest: S.Big;
  quadrant: number;
}

/** Reduces |a| < 2^63 with the processor's 66-bit π; null when it is out of range. */
function reduce(a: Ext): Reduced | null {
  const e = exponentOf(a);
  if (e >= 63) return null;
  if (e < -1) return { sign: 0, rest: big(a), quadrant: 0 };
  // In units of 2^-(64 + 63 - e): half π is PI66 / 2 × 2^-64.
  const v = a.sig << 66n, halfPi = S.PI66 << BigInt(63 - e + 1);
  const q = (2n * v + halfPi) / (2n * halfPi), rest = v - q * halfPi;
  return {
    sign: rest < 0n ? 1 : 0,
    rest: { mant: rest < 0n ? -rest : rest, exp: e - 63 - 66 },
    quadrant: Number(q & 3n),
  };
}

/** A function's value at a tiny argument: the argument, inexact, and with underflow when it is denormal. */
function itself(ctx: FpContext, a: Ext): Ext {
  const v = roundExt(ctx, a.sign, exponentOf(a) - 63, a.sig);
  ctx.flags |= v.exp === 0 ? Ex.PE | Ex.UE : Ex.PE;
  return v;
}

/** Sine and cosine (or tangent and 1) of one argument; `inRange` false: C2 is set and nothing changes. */
export interface Trig {
  sin: Ext;
  cos: Ext;
  inRange: boolean;
}

/** What `trig` is to compute. */
export const TrigKind = { SIN: 1, COS: 2, BOTH: 3, TAN: 4 } as const;

/** FSIN, FCOS, FSINCOS, FPTAN. For TAN the tangent is in `sin`, and `cos` is 1 (or the NaN). */
export function trig(ctx: FpContext, a: Ext, kind: number): Trig {
  const c = classOf(a);
  if (c === Class.UNSUPPORTED || c === Class.INFINITY) {
    const v = invalid(ctx);
    return { sin: v, cos: v, inRange: true };
  }
  if (isNan(c)) {
    const v = propagate(ctx, a, c, a, c);
    return { sin: v, cos: v, inRange: true };
  }
  if (c === Class.ZERO) return { sin: a, cos: ONE, inRange: true };
  if (exponentOf(a) >= 63) return { sin: a, cos: a, inRange: false };
  if (denormalOperand(ctx, c, c)) return { sin: a, cos: a, inRange: true };
  if (exponentOf(a) < -70) {
    // The cosine first: an unmasked underflow of the sine must not scale it.
    const cosine = kind & TrigKind.COS ? inexact(ctx, 0, S.cos(big(a))) : ONE;
    return { sin: kind === TrigKind.COS ? a : itself(ctx, a), cos: cosine, inRange: true };
  }
  const r = reduce(a)!;
  const s = S.sin(r.rest), co = S.cos(r.rest);
  const odd = r.quadrant & 1;
  const sinSign = a.sign ^ (r.quadrant >> 1) ^ (odd ? 0 : r.sign);
  const cosSign = odd ? (r.quadrant >> 1) ^ 1 ^ r.sign : r.quadrant >> 1;
  if (kind === TrigKind.TAN) {
    const t = odd ? S.over(co, s) : S.tan(r.rest, s, co);
    return { sin: inexact(ctx, a.sign ^ r.sign ^ odd, t), cos: ONE, inRange: true };
  }
  const cosine = kind & TrigKind.COS ? inexact(ctx, cosSign, odd ? s : co) : a;
  const sine = kind & TrigKind.SIN ? inexact(ctx, sinSign, odd ? co : s) : a;
  return { sin: sine, cos: cosine, inRange: true };
}
