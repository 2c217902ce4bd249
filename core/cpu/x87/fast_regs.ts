/**
 * Operands and result of the fast x87 code (`fast_arith.ts`, `fast_memory.ts`), and their rounding: the common cases of
 * the common instructions in 32-bit words, without big integers and without allocation. Normal operands, normal
 * results, no exception but inexact; every function that meets anything else answers false, having changed nothing,
 * and the general code does the instruction.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { EXP_MAX } from "./ext.ts";
import { Sw, updateSummary } from "./fpu.ts";
import { Ex, Rc } from "./round.ts";

const FSW = L.FSW >> 2, FCW = L.FCW >> 2, FTW = L.FTW >> 2;
/** 2^32, and the highest bit of a word. */
export const TWO32 = 0x1_0000_0000, TOP_BIT = 0x8000_0000;

/** A number: sign, biased exponent, significand as two unsigned words. */
export interface Words {
  sign: number;
  exp: number;
  hi: number;
  lo: number;
}

/** A result: a word below the significand with a sticky lowest bit, and how the last rounding went. */
export interface ResultWords extends Words {
  guard: number;
  inexact: boolean;
  up: boolean;
}

/** First operand, second operand, result of the instruction in hand. */
export const A: Words = { sign: 0, exp: 0, hi: 0, lo: 0 };
/** @see A */
export const B: Words = { sign: 0, exp: 0, hi: 0, lo: 0 };
/** @see A */
export const R: ResultWords = { sign: 0, exp: 0, hi: 0, lo: 0, guard: 0, inexact: false, up: false };

/** Word index of ST(i). */
export function register(c: Core, i: number): number {
  return (L.FPR >> 2) + (((c.s.u32[FSW] >>> 11) + i) & 7) * 4;
}

/** True when ST(i) is empty. */
export function empty(c: Core, i: number): boolean {
  return (c.s.u32[FTW] >>> ((((c.s.u32[FSW] >>> 11) + i) & 7) * 2) & 3) === 3;
}

/** Takes ST(i) as an operand; false unless it holds a normal number. */
export function take(c: Core, i: number, into: Words): boolean {
  const { u32 } = c.s, at = register(c, i), top16 = u32[at + 2];
  into.sign = top16 >>> 15 & 1;
  into.exp = top16 & 0x7fff;
  into.hi = u32[at + 1];
  into.lo = u32[at];
  return into.exp !== 0 && into.exp !== EXP_MAX && into.hi >= TOP_BIT && !empty(c, i);
}

/** Sets C1 and PE from the last rounding. */
export function report(c: Core): void {
  const { u32 } = c.s;
  u32[FSW] = u32[FSW] & ~Sw.C1 | (R.inexact ? Ex.PE : 0) | (R.up ? Sw.C1 : 0);
  if (R.inexact) updateSummary(c);
}

/** Whether rounding goes away from zero, for an inexact value; `above` and `tie` compare the rest with one half. */
export function goesUp(rc: number, sign: number, odd: boolean, above: boolean, tie: boolean): boolean {
  if (rc === Rc.NEAREST) return above || (tie && odd);
  return rc !== Rc.ZERO && (rc === Rc.UP) === (sign === 0);
}

/** Rounds R's significand to the precision control's width; false when the exponent leaves the normal range. */
export function round(c: Core): boolean {
  const fcw = c.s.u32[FCW], rc = fcw >>> 10 & 3, pc = fcw >>> 8 & 3;
  if (pc === 0) roundSingle(rc);
  else if (pc === 2) roundDouble(rc);
  else {
    R.inexact = R.guard !== 0;
    R.up = R.inexact && goesUp(rc, R.sign, (R.lo & 1) !== 0, R.guard > TOP_BIT, R.guard === TOP_BIT);
    if (R.up) increment(1);
  }
  return R.exp > 0 && R.exp < EXP_MAX;
}

/** Adds to the low word of R's significand, with carry. */
export function increment(by: number): void {
  const sum = R.lo + by;
  R.lo = sum >>> 0;
  if (sum >= TWO32) incrementHigh(1);
}

function incrementHigh(by: number): void {
  const sum = R.hi + by;
  R.hi = sum >>> 0;
  if (sum >= TWO32) {
    R.hi = TOP_BIT;
    R.exp++;
  }
}

/** Rounds R to 53 bits. */
export function roundDouble(rc: number): void {
  const rest = R.lo & 0x7ff;
  R.inexact = (rest | R.guard) !== 0;
  const above = rest > 0x400 || (rest === 0x400 && R.guard !== 0);
  R.up = R.inexact && goesUp(rc, R.sign, (R.lo & 0x800) !== 0, above, rest === 0x400 && R.guard === 0);
  R.lo = (R.lo & ~0x7ff) >>> 0;
  if (R.up) increment(0x800);
}

/** Rounds R to 24 bits. */
export function roundSingle(rc: number): void {
  const rest = R.hi & 0xff, below = (R.lo | R.guard) !== 0;
  R.inexact = rest !== 0 || below;
  const above = rest > 0x80 || (rest === 0x80 && below);
  R.up = R.inexact && goesUp(rc, R.sign, (R.hi & 0x100) !== 0, above, rest === 0x80 && !below);
  R.hi = (R.hi & ~0xff) >>> 0;
  R.lo = 0;
  if (R.up) incrementHigh(0x100);
}

/** Copies ST(from) over ST(to), bits as they are. */
export function copyRegister(c: Core, from: number, to: number): void {
  const { u32 } = c.s, a = register(c, from), b = register(c, to);
  u32[b] = u32[a];
  u32[b + 1] = u32[a + 1];
  u32[b + 2] = u32[a + 2];
}

/** Exchanges ST(0) and ST(i), bits as they are. */
export function exchangeRegisters(c: Core, i: number): void {
  const { u32 } = c.s, a = register(c, 0), b = register(c, i);
  for (let n = 0; n < 3; n++) {
    const w = u32[a + n];
    u32[a + n] = u32[b + n];
    u32[b + n] = w;
  }
}
