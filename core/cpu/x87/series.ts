/**
 * High-precision evaluation with big integers: one defined answer for every transcendental instruction, the same on
 * every host. Results carry more than 140 correct bits, so that rounding them to 64 is rounding the exact value.
 *
 * A `Big` is mant × 2^exp with a positive mantissa; errors are relative.
 *
 * @module
 */
import { bitLength } from "./ext.ts";

/** A positive number mant × 2^exp. */
export interface Big {
  readonly mant: bigint;
  readonly exp: number;
}

/** Fraction bits of fixed-point work. */
const W = 192, WN = BigInt(W), ONE_FIXED = 1n << WN;

/** Trims a mantissa to the working precision. */
export function trim(mant: bigint, exp: number): Big {
  const extra = bitLength(mant) - W;
  return extra > 0 ? { mant: mant >> BigInt(extra), exp: exp + extra } : { mant, exp };
}

/** Product. */
export function times(a: Big, b: Big): Big {
  return trim(a.mant * b.mant, a.exp + b.exp);
}

/** Quotient. */
export function over(a: Big, b: Big): Big {
  const up = Math.max(0, W + 8 + bitLength(b.mant) - bitLength(a.mant));
  return trim((a.mant << BigInt(up)) / b.mant, a.exp - up - b.exp);
}

/** Fixed-point value (W fraction bits, rounded down) of a number below 2^64. */
function fixed(a: Big): bigint {
  const shift = a.exp + W;
  return shift >= 0 ? a.mant << BigInt(shift) : a.mant >> BigInt(-shift);
}

function fromFixed(v: bigint): Big {
  return trim(v, -W);
}

/** Squares a number below 1 into fixed point. */
function squareFixed(a: Big): bigint {
  return fixed(times(a, a));
}

/** 2 atanh(1/n) in fixed point: the series for logarithms of rationals. */
function atanhInverse(n: bigint): bigint {
  let term = ONE_FIXED / n, sum = 0n;
  for (let k = 1n; term !== 0n; k += 2n, term /= n * n) sum += term / k;
  return 2n * sum;
}

/** ln 2 = 2 atanh(1/3). */
const LN2: Big = fromFixed(atanhInverse(3n));

/** arctan(1/n) in fixed point. */
function atanInverse(n: bigint): bigint {
  let term = ONE_FIXED / n, sum = 0n;
  for (let k = 1n, s = 1n; term !== 0n; k += 2n, s = -s, term /= n * n) sum += s * term / k;
  return sum;
}

/** π by Machin's formula, in fixed point. */
const PI_FIXED = 16n * atanInverse(5n) - 4n * atanInverse(239n);

/** 2^x - 1 for 0 < |x| <= 1. The result has the sign of x. */
export function exp2m1(x: Big, negative: boolean): Big {
  const t = times(x, LN2), tf = fixed(t);
  // (e^t - 1) / t = 1 + t/2 + t²/6 + ...
  let term = ONE_FIXED, sum = ONE_FIXED;
  for (let k = 2n; term !== 0n; k++) {
    term = term * tf / k >> WN;
    sum += negative && k % 2n === 0n ? -term : term;
  }
  return times(t, fromFixed(sum));
}

/** atanh(z) / z for z² in fixed point. */
function atanhFactor(z2: bigint): bigint {
  let power = ONE_FIXED, sum = ONE_FIXED;
  for (let k = 3n; power !== 0n; k += 2n) {
    power = power * z2 >> WN;
    sum += power / k;
  }
  return sum;
}

/** |log2((1 + z) / (1 - z))| for 0 < z < 0.2. */
export function log2FromRatio(z: Big): Big {
  return over(times({ mant: z.mant, exp: z.exp + 1 }, fromFixed(atanhFactor(squareFixed(z)))), LN2);
}

/** Sign and magnitude of log2 of mant × 2^exp; `zero` for exactly 1. */
export interface Log {
  negative: boolean;
  zero: boolean;
  /** The logarithm is an integer, so that the magnitude is exact. */
  exact: boolean;
  value: Big;
}

