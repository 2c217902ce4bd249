/**
 * Addition, subtraction, multiplication, division and comparison of normal numbers. See `fast_regs.ts`.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { Order } from "./arith.ts";
import { BIAS } from "./ext.ts";
import { A, B, R, register, report, round, take, TOP_BIT, TWO32 } from "./fast_regs.ts";
import { setConditions, Sw } from "./fpu.ts";

const FSW = L.FSW >> 2;

/** Stores R in ST(dest), which is not empty. */
function storeR(c: Core, dest: number): void {
  const { u32 } = c.s, at = register(c, dest);
  u32[at] = R.lo;
  u32[at + 1] = R.hi;
  u32[at + 2] = R.sign << 15 | R.exp;
}

/** R = A + B, or A - B when the signs say so; false for an exact zero. */
function addAB(subtract: boolean): boolean {
  const sign = B.sign ^ (subtract ? 1 : 0);
  let xs = A.sign, xe = A.exp, xh = A.hi, xl = A.lo, ys = sign, yh = B.hi, yl = B.lo, d = A.exp - B.exp;
  if (d < 0 || (d === 0 && (B.hi > A.hi || (B.hi === A.hi && B.lo > A.lo)))) {
    xs = sign;
    xe = B.exp;
    xh = B.hi;
    xl = B.lo;
    ys = A.sign;
    yh = A.hi;
    yl = A.lo;
    d = -d;
  }
  let g = 0;
  if (d >= 32) {
    g = d < 64 ? yl : d < 96 ? yh | (yl !== 0 ? 1 : 0) : 1;
    if (d >= 96) yl = yh = 0;
    else if (d >= 64) {
      const s = d - 64;
      g = s === 0 ? g : g >>> s | (g << (32 - s) !== 0 || yl !== 0 ? 1 : 0);
      yl = yh = 0;
    } else {
      const s = d - 32;
      if (s === 0) yl = yh;
      else {
        g = (yl >>> s | yh << (32 - s)) >>> 0 | (yl << (32 - s) !== 0 ? 1 : 0);
        yl = yh >>> s;
      }
      yh = 0;
    }
  } else if (d > 0) {
    g = yl << (32 - d);
    yl = (yl >>> d | yh << (32 - d)) >>> 0;
    yh >>>= d;
  }
  R.sign = xs;
  R.exp = xe;
  return xs === ys
    ? addMagnitudes(xh, xl, yh, yl >>> 0, g >>> 0)
    : subtractMagnitudes(xh, xl, yh, yl >>> 0, g >>> 0);
}

function addMagnitudes(xh: number, xl: number, yh: number, yl: number, g: number): boolean {
  const lo = xl + yl, hi = xh + yh + (lo >= TWO32 ? 1 : 0);
  R.lo = lo >>> 0;
  R.hi = hi >>> 0;
  R.guard = g;
  if (hi >= TWO32) {
    R.guard = (R.guard >>> 1 | R.guard & 1 | R.lo << 31) >>> 0;
    R.lo = (R.lo >>> 1 | R.hi << 31) >>> 0;
    R.hi = (R.hi >>> 1 | TOP_BIT) >>> 0;
    R.exp++;
  }
  return true;
}

function subtractMagnitudes(xh: number, xl: number, yh: number, yl: number, g: number): boolean {
  R.guard = -g >>> 0;
  const lo = xl - yl - (g !== 0 ? 1 : 0);
  R.lo = lo >>> 0;
  R.hi = (xh - yh - (lo < 0 ? 1 : 0)) >>> 0;
  while (R.hi === 0) {
    if ((R.lo | R.guard) === 0) return false;
    R.hi = R.lo;
    R.lo = R.guard;
    R.guard = 0;
    R.exp -= 32;
  }
  const z = Math.clz32(R.hi);
  if (z > 0) {
    R.hi = (R.hi << z | R.lo >>> (32 - z)) >>> 0;
    R.lo = (R.lo << z | R.guard >>> (32 - z)) >>> 0;
    R.guard = R.guard << z >>> 0;
    R.exp -= z;
  }
  return true;
}

/** High word of a 32 × 32-bit product, from 16-bit halves. */
function multiplyHigh(x: number, y: number): number {
  const x0 = x & 0xffff, x1 = x >>> 16, y0 = y & 0xffff, y1 = y >>> 16;
  const low = Math.imul(x0, y0) >>> 16, a = Math.imul(x0, y1), b = Math.imul(x1, y0);
  const carry = (low + (a & 0xffff) + (b & 0xffff)) >>> 16;
  return (Math.imul(x1, y1) + (a >>> 16) + (b >>> 16) + carry) >>> 0;
}

/** 1 where an unsigned sum wrapped below one of its parts. */
function carried(sum: number, part: number): number {
  return sum >>> 0 < part >>> 0 ? 1 : 0;
}

