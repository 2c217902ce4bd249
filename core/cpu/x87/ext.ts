/**
 * The 80-bit extended-precision format: fields, classes and constants (Intel SDM volume 1, 4.2 and 8.2).
 *
 * @module
 */

/** One extended-precision value by its fields: sign, 15-bit biased exponent, 64-bit significand (integer bit explicit). */
export interface Ext {
  readonly sign: number;
  readonly exp: number;
  readonly sig: bigint;
}

/** Exponent bias, and the exponent of infinities and NaNs. */
export const BIAS = 16383, EXP_MAX = 0x7fff;
/** The explicit integer bit, the bit that makes a NaN quiet, and all 64 bits of a significand. */
export const INTEGER_BIT = 1n << 63n, QUIET_BIT = 1n << 62n, SIG_MASK = (1n << 64n) - 1n;

/** What a value is. */
export const Class = {
  ZERO: 0,
  /** Denormal or pseudo-denormal: exponent field 0, significand not 0. */
  DENORMAL: 1,
  NORMAL: 2,
  INFINITY: 3,
  QNAN: 4,
  SNAN: 5,
  /** Exponent not 0 with the integer bit clear: pseudo-NaN, pseudo-infinity, unnormal. */
  UNSUPPORTED: 6,
} as const;

/** Makes a value from its fields. */
export function ext(sign: number, exp: number, sig: bigint): Ext {
  return { sign, exp, sig };
}

/** The default NaN, "real indefinite". */
export const INDEFINITE: Ext = ext(1, EXP_MAX, INTEGER_BIT | QUIET_BIT);
/** +0, -0, +1. */
export const ZEROES: readonly [Ext, Ext] = [ext(0, 0, 0n), ext(1, 0, 0n)];
/** @see ZEROES */
export const ONE: Ext = ext(0, BIAS, INTEGER_BIT);
/** +infinity, -infinity. */
export const INFINITIES: readonly [Ext, Ext] = [ext(0, EXP_MAX, INTEGER_BIT), ext(1, EXP_MAX, INTEGER_BIT)];

/** Class of a value: one of `Class`. */
export function classOf(a: Ext): number {
  if (a.exp === 0) return a.sig === 0n ? Class.ZERO : Class.DENORMAL;
  if (!(a.sig & INTEGER_BIT)) return Class.UNSUPPORTED;
  if (a.exp !== EXP_MAX) return Class.NORMAL;
  if (a.sig === INTEGER_BIT) return Class.INFINITY;
  return a.sig & QUIET_BIT ? Class.QNAN : Class.SNAN;
}

/** True for either kind of NaN class. */
export function isNan(cls: number): boolean {
  return cls === Class.QNAN || cls === Class.SNAN;
}

/** Exponent e of a finite value written as sig × 2^(e - 63); denormals have that of the smallest normal. */
export function exponentOf(a: Ext): number {
  return (a.exp === 0 ? 1 : a.exp) - BIAS;
}

/** A NaN with its quiet bit set. */
export function quiet(a: Ext): Ext {
  return a.sig & QUIET_BIT ? a : ext(a.sign, a.exp, a.sig | QUIET_BIT);
}

/** The same value with another sign. */
export function withSign(a: Ext, sign: number): Ext {
  return a.sign === sign ? a : ext(sign, a.exp, a.sig);
}

/** Number of significant bits of a positive integer. */
export function bitLength(v: bigint): number {
  let n = 0;
  while (v >= 1n << 64n) {
    const hex = v.toString(16);
    n = (hex.length - 1) * 4;
    return n + 32 - Math.clz32(parseInt(hex[0], 16));
  }
  const hi = Number(v >> 32n), lo = Number(v & 0xffff_ffffn);
  return hi !== 0 ? 64 - Math.clz32(hi) : 32 - Math.clz32(lo);
}