/** log2 of a positive number. */
export function log2(x: Big): Log {
  const length = bitLength(x.mant), one = 1n << BigInt(length - 1);
  let k = x.exp + length - 1, m = x.mant, unit = one;
  // m / unit in [1, 2): bring it to [3/4, 3/2).
  if (m * 2n >= unit * 3n) {
    unit *= 2n;
    k++;
  }
  const diff = m - unit;
  if (diff === 0n) {
    return { negative: k < 0, zero: k === 0, exact: true, value: { mant: BigInt(Math.abs(k)), exp: 0 } };
  }
  m = diff < 0n ? -diff : diff;
  const part = log2FromRatio(over({ mant: m, exp: 0 }, { mant: x.mant + unit, exp: 0 }));
  if (k === 0) return { negative: diff < 0n, zero: false, exact: false, value: part };
  const whole = (BigInt(k) << WN) + (diff < 0n ? -fixed(part) : fixed(part));
  return {
    negative: whole < 0n,
    zero: false,
    exact: false,
    value: fromFixed(whole < 0n ? -whole : whole),
  };
}

/** Integer square root in fixed point. */
function sqrtFixed(v: bigint): bigint {
  const n = v << WN;
  let x = 1n << BigInt((n.toString(2).length + 1) >> 1);
  for (;;) {
    const y = (x + n / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

/** arctan(r) for 0 < r <= 1, relative precision kept for tiny r. */
export function atan(r: Big): Big {
  // Halve the angle twice: tan(a/2) = r / (1 + sqrt(1 + r²)).
  let t = r, doublings = 0;
  if (r.exp + bitLength(r.mant) > -3) {
    for (; doublings < 2; doublings++) {
      t = over(t, fromFixed(ONE_FIXED + sqrtFixed(ONE_FIXED + squareFixed(t))));
    }
  }
  const t2 = squareFixed(t);
  let power = ONE_FIXED, sum = ONE_FIXED;
  for (let k = 3n, s = -1n; power !== 0n; k += 2n, s = -s) {
    power = power * t2 >> WN;
    sum += s * (power / k);
  }
  const a = times(t, fromFixed(sum - 1n));
  return { mant: a.mant, exp: a.exp + doublings };
}

/** π × n / 4, minus or plus a smaller angle. */
export function quarterPi(n: number, minus: Big | null, plus: Big | null): Big {
  let v = PI_FIXED * BigInt(n) / 4n;
  if (minus !== null) v -= fixed(minus);
  if (plus !== null) v += fixed(plus);
  return fromFixed(v);
}

/** sin(r) for 0 < r <= 1; always a hair below r. */
export function sin(r: Big): Big {
  const r2 = squareFixed(r);
  let term = ONE_FIXED, sum = ONE_FIXED;
  for (let k = 2n; term !== 0n; k += 2n) {
    term = -(term * r2 / (k * (k + 1n)) >> WN);
    sum += term;
    if (term === -1n) break;
  }
  return times(r, fromFixed(sum - 1n));
}

/** cos(r) for 0 < r <= 1; a hair below 1 for the tiniest angles. */
export function cos(r: Big): Big {
  const r2 = squareFixed(r);
  if (r2 === 0n) return fromFixed(ONE_FIXED - 1n);
  let term = ONE_FIXED, sum = ONE_FIXED;
  for (let k = 1n; term !== 0n; k += 2n) {
    term = -(term * r2 / (k * (k + 1n)) >> WN);
    sum += term;
    if (term === -1n) break;
  }
  return fromFixed(sum);
}

/** tan(r) from r and its sine and cosine; for the tiniest angles a hair above r. */
export function tan(r: Big, sine: Big, cosine: Big): Big {
  return r.exp + bitLength(r.mant) < -80 ? times(r, fromFixed(ONE_FIXED + 1n)) : over(sine, cosine);
}

/** π as the processor's argument reduction knows it: 66 significant bits (SDM volume 1, 8.3.8), as mant × 2^-64. */
export const PI66 = 0xc90f_daa2_2168_c234_cn >> 2n;
