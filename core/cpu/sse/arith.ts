/**
 * Addition, subtraction, multiplication, division and square root of one lane (Intel SDM volume 1, 11.5.2; tables 4-7
 * and 11-1 for NaNs).
 *
 * @module
 */
import { ctx, Ex, Rc } from "./context.ts";
import {
  addWords,
  Kind,
  newNum,
  normalise,
  type Num,
  pack,
  packInfinity,
  packInvalid,
  packNan,
  packZero,
  shiftRight,
  subWords,
  unpack,
} from "./number.ts";

/** Operations of `binary`. */
export const Op = { ADD: 0, MUL: 1, SUB: 2, DIV: 3 } as const;

const A: Num = newNum(), B: Num = newNum(), R: Num = newNum();
const TOP_BIT = 0x8000_0000;

/** Where a lane is: an array of words and an index into it. */
export type Words = Uint32Array;

/** Writes the result that NaN operands make; false when there is none. */
function nans(a: Num, b: Num, out: Words, at: number, double: boolean): boolean {
  if (a.kind < Kind.QNAN && b.kind < Kind.QNAN) return false;
  if (a.kind === Kind.SNAN || b.kind === Kind.SNAN) ctx.flags |= Ex.IE;
  packNan(a.kind >= Kind.QNAN ? a : b, out, at, double);
  return true;
}

/** out[oi] = x[xi] op y[yi]. */
export function binary(
  op: number,
  double: boolean,
  x: Words,
  xi: number,
  y: Words,
  yi: number,
  out: Words,
  oi: number,
): void {
  unpack(A, x, xi, double);
  unpack(B, y, yi, double);
  if (nans(A, B, out, oi, double)) return;
  if (op === Op.SUB) B.sign ^= 1;
  if (op === Op.MUL) multiply(out, oi, double);
  else if (op === Op.DIV) divide(out, oi, double);
  else addition(out, oi, double);
}

/** Flags a denormal operand; true when the operation is not to be computed. */
function denormal(): boolean {
  if (!A.denormal && !B.denormal) return false;
  ctx.flags |= Ex.DE;
  return (ctx.masks & Ex.DE) === 0;
}

function addition(out: Words, oi: number, double: boolean): void {
  if (A.kind === Kind.INFINITE || B.kind === Kind.INFINITE) {
    if (A.kind === B.kind && A.sign !== B.sign) return packInvalid(out, oi, double);
    if (denormal()) return;
    return packInfinity(out, oi, double, A.kind === Kind.INFINITE ? A.sign : B.sign);
  }
  if (denormal()) return;
  const cancelled = ctx.rc === Rc.DOWN ? 1 : 0;
  if (A.kind === Kind.ZERO || B.kind === Kind.ZERO) {
    if (A.kind === B.kind) return packZero(out, oi, double, A.sign === B.sign ? A.sign : cancelled);
    return pack(A.kind === Kind.ZERO ? B : A, out, oi, double);
  }
  let big = A, small = B;
  if (A.exp < B.exp || (A.exp === B.exp && (A.hi < B.hi || (A.hi === B.hi && A.lo < B.lo)))) {
    big = B;
    small = A;
  }
  shiftRight(small, big.exp - small.exp);
  if (A.sign === B.sign) {
    addWords(big, small.hi, small.lo);
    if (big.hi >= TOP_BIT) {
      shiftRight(big, 1);
      big.exp++;
    }
  } else {
    subWords(big, small.hi, small.lo);
    if ((big.hi | big.lo) === 0) return packZero(out, oi, double, cancelled);
    normalise(big);
  }
  pack(big, out, oi, double);
}

/** High word of a 32 × 32-bit product, from 16-bit halves. */
function multiplyHigh(x: number, y: number): number {
  const x0 = x & 0xffff, x1 = x >>> 16, y0 = y & 0xffff, y1 = y >>> 16;
  const a = Math.imul(x0, y1), b = Math.imul(x1, y0);
  const carry = ((Math.imul(x0, y0) >>> 16) + (a & 0xffff) + (b & 0xffff)) >>> 16;
  return (Math.imul(x1, y1) + (a >>> 16) + (b >>> 16) + carry) >>> 0;
}

