/**
 * Floating-point numbers of 32 and 64 bits taken apart and put together again, with rounding and its exceptions.
 *
 * Everything is done in 32-bit words: results do not depend on the host's floating point, and no rounding mode or
 * exception is an exception. Source: IEEE 754-2008; Intel SDM volume 1, chapters 4 and 11.5.2.
 *
 * @module
 */
import { ctx, Ex, Rc } from "./context.ts";

/** Classes of numbers. */
export const Kind = { ZERO: 0, FINITE: 1, INFINITE: 2, QNAN: 3, SNAN: 4 } as const;

/**
 * A number. `FINITE` ones are (hi:lo) / 2^62 × 2^exp with bit 62 set; NaNs keep their words as they are (a 32-bit one in
 * `lo`).
 */
export interface Num {
  kind: number;
  sign: number;
  exp: number;
  hi: number;
  lo: number;
  /** It was a denormal number (and DAZ is clear). */
  denormal: boolean;
}

/** A fresh zero. */
export const newNum = (): Num => ({ kind: 0, sign: 0, exp: 0, hi: 0, lo: 0, denormal: false });

const TWO32 = 0x1_0000_0000;

/** Takes a number apart; `at` is a word index. */
export function unpack(n: Num, w: Uint32Array, at: number, double: boolean): void {
  if (double) unpackDouble(n, w[at], w[at + 1]);
  else unpackSingle(n, w[at]);
}

function unpackSingle(n: Num, w: number): void {
  const e = w >>> 23 & 0xff, m = w & 0x7f_ffff;
  n.sign = w >>> 31;
  n.denormal = false;
  n.lo = 0;
  if (e === 0xff) {
    n.kind = m === 0 ? Kind.INFINITE : m & 0x40_0000 ? Kind.QNAN : Kind.SNAN;
    n.lo = w;
  } else if (e === 0) {
    n.kind = m === 0 || ctx.daz ? Kind.ZERO : Kind.FINITE;
    if (n.kind === Kind.ZERO) return;
    n.denormal = true;
    const z = Math.clz32(m) - 1;
    n.hi = m << z;
    n.exp = -126 - (z - 7);
  } else {
    n.kind = Kind.FINITE;
    n.exp = e - 127;
    n.hi = (m | 0x80_0000) << 7;
  }
}

function unpackDouble(n: Num, lo: number, w: number): void {
  const e = w >>> 20 & 0x7ff, m = w & 0xf_ffff;
  n.sign = w >>> 31;
  n.denormal = false;
  n.hi = w;
  n.lo = lo;
  if (e === 0x7ff) n.kind = (m | lo) === 0 ? Kind.INFINITE : m & 0x8_0000 ? Kind.QNAN : Kind.SNAN;
  else if (e === 0) {
    n.kind = (m | lo) === 0 || ctx.daz ? Kind.ZERO : Kind.FINITE;
    if (n.kind === Kind.ZERO) return;
    n.denormal = true;
    n.exp = 62 - 1074;
    n.hi = m;
    normalise(n);
  } else {
    n.kind = Kind.FINITE;
    n.exp = e - 1023;
    n.hi = (m | 0x10_0000) << 10 | lo >>> 22;
    n.lo = lo << 10 >>> 0;
  }
}

/** Shifts a significand that is not zero left until bit 62 is set; bit 63 must be clear. */
export function normalise(n: Num): void {
  if (n.hi === 0) {
    n.hi = n.lo;
    n.lo = 0;
    n.exp -= 32;
    if (n.hi >>> 31) {
      n.lo = n.hi << 31 >>> 0;
      n.hi >>>= 1;
      n.exp++;
    }
  }
  const z = Math.clz32(n.hi) - 1;
  if (z > 0) {
    n.hi = (n.hi << z | n.lo >>> (32 - z)) >>> 0;
    n.lo = n.lo << z >>> 0;
    n.exp -= z;
  }
}

/** Shifts right; bits that fall out stay as a sticky lowest one. */
export function shiftRight(n: Num, by: number): void {
  if (by <= 0) return;
  if (by >= 64) {
    n.lo = (n.hi | n.lo) !== 0 ? 1 : 0;
    n.hi = 0;
    return;
  }
  if (by >= 32) {
    const sticky = n.lo !== 0 ? 1 : 0;
    n.lo = n.hi | 0;
    n.hi = 0;
    by -= 32;
    if (by > 0) n.lo = n.lo >>> by | (n.lo << (32 - by) !== 0 ? 1 : 0);
    n.lo = (n.lo | sticky) >>> 0;
    return;
  }
  const sticky = n.lo << (32 - by) !== 0 ? 1 : 0;
  n.lo = (n.lo >>> by | n.hi << (32 - by) | sticky) >>> 0;
  n.hi >>>= by;
}

/** Whether rounding goes away from zero, given an inexact value. */
export function goesUp(rc: number, sign: number, odd: boolean, above: boolean, tie: boolean): boolean {
  if (rc === Rc.NEAREST) return above || (tie && odd);
  return rc !== Rc.ZERO && (rc === Rc.UP) === (sign === 0);
}

