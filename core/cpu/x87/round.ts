/**
 * Rounding to a floating-point format with x87's exception rules: tininess after rounding, biased results for
 * unmasked overflow and underflow (Intel SDM volume 1, 4.9 and 8.5).
 *
 * @module
 */
import { BIAS, bitLength, EXP_MAX, type Ext, ext, INFINITIES, ZEROES } from "./ext.ts";

/** Status-word exception flags, and the mask bits of the control word. */
export const Ex = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 0x10, PE: 0x20, SF: 0x40 } as const;

/** Rounding control. */
export const Rc = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const;

/** One operation's rounding and exceptions: what goes in from the control word, what comes out to the status word. */
export class FpContext {
  /** Rounding control, `Rc`. */
  rc = 0;
  /** Significand bits by precision control: 24, 53 or 64. */
  precision = 64;
  /** Exceptions masked: low six bits of the control word. */
  masks = 0x3f;
  /** Exceptions found, `Ex`. */
  flags = 0;
  /** The last rounding went away from zero (condition code C1). */
  roundedUp = false;

  /** Starts an operation under a control word. */
  begin(fcw: number): this {
    this.rc = fcw >>> 10 & 3;
    const pc = fcw >>> 8 & 3;
    this.precision = pc === 0 ? 24 : pc === 2 ? 53 : 64;
    this.masks = fcw & 0x3f;
    this.flags = 0;
    this.roundedUp = false;
    return this;
  }

  /** True when one of these exceptions was found and is not masked. */
  unmasked(which: number): boolean {
    return (this.flags & which & ~this.masks) !== 0;
  }
}

/** A rounded integer part: `value`, and whether it was inexact and went up. */
interface Rounded {
  value: bigint;
  inexact: boolean;
  up: boolean;
}

/**
 * Rounds the magnitude mant × 2^-shift to an integer.
 * @param sticky something not zero lies below the lowest bit of `mant`
 */
export function roundShift(rc: number, sign: number, mant: bigint, shift: number, sticky: boolean): Rounded {
  if (shift <= 0) {
    const value = mant << BigInt(-shift);
    const up = sticky && (sign ? rc === Rc.DOWN : rc === Rc.UP);
    return { value: up ? value + 1n : value, inexact: sticky, up };
  }
  const s = BigInt(shift), value = mant >> s, rest = mant - (value << s), half = 1n << (s - 1n);
  const inexact = rest !== 0n || sticky;
  let up = false;
  if (inexact) {
    if (rc === Rc.NEAREST) up = rest > half || (rest === half && (sticky || (value & 1n) === 1n));
    else up = rc === Rc.ZERO ? false : (rc === Rc.UP) === (sign === 0);
  }
  return { value: up ? value + 1n : value, inexact, up };
}

/** A binary format: significand bits, smallest and largest exponent, and the exponent adjustment of trapped results. */
export interface Format {
  readonly precision: number;
  readonly emin: number;
  readonly emax: number;
}

/** Single and double precision. */
export const SINGLE: Format = { precision: 24, emin: -126, emax: 127 };
/** @see SINGLE */
export const DOUBLE: Format = { precision: 53, emin: -1022, emax: 1023 };

/** A value rounded to a format: significand × 2^exp (exp that of the lowest bit), or infinite. */
export interface RoundedValue {
  sig: bigint;
  exp: number;
  infinite: boolean;
}

/**
 * Rounds mant × 2^exp2 (mant > 0) to a format. Sets OE, UE, PE and `roundedUp`. For unmasked overflow and underflow
 * the significand is that of an unbounded exponent: the caller adjusts or refuses.
 */
export function roundTo(
  ctx: FpContext,
  format: Format,
  sign: number,
  exp2: number,
  mant: bigint,
  sticky: boolean,
): RoundedValue {
  const p = format.precision, length = bitLength(mant);
  let r = roundShift(ctx.rc, sign, mant, length - p, sticky);
  let low = exp2 + length - p;
  if (r.value >> BigInt(p)) {
    r.value >>= 1n;
    low++;
  }
  const e = low + p - 1;
  if (e < format.emin) {
    if (!(ctx.masks & Ex.UE)) ctx.flags |= Ex.UE;
    else {
      low = format.emin - p + 1;
      r = roundShift(ctx.rc, sign, mant, low - exp2, sticky);
      if (r.inexact) ctx.flags |= Ex.UE;
    }
  } else if (e > format.emax) {
    ctx.flags |= Ex.OE;
    if (ctx.masks & Ex.OE) return overflow(ctx, format, sign);
  }
  if (r.inexact) ctx.flags |= Ex.PE;
  ctx.roundedUp = r.up;
  return { sig: r.value, exp: low, infinite: false };
}

/** Masked overflow: infinity or the largest finite number, by rounding mode. */
function overflow(ctx: FpContext, format: Format, sign: number): RoundedValue {
  ctx.flags |= Ex.PE;
  const p = format.precision;
  const infinite = ctx.rc === Rc.NEAREST || (ctx.rc === Rc.UP && sign === 0) ||
    (ctx.rc === Rc.DOWN && sign === 1);
  ctx.roundedUp = infinite;
  return { sig: (1n << BigInt(p)) - 1n, exp: format.emax - p + 1, infinite };
}

/** The extended format under each precision control. */
const EXTENDED: Readonly<Record<number, Format>> = {
  24: { precision: 24, emin: 1 - BIAS, emax: BIAS },
  53: { precision: 53, emin: 1 - BIAS, emax: BIAS },
  64: { precision: 64, emin: 1 - BIAS, emax: BIAS },
};

/** Exponent adjustment of results delivered with an unmasked overflow or underflow: 3 × 2^13. */
const ADJUST = 24576;

/**
 * Rounds mant × 2^exp2 (mant >= 0) to an extended value at a precision (the control word's, or 64).
 * @param sticky something not zero lies below the lowest bit of `mant`
 */
export function roundExt(
  ctx: FpContext,
  sign: number,
  exp2: number,
  mant: bigint,
  sticky = false,
  precision = 64,
): Ext {
  if (mant === 0n) return ZEROES[sign];
  const r = roundTo(ctx, EXTENDED[precision], sign, exp2, mant, sticky);
  if (r.infinite) return INFINITIES[sign];
  if (r.sig === 0n) return ZEROES[sign];
  const up = BigInt(64 - precision);
  let sig = r.sig << up, exp = r.exp - (64 - precision) + 63 + BIAS;
  if (ctx.unmasked(Ex.UE)) exp += ADJUST;
  else if (ctx.unmasked(Ex.OE)) exp -= ADJUST;
  if (sig >> 64n) {
    sig >>= 1n;
    exp++;
  }
  // A denormal result has the exponent of the smallest normal number and its integer bit clear.
  if (sig >> 63n === 0n) return ext(sign, 0, sig);
  if (exp > 0 && exp < EXP_MAX) return ext(sign, exp, sig);
  // Beyond what the adjustment reaches (FSCALE).
  ctx.flags |= Ex.PE;
  ctx.roundedUp = exp > 0;
  return exp > 0 ? INFINITIES[sign] : ZEROES[sign];
}
