/**
 * FPREM, FPREM1, FRNDINT, FSCALE, FXTRACT (Intel SDM volume 2).
 *
 * @module
 */
import { denormalOperand, invalid, propagate, special } from "./arith.ts";
import {
  BIAS,
  bitLength,
  Class,
  classOf,
  exponentOf,
  type Ext,
  ext,
  INFINITIES,
  isNan,
  withSign,
  ZEROES,
} from "./ext.ts";
import { Ex, type FpContext, roundExt, roundShift } from "./round.ts";

/** Remainder, the low three bits of its quotient, and whether the reduction is complete (C2 clear). */
export interface Remainder {
  value: Ext;
  /** -1 when the operands are invalid or NaNs: there is no quotient, C0 and C3 stay. */
  quotient: number;
  complete: boolean;
}

const result: Remainder = { value: ZEROES[0], quotient: 0, complete: true };

function settled(value: Ext, quotient = 0): Remainder {
  result.value = value;
  result.quotient = quotient;
  result.complete = true;
  return result;
}

/** Remainder of a / b: truncating quotient (FPREM), or nearest-even (FPREM1). The result object is reused. */
export function remainder(ctx: FpContext, a: Ext, b: Ext, nearest: boolean): Remainder {
  const ca = classOf(a), cb = classOf(b);
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return settled(s, -1);
  if (ca === Class.INFINITY || cb === Class.ZERO) return settled(invalid(ctx), -1);
  if (denormalOperand(ctx, ca, cb) || ca === Class.ZERO) return settled(a);
  if (cb === Class.INFINITY) {
    // Nothing to reduce: no underflow, but a pseudo-denormal comes out normal.
    return settled(a.exp === 0 && a.sig >> 63n ? ext(a.sign, 1, a.sig) : a);
  }
  const na = bitLength(a.sig), nb = bitLength(b.sig);
  const ea = exponentOf(a) - (64 - na), eb = exponentOf(b) - (64 - nb);
  const d = ea - eb;
  if (d >= 64) {
    // Reduce by a multiple of b × 2^(d - n), n in 32..63 as Intel's processors do; C2 says: not yet.
    const n = (d & 31) | 32;
    const rest = (a.sig << BigInt(64 - na + n)) % (b.sig << BigInt(64 - nb));
    settled(normalised(ctx, a.sign, eb + d - n - 63, rest));
    result.complete = false;
    return result;
  }
  const low = Math.min(exponentOf(a), exponentOf(b)) - 63;
  const va = a.sig << BigInt(exponentOf(a) - 63 - low), vb = b.sig << BigInt(exponentOf(b) - 63 - low);
  let q = va / vb, rest = va - q * vb, sign = a.sign;
  if (nearest && (2n * rest > vb || (2n * rest === vb && (q & 1n) === 1n))) {
    q++;
    rest = vb - rest;
    sign ^= 1;
  }
  settled(rest === 0n ? ZEROES[a.sign] : normalised(ctx, sign, low, rest));
  result.quotient = Number(q & 7n);
  return result;
}

/** An exact value in its normal form; UE when it is tiny and that is not masked. */
function normalised(ctx: FpContext, sign: number, exp2: number, mant: bigint): Ext {
  return roundExt(ctx, sign, exp2, mant);
}

/** Rounds to an integral value by the rounding control. */
export function roundToIntegral(ctx: FpContext, a: Ext): Ext {
  const c = classOf(a);
  if (c === Class.UNSUPPORTED) return invalid(ctx);
  if (isNan(c)) return propagate(ctx, a, c, a, c);
  if (c === Class.ZERO || c === Class.INFINITY) return a;
  if (denormalOperand(ctx, c, c)) return a;
  const e = exponentOf(a);
  if (e >= 63) return a;
  const r = roundShift(ctx.rc, a.sign, a.sig, 63 - e, false);
  if (r.inexact) ctx.flags |= Ex.PE;
  ctx.roundedUp = r.up;
  if (r.value === 0n) return ZEROES[a.sign];
  const length = bitLength(r.value);
  return ext(a.sign, BIAS + length - 1, r.value << BigInt(64 - length));
}

/** a × 2^trunc(b). */
export function scale(ctx: FpContext, a: Ext, b: Ext): Ext {
  const ca = classOf(a), cb = classOf(b);
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return s;
  if (cb === Class.INFINITY) {
    if (b.sign === 0 && ca === Class.ZERO) return invalid(ctx);
    if (b.sign === 1 && ca === Class.INFINITY) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return b.sign === 0 ? INFINITIES[a.sign] : ZEROES[a.sign];
  }
  if (denormalOperand(ctx, ca, cb)) return a;
  if (ca === Class.INFINITY || ca === Class.ZERO) return a;
  const eb = exponentOf(b);
  let n = 0;
  if (cb !== Class.ZERO && eb >= 0) n = eb > 17 ? 0x2_0000 : Number(b.sig >> BigInt(63 - eb));
  return roundExt(ctx, a.sign, exponentOf(a) - 63 + (b.sign ? -n : n), a.sig);
}

/** Exponent and significand of a value, as FXTRACT leaves them: exponent in ST(1), significand in ST(0). */
export interface Extracted {
  exponent: Ext;
  significand: Ext;
}

/** Splits a value. ZE for zero. */
export function extract(ctx: FpContext, a: Ext): Extracted {
  const c = classOf(a);
  if (c === Class.UNSUPPORTED) {
    const v = invalid(ctx);
    return { exponent: v, significand: v };
  }
  if (isNan(c)) {
    const v = propagate(ctx, a, c, a, c);
    return { exponent: v, significand: v };
  }
  if (c === Class.INFINITY) return { exponent: INFINITIES[0], significand: a };
  if (c === Class.ZERO) {
    ctx.flags |= Ex.ZE;
    return { exponent: INFINITIES[1], significand: a };
  }
  denormalOperand(ctx, c, c);
  const length = bitLength(a.sig), e = exponentOf(a) - (64 - length);
  const m = Math.abs(e), bits = m === 0 ? 0 : 32 - Math.clz32(m);
  const exponent = m === 0 ? ZEROES[0] : ext(e < 0 ? 1 : 0, BIAS + bits - 1, BigInt(m) << BigInt(64 - bits));
  return { exponent, significand: withSign(ext(0, BIAS, a.sig << BigInt(64 - length)), a.sign) };
}