function multiply(out: Words, oi: number, double: boolean): void {
  const sign = A.sign ^ B.sign;
  if (A.kind === Kind.INFINITE || B.kind === Kind.INFINITE) {
    if (A.kind === Kind.ZERO || B.kind === Kind.ZERO) return packInvalid(out, oi, double);
    if (denormal()) return;
    return packInfinity(out, oi, double, sign);
  }
  if (denormal()) return;
  if (A.kind === Kind.ZERO || B.kind === Kind.ZERO) return packZero(out, oi, double, sign);
  // One factor with bit 63 set: the high half of the product then has bit 62 or 63 set.
  const ah = (A.hi << 1 | A.lo >>> 31) >>> 0, al = A.lo << 1 >>> 0;
  const bh = (B.hi << 1 | B.lo >>> 31) >>> 0, bl = B.lo << 1 >>> 0;
  const TWO32 = 0x1_0000_0000;
  const low = multiplyHigh(al, bl) + (Math.imul(ah, bl) >>> 0) + (Math.imul(al, bh) >>> 0);
  const mid = Math.floor(low / TWO32) + multiplyHigh(ah, bl) + multiplyHigh(al, bh) +
    (Math.imul(ah, bh) >>> 0);
  const sticky = ((low | 0) | Math.imul(al, bl)) !== 0 ? 1 : 0;
  R.hi = (multiplyHigh(ah, bh) + Math.floor(mid / TWO32)) >>> 0;
  R.lo = (mid | sticky) >>> 0;
  R.sign = sign;
  R.exp = A.exp + B.exp;
  if (R.hi >= TOP_BIT) {
    shiftRight(R, 1);
    R.exp++;
  }
  pack(R, out, oi, double);
}

function divide(out: Words, oi: number, double: boolean): void {
  const sign = A.sign ^ B.sign;
  if (A.kind === Kind.INFINITE) {
    if (B.kind === Kind.INFINITE) return packInvalid(out, oi, double);
    if (denormal()) return;
    return packInfinity(out, oi, double, sign);
  }
  if (B.kind === Kind.ZERO) {
    if (A.kind === Kind.ZERO) return packInvalid(out, oi, double);
    ctx.flags |= Ex.ZE;
    return packInfinity(out, oi, double, sign);
  }
  if (denormal()) return;
  if (A.kind === Kind.ZERO || B.kind === Kind.INFINITE) return packZero(out, oi, double, sign);
  R.sign = sign;
  R.exp = A.exp - B.exp;
  if (A.hi < B.hi || (A.hi === B.hi && A.lo < B.lo)) {
    addWords(A, A.hi, A.lo);
    R.exp--;
  }
  longDivision(double ? 56 : 27);
  pack(R, out, oi, double);
}

/** R = A / B in `bits` bits, the first of which is set, and a sticky one. A is at least B and below twice B. */
function longDivision(bits: number): void {
  let qh = 0, ql = 0;
  for (let n = 0; n < bits; n++) {
    qh = qh << 1 | ql >>> 31;
    ql <<= 1;
    if (A.hi > B.hi || (A.hi === B.hi && A.lo >= B.lo)) {
      subWords(A, B.hi, B.lo);
      ql |= 1;
    }
    addWords(A, A.hi, A.lo);
  }
  placeTop(qh, ql, bits, (A.hi | A.lo) !== 0);
}

/** R's significand from an integer of `bits` bits. */
function placeTop(h: number, l: number, bits: number, sticky: boolean): void {
  const up = 63 - bits;
  if (up >= 32) {
    R.hi = l << (up - 32) >>> 0;
    R.lo = 0;
  } else {
    R.hi = (h << up | l >>> (32 - up)) >>> 0;
    R.lo = l << up >>> 0;
  }
  if (sticky) R.lo = (R.lo | 1) >>> 0;
}

/** out[oi] = square root of y[yi]. */
export function squareRoot(double: boolean, y: Words, yi: number, out: Words, oi: number): void {
  unpack(A, y, yi, double);
  if (A.kind >= Kind.QNAN) {
    if (A.kind === Kind.SNAN) ctx.flags |= Ex.IE;
    return packNan(A, out, oi, double);
  }
  if (A.kind === Kind.ZERO) return packZero(out, oi, double, A.sign);
  if (A.sign) return packInvalid(out, oi, double);
  if (A.kind === Kind.INFINITE) return packInfinity(out, oi, double, 0);
  B.denormal = false;
  if (denormal()) return;
  if (A.exp & 1) addWords(A, A.hi, A.lo); // in [2, 4)
  R.sign = 0;
  R.exp = A.exp >> 1;
  root(double ? 56 : 27);
  pack(R, out, oi, double);
}

/** R = root of A (64 bits, of which the first two are the integer part): two bits of A make one bit of the root. */
function root(bits: number): void {
  let qh = 0, ql = 0;
  B.hi = B.lo = 0; // the remainder
  for (let n = 0; n < bits; n++) {
    const pair = A.hi >>> 30;
    A.hi = (A.hi << 2 | A.lo >>> 30) >>> 0;
    A.lo = A.lo << 2 >>> 0;
    B.hi = (B.hi << 2 | B.lo >>> 30) >>> 0;
    B.lo = (B.lo << 2 | pair) >>> 0;
    const th = (qh << 2 | ql >>> 30) >>> 0, tl = (ql << 2 | 1) >>> 0;
    qh = qh << 1 | ql >>> 31;
    ql <<= 1;
    if (B.hi > th || (B.hi === th && B.lo >= tl)) {
      subWords(B, th, tl);
      ql |= 1;
    }
  }
  placeTop(qh, ql, bits, (B.hi | B.lo | A.hi | A.lo) !== 0);
}
