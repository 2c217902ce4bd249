/**
 * Conversions between extended values and single, double, integer and packed-decimal operands in memory
 * (Intel SDM volume 1, 4.8.3, 8.2 and 8.5.1).
 *
 * @module
 */
import {
  BIAS,
  bitLength,
  Class,
  classOf,
  EXP_MAX,
  exponentOf,
  type Ext,
  ext,
  INDEFINITE,
  INTEGER_BIT,
  isNan,
  quiet,
  QUIET_BIT,
  ZEROES,
} from "./ext.ts";
import { DOUBLE, Ex, type Format, type FpContext, roundShift, roundTo, SINGLE } from "./round.ts";

/** Widens a single-precision bit pattern; exact, signalling NaNs stay so, denormals come out normalised. */
export function fromSingle(bits: number): Ext {
  return widen(bits >>> 31, bits >>> 23 & 0xff, BigInt(bits & 0x7f_ffff), 8, 23);
}

/** Widens a double-precision bit pattern given as two words. */
export function fromDouble(lo: number, hi: number): Ext {
  return widen(hi >>> 31, hi >>> 20 & 0x7ff, BigInt(hi & 0xf_ffff) << 32n | BigInt(lo >>> 0), 11, 52);
}

function widen(sign: number, exp: number, frac: bigint, expBits: number, fracBits: number): Ext {
  const max = (1 << expBits) - 1, bias = max >> 1, up = BigInt(63 - fracBits);
  if (exp === max) return ext(sign, EXP_MAX, INTEGER_BIT | frac << up);
  if (exp !== 0) return ext(sign, exp - bias + BIAS, INTEGER_BIT | frac << up);
  if (frac === 0n) return ZEROES[sign];
  const length = bitLength(frac);
  return ext(sign, 1 - bias + BIAS - (fracBits + 1 - length), frac << BigInt(64 - length));
}

/** True for a single (8 exponent bits in `hi`'s top) or double denormal: loading it raises DE. */
export function isDenormalSingle(bits: number): boolean {
  return (bits & 0x7f80_0000) === 0 && (bits & 0x7f_ffff) !== 0;
}

/** @see isDenormalSingle */
export function isDenormalDouble(lo: number, hi: number): boolean {
  return (hi & 0x7ff0_0000) === 0 && ((hi & 0xf_ffff) | lo) !== 0;
}

/** Bit pattern (single: 32 bits, double: 64) of a value; the caller must not store it when an exception is unmasked. */
export function toMemoryFloat(ctx: FpContext, a: Ext, double: boolean): bigint {
  const f = double ? DOUBLE : SINGLE, cls = classOf(a);
  const frac = BigInt(f.precision - 1), signBit = BigInt(a.sign) << (double ? 63n : 31n);
  const inf = BigInt(f.emax * 2 + 1) << frac;
  if (cls === Class.ZERO) return signBit;
  if (cls === Class.INFINITY) return signBit | inf;
  if (cls === Class.UNSUPPORTED || isNan(cls)) {
    if (cls !== Class.QNAN) ctx.flags |= Ex.IE;
    const nan = cls === Class.UNSUPPORTED ? INDEFINITE : quiet(a);
    return BigInt(nan.sign) << (double ? 63n : 31n) | inf | (nan.sig & INTEGER_BIT - 1n) >> 63n - frac;
  }
  return signBit | packFinite(ctx, f, a, inf);
}

function packFinite(ctx: FpContext, f: Format, a: Ext, inf: bigint): bigint {
  const r = roundTo(ctx, f, a.sign, exponentOf(a) - 63, a.sig, false);
  if (r.infinite) return inf;
  const frac = BigInt(f.precision - 1), biased = r.exp + f.precision - 1 + f.emax;
  if (r.sig >> frac === 0n) return r.sig; // denormal
  return BigInt(biased & (f.emax * 2 + 1)) << frac | r.sig & (1n << frac) - 1n;
}

/** Widens a signed integer. */
export function fromInteger(v: bigint): Ext {
  if (v === 0n) return ZEROES[0];
  const sign = v < 0n ? 1 : 0, m = sign ? -v : v, length = bitLength(m);
  return ext(sign, BIAS + length - 1, m << BigInt(64 - length));
}

/**
 * Rounds to a signed integer of `bits` bits; IE and the integer indefinite when it does not fit.
 * @param rc rounding control (FISTTP: toward zero)
 */
export function toInteger(ctx: FpContext, a: Ext, bits: number, rc: number): bigint {
  const cls = classOf(a), limit = 1n << BigInt(bits - 1);
  if (cls === Class.ZERO) return 0n;
  if (cls === Class.NORMAL || cls === Class.DENORMAL) {
    const e = exponentOf(a);
    if (e < bits) {
      const r = roundShift(rc, a.sign, a.sig, 63 - e, false);
      if (r.value < limit || (a.sign === 1 && r.value === limit)) {
        if (r.inexact) ctx.flags |= Ex.PE;
        ctx.roundedUp = r.up;
        return a.sign ? -r.value : r.value;
      }
    }
  }
  ctx.flags |= Ex.IE;
  return -limit;
}

/** The packed-decimal indefinite: sign and top digits all ones, 0xc000000000000000 below. */
const BCD_INDEFINITE = 0xffff_c000_0000_0000_0000n;

/** Eighteen packed decimal digits and a sign byte from a value rounded to an integer; IE when it does not fit. */
export function toBcd(ctx: FpContext, a: Ext): bigint {
  const cls = classOf(a);
  if (cls === Class.NORMAL || cls === Class.DENORMAL || cls === Class.ZERO) {
    const e = exponentOf(a);
    if (e < 63) {
      const r = roundShift(ctx.rc, a.sign, a.sig, 63 - e, false);
      if (r.value < 10n ** 18n) {
        if (r.inexact) ctx.flags |= Ex.PE;
        ctx.roundedUp = r.up;
        let out = 0n, v = r.value;
        for (let i = 0n; v !== 0n; i += 4n, v /= 10n) out |= (v % 10n) << i;
        return out | BigInt(a.sign) << 79n;
      }
    }
  }
  ctx.flags |= Ex.IE;
  return BCD_INDEFINITE;
}

/** Value of a packed decimal (80 bits); digits above 9 count as they are. */
export function fromBcd(bits: bigint): Ext {
  let v = 0n;
  for (let i = 17n; i >= 0n; i--) v = v * 10n + (bits >> i * 4n & 15n);
  const r = fromInteger(v);
  return bits >> 79n & 1n ? ext(1, r.exp, r.sig) : r;
}

/** A NaN's payload survives widening; true when `a` is signalling. */
export function isSignalling(a: Ext): boolean {
  return a.exp === EXP_MAX && (a.sig & INTEGER_BIT) !== 0n && (a.sig & QUIET_BIT) === 0n &&
    a.sig !== INTEGER_BIT;
}
