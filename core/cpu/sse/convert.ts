/**
 * Conversions of one lane between integers and the two floating-point formats, and rounding to an integral value
 * (Intel SDM volume 2, CVT*; volume 1, table 11-1).
 *
 * @module
 */
import type { Words } from "./arith.ts";
import { ctx, Ex, Rc } from "./context.ts";
import {
  goesUp,
  Kind,
  newNum,
  normalise,
  type Num,
  pack,
  packInfinity,
  packNan,
  packZero,
  shiftRight,
  unpack,
} from "./number.ts";

const A: Num = newNum();

/** out[oi] = y[yi] in the other format. */
export function changeFormat(toDouble: boolean, y: Words, yi: number, out: Words, oi: number): void {
  unpack(A, y, yi, !toDouble);
  switch (A.kind) {
    case Kind.ZERO:
      return packZero(out, oi, toDouble, A.sign);
    case Kind.INFINITE:
      return packInfinity(out, oi, toDouble, A.sign);
    case Kind.FINITE:
      if (A.denormal) {
        ctx.flags |= Ex.DE;
        if (!(ctx.masks & Ex.DE)) return;
      }
      return pack(A, out, oi, toDouble);
  }
  if (A.kind === Kind.SNAN) ctx.flags |= Ex.IE;
  if (toDouble) {
    const w = A.lo;
    A.hi = (w & 0x8000_0000) + (0x7ff8_0000 | w >>> 3 & 0xf_ffff);
    A.lo = w << 29 >>> 0;
  } else A.lo = (A.hi & 0x8000_0000) + (0x7fc0_0000 | A.hi << 3 & 0x3f_ffff | A.lo >>> 29);
  packNan(A, out, oi, toDouble);
}

/** Writes a signed integer (64 bits as two words) as a number. */
export function fromInteger(double: boolean, hi: number, lo: number, out: Words, oi: number): void {
  A.sign = hi >>> 31;
  A.kind = Kind.FINITE;
  A.hi = hi >>> 0;
  A.lo = lo >>> 0;
  if (A.sign) {
    A.lo = -lo >>> 0;
    A.hi = (~hi + (A.lo === 0 ? 1 : 0)) >>> 0;
  }
  if ((A.hi | A.lo) === 0) return packZero(out, oi, double, 0);
  A.exp = 62;
  if (A.hi >>> 31) {
    shiftRight(A, 1);
    A.exp++;
  } else normalise(A);
  pack(A, out, oi, double);
}

/** Makes A, finite with an exponent below 63, the integer of its magnitude rounded; true when that is inexact. */
function integral(rc: number): boolean {
  shiftRight(A, 60 - A.exp);
  const scale = A.exp <= 60 ? 2 : 62 - A.exp;
  // The lowest `scale` bits (2, 1 or 0; the last sticky) are the fraction.
  const rest = A.lo & ((1 << scale) - 1), half = scale === 0 ? 0 : 1 << (scale - 1);
  A.lo = (scale === 0 ? A.lo : A.lo >>> scale | A.hi << (32 - scale)) >>> 0;
  A.hi >>>= scale;
  if (rest !== 0 && goesUp(rc, A.sign, (A.lo & 1) !== 0, rest > half, rest === half)) {
    A.lo = (A.lo + 1) >>> 0;
    if (A.lo === 0) A.hi = (A.hi + 1) >>> 0;
  }
  return rest !== 0;
}

/**
 * out[oi] = y[yi] as a signed integer of 32 or 64 bits, rounded by MXCSR or toward zero; the integer indefinite
 * (80…0) when it does not fit.
 */
export function toInteger(
  wide: boolean,
  truncate: boolean,
  double: boolean,
  y: Words,
  yi: number,
  out: Words,
  oi: number,
): void {
  unpack(A, y, yi, double);
  let fits = A.kind <= Kind.FINITE, inexact = false;
  if (A.kind === Kind.ZERO) A.hi = A.lo = 0;
  else if (A.kind === Kind.FINITE) {
    if (A.exp > 62) {
      fits = wide && A.exp === 63 && A.sign === 1 && A.hi === 0x4000_0000 && A.lo === 0;
      A.hi = 0x8000_0000;
    } else {
      inexact = integral(truncate ? Rc.ZERO : ctx.rc);
      const limit = A.sign ? 0x8000_0000 : 0x7fff_ffff;
      fits = wide ? A.hi <= limit : A.hi === 0 && A.lo <= limit;
      if (wide && A.hi === 0x8000_0000) fits = A.sign === 1 && A.lo === 0;
    }
  }
  if (!fits) {
    ctx.flags |= Ex.IE;
    out[oi] = wide ? 0 : 0x8000_0000;
    if (wide) out[oi + 1] = 0x8000_0000;
    return;
  }
  if (inexact) ctx.flags |= Ex.PE;
  const lo = A.sign ? -A.lo >>> 0 : A.lo;
  out[oi] = lo;
  if (wide) out[oi + 1] = A.sign ? ~A.hi + (lo === 0 ? 1 : 0) : A.hi;
}

/**
 * out[oi] = y[yi] rounded to an integral value (ROUNDPS and its like).
 * @param control the immediate: bits 0-1 rounding, bit 2 "by MXCSR", bit 3 "inexact is not reported"
 */
export function roundIntegral(
  control: number,
  double: boolean,
  y: Words,
  yi: number,
  out: Words,
  oi: number,
): void {
  unpack(A, y, yi, double);
  if (A.kind >= Kind.QNAN) {
    if (A.kind === Kind.SNAN) ctx.flags |= Ex.IE;
    return packNan(A, out, oi, double);
  }
  if (A.kind === Kind.INFINITE) return packInfinity(out, oi, double, A.sign);
  if (A.kind === Kind.ZERO) return packZero(out, oi, double, A.sign);
  if (A.exp > 60) return pack(A, out, oi, double);
  const inexact = integral(control & 4 ? ctx.rc : control & 3);
  if (inexact && !(control & 8)) ctx.flags |= Ex.PE;
  if ((A.hi | A.lo) === 0) return packZero(out, oi, double, A.sign);
  A.exp = 62;
  normalise(A);
  pack(A, out, oi, double);
}