/** R = A × B. */
function mulAB(): void {
  const ah = A.hi, al = A.lo, bh = B.hi, bl = B.lo, p1 = Math.imul(ah, bl), p2 = Math.imul(al, bh);
  let w0 = Math.imul(al, bl), w1 = multiplyHigh(al, bl), w2 = multiplyHigh(ah, bl), w3 = multiplyHigh(ah, bh);
  w1 = (w1 + p1) | 0;
  w2 += carried(w1, p1);
  w1 = (w1 + p2) | 0;
  let sum = multiplyHigh(al, bh) + carried(w1, p2);
  w2 = (w2 + sum) | 0;
  w3 += carried(w2, sum);
  sum = Math.imul(ah, bh);
  w2 = (w2 + sum) | 0;
  w3 = (w3 + carried(w2, sum)) >>> 0;
  R.exp = A.exp + B.exp - BIAS + 1;
  if (w3 < TOP_BIT) {
    w3 = (w3 << 1 | w2 >>> 31) >>> 0;
    w2 = (w2 << 1 | w1 >>> 31) >>> 0;
    w1 = (w1 << 1 | w0 >>> 31) >>> 0;
    w0 <<= 1;
    R.exp--;
  }
  R.sign = A.sign ^ B.sign;
  R.hi = w3;
  R.lo = w2 >>> 0;
  R.guard = (w1 | (w0 !== 0 ? 1 : 0)) >>> 0;
}

/** R = A / B by long division, a bit at a time: 64 bits, two more, and a sticky one. */
function divAB(): void {
  let rh = A.hi, rl = A.lo, qh = 0, ql = 0, carry = 0;
  R.exp = A.exp - B.exp + BIAS;
  if (rh < B.hi || (rh === B.hi && rl < B.lo)) {
    R.exp--;
    carry = rh >>> 31;
    rh = (rh << 1 | rl >>> 31) >>> 0;
    rl = rl << 1 >>> 0;
  }
  for (let n = 0; n < 66; n++) {
    const fits = carry !== 0 || rh > B.hi || (rh === B.hi && rl >= B.lo);
    if (fits) {
      const lo = rl - B.lo;
      rh = (rh - B.hi - (lo < 0 ? 1 : 0)) >>> 0;
      rl = lo >>> 0;
    }
    if (n < 64) {
      qh = qh << 1 | ql >>> 31;
      ql = ql << 1 | (fits ? 1 : 0);
    } else if (n === 64) R.guard = fits ? TOP_BIT : 0;
    else if (fits) R.guard += 0x4000_0000;
    carry = rh >>> 31;
    rh = (rh << 1 | rl >>> 31) >>> 0;
    rl = rl << 1 >>> 0;
  }
  if ((rh | rl | carry) !== 0) R.guard += 1;
  R.sign = A.sign ^ B.sign;
  R.hi = qh >>> 0;
  R.lo = ql >>> 0;
}

function swapAB(): void {
  const s = A.sign, e = A.exp, h = A.hi, l = A.lo;
  A.sign = B.sign;
  A.exp = B.exp;
  A.hi = B.hi;
  A.lo = B.lo;
  B.sign = s;
  B.exp = e;
  B.hi = h;
  B.lo = l;
}

/** ST(dest) = A op B, `op` as ModRM.reg of D8 (not a compare). */
function arithmeticAB(c: Core, op: number, dest: number): boolean {
  if (op & 1 && op >= 4) swapAB();
  if (op === 0 || op === 4 || op === 5) {
    if (!addAB(op >= 4)) return false;
  } else if (op === 1) mulAB();
  else divAB();
  if (!round(c)) return false;
  storeR(c, dest);
  report(c);
  return true;
}

/** ST(dest) = ST(dest) op ST(src). */
export function fastArith(c: Core, op: number, dest: number, src: number): boolean {
  return take(c, dest, A) && take(c, src, B) && arithmeticAB(c, op, dest);
}

/** ST(0) = ST(0) op B, with B just taken from memory. */
export function fastArithB(c: Core, op: number): boolean {
  return take(c, 0, A) && arithmeticAB(c, op, 0);
}

function orderAB(): number {
  if (A.sign !== B.sign) return A.sign ? Order.LESS : Order.GREATER;
  let less = A.exp < B.exp;
  if (A.exp === B.exp) {
    if (A.hi === B.hi && A.lo === B.lo) return Order.EQUAL;
    less = A.hi < B.hi || (A.hi === B.hi && A.lo < B.lo);
  }
  return less === (A.sign === 0) ? Order.LESS : Order.GREATER;
}

/** Order of ST(0) and ST(src), or -1. */
export function fastOrder(c: Core, src: number): number {
  return take(c, 0, A) && take(c, src, B) ? orderAB() : -1;
}

/** FCOM with B just taken from memory: sets the condition codes. */
export function fastCompareB(c: Core): boolean {
  if (!take(c, 0, A)) return false;
  setConditions(c, orderAB());
  c.s.u32[FSW] &= ~Sw.C1;
  return true;
}