/** Rounded significand as an integer of 53 or 24 bits (one more after a carry), and whether it is inexact. */
let mHi = 0, mLo = 0, inexact = false;

function roundSignificand(n: Num, double: boolean): void {
  const { hi, lo } = n;
  if (double) {
    const rest = lo & 0x3ff;
    inexact = rest !== 0;
    mLo = (lo >>> 10 | hi << 22) >>> 0;
    mHi = hi >>> 10;
    if (inexact && goesUp(ctx.rc, n.sign, (mLo & 1) !== 0, rest > 0x200, rest === 0x200)) {
      mLo = (mLo + 1) >>> 0;
      if (mLo === 0) mHi++;
    }
  } else {
    const rest = hi & 0x7f | (lo !== 0 ? 0x80 : 0); // 0x80: something below
    inexact = rest !== 0;
    mHi = 0;
    mLo = hi >>> 7;
    const above = (rest & 0x7f) > 0x40 || rest === 0xc0;
    if (inexact && goesUp(ctx.rc, n.sign, (mLo & 1) !== 0, above, rest === 0x40)) mLo++;
  }
}

const carried = (double: boolean): number => (double ? mHi >>> 21 : mLo >>> 24);

/** Writes a biased exponent minus one (0 also for denormals) with the rounded significand added. */
function put(out: Uint32Array, at: number, double: boolean, sign: number, field: number): void {
  if (double) {
    out[at] = mLo;
    out[at + 1] = (sign << 31) + (field << 20) + mHi;
  } else out[at] = (sign << 31) + (field << 23) + mLo;
}

/** Rounds a `FINITE` number (lowest bit sticky) and writes it. */
export function pack(n: Num, out: Uint32Array, at: number, double: boolean): void {
  if (n.exp < (double ? -1022 : -126)) return packTiny(n, out, at, double);
  roundSignificand(n, double);
  if (n.exp + carried(double) > (double ? 1023 : 127)) return overflow(n, out, at, double);
  if (inexact) ctx.flags |= Ex.PE;
  put(out, at, double, n.sign, n.exp + (double ? 1022 : 126));
}

/** Tininess is found after rounding, as if the exponent had no bounds. */
function packTiny(n: Num, out: Uint32Array, at: number, double: boolean): void {
  const min = double ? -1022 : -126;
  roundSignificand(n, double);
  const tiny = n.exp + carried(double) < min;
  if (tiny && !(ctx.masks & Ex.UE)) {
    ctx.flags |= Ex.UE | (inexact ? Ex.PE : 0);
    return;
  }
  if (tiny && ctx.fz) {
    ctx.flags |= Ex.UE | Ex.PE;
    return packZero(out, at, double, n.sign);
  }
  shiftRight(n, min - n.exp);
  roundSignificand(n, double);
  if (inexact) ctx.flags |= Ex.PE | (tiny ? Ex.UE : 0);
  put(out, at, double, n.sign, 0);
}

function overflow(n: Num, out: Uint32Array, at: number, double: boolean): void {
  const masked = (ctx.masks & Ex.OE) !== 0;
  ctx.flags |= Ex.OE | (masked || inexact ? Ex.PE : 0);
  const infinite = ctx.rc === Rc.NEAREST || (ctx.rc !== Rc.ZERO && (ctx.rc === Rc.UP) === (n.sign === 0));
  if (infinite) return packInfinity(out, at, double, n.sign);
  out[at] = double ? 0xffff_ffff : (n.sign << 31) + 0x7f7f_ffff;
  if (double) out[at + 1] = (n.sign << 31) + 0x7fef_ffff;
}

/** Writes a signed zero. */
export function packZero(out: Uint32Array, at: number, double: boolean, sign: number): void {
  out[at] = double ? 0 : sign << 31;
  if (double) out[at + 1] = sign << 31;
}

/** Writes a signed infinity. */
export function packInfinity(out: Uint32Array, at: number, double: boolean, sign: number): void {
  out[at] = double ? 0 : (sign << 31) + 0x7f80_0000;
  if (double) out[at + 1] = (sign << 31) + 0x7ff0_0000;
}

/** Writes the default NaN and flags an invalid operation. */
export function packInvalid(out: Uint32Array, at: number, double: boolean): void {
  ctx.flags |= Ex.IE;
  out[at] = double ? 0 : 0xffc0_0000;
  if (double) out[at + 1] = 0xfff8_0000;
}

/** Writes a NaN operand made quiet. */
export function packNan(n: Num, out: Uint32Array, at: number, double: boolean): void {
  out[at] = double ? n.lo : n.lo | 0x40_0000;
  if (double) out[at + 1] = n.hi | 0x8_0000;
}

/** Sum of two unsigned 64-bit values, or difference, into `n`. */
export function addWords(n: Num, hi: number, lo: number): void {
  const l = n.lo + lo;
  n.lo = l >>> 0;
  n.hi = (n.hi + hi + (l >= TWO32 ? 1 : 0)) >>> 0;
}
/** @see addWords */
export function subWords(n: Num, hi: number, lo: number): void {
  const l = n.lo - lo;
  n.lo = l >>> 0;
  n.hi = (n.hi - hi - (l < 0 ? 1 : 0)) >>> 0;
}
