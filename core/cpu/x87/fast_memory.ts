/**
 * Loads and stores of normal numbers as singles, doubles and integers. See `fast_regs.ts`.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { BIAS } from "./ext.ts";
import {
  A,
  B,
  empty,
  goesUp,
  increment,
  R,
  report,
  roundDouble,
  roundSingle,
  take,
  TOP_BIT,
} from "./fast_regs.ts";
import { Sw } from "./fpu.ts";
import { Rc } from "./round.ts";

const FSW = L.FSW >> 2, FCW = L.FCW >> 2, FTW = L.FTW >> 2;

/** Takes a single as B; false unless normal. */
export function takeSingle(bits: number): boolean {
  const e = bits >>> 23 & 0xff;
  B.sign = bits >>> 31;
  B.exp = e - 127 + BIAS;
  B.hi = (TOP_BIT | bits << 8) >>> 0;
  B.lo = 0;
  return e !== 0 && e !== 0xff;
}

/** Takes a double as B; false unless normal. */
export function takeDouble(lo: number, hi: number): boolean {
  const e = hi >>> 20 & 0x7ff;
  B.sign = hi >>> 31;
  B.exp = e - 1023 + BIAS;
  B.hi = (TOP_BIT | hi << 11 | lo >>> 21) >>> 0;
  B.lo = lo << 11 >>> 0;
  return e !== 0 && e !== 0x7ff;
}

/** Takes a signed 64-bit integer as B; false for zero. */
export function takeInteger(lo: number, hi: number): boolean {
  B.sign = hi >>> 31;
  if (B.sign) {
    lo = -lo >>> 0;
    hi = (lo === 0 ? -hi : ~hi) >>> 0;
  }
  if ((lo | hi) === 0) return false;
  if (hi === 0) {
    const z = Math.clz32(lo);
    B.hi = lo << z >>> 0;
    B.lo = 0;
    B.exp = BIAS + 31 - z;
  } else {
    const z = Math.clz32(hi);
    B.hi = z === 0 ? hi : (hi << z | lo >>> (32 - z)) >>> 0;
    B.lo = lo << z >>> 0;
    B.exp = BIAS + 63 - z;
  }
  return true;
}

/** Pushes B (an exact widening). */
export function fastPushB(c: Core): boolean {
  if (!empty(c, 7)) return false;
  const { u32 } = c.s, top = (u32[FSW] >>> 11) + 7 & 7, at = (L.FPR >> 2) + top * 4;
  u32[FSW] = u32[FSW] & ~(Sw.TOP | Sw.C1) | top << 11;
  u32[FTW] &= ~(3 << top * 2);
  u32[at] = B.lo;
  u32[at + 1] = B.hi;
  u32[at + 2] = B.sign << 15 | B.exp;
  return true;
}

/** What a fast store is to write: low and high word. */
export const stored = { lo: 0, hi: 0 };

/** Rounds ST(0) to a single (32) or double (64 bits) in `stored`, and reports; false when it is not that simple. */
export function fastStoreFloat(c: Core, double: boolean): boolean {
  if (!take(c, 0, A)) return false;
  const rc = c.s.u32[FCW] >>> 10 & 3;
  R.sign = A.sign;
  R.exp = A.exp;
  R.hi = A.hi;
  R.lo = A.lo;
  R.guard = 0;
  if (double) roundDouble(rc);
  else roundSingle(rc);
  const e = R.exp - BIAS + (double ? 1023 : 127);
  if (e <= 0 || e >= (double ? 0x7ff : 0xff)) return false;
  if (double) {
    stored.hi = (R.sign << 31 | e << 20 | R.hi >>> 11 & 0xf_ffff) >>> 0;
    stored.lo = (R.hi << 21 | R.lo >>> 11) >>> 0;
  } else stored.lo = (R.sign << 31 | e << 23 | R.hi >>> 8 & 0x7f_ffff) >>> 0;
  return true;
}

/** Rounds ST(0) to an integer of `size` bytes in `stored`; false when it may not fit. */
export function fastStoreInteger(c: Core, size: number, truncate: boolean): boolean {
  if (!take(c, 0, A)) return false;
  const e = A.exp - BIAS, s = 63 - e, rc = truncate ? Rc.ZERO : c.s.u32[FCW] >>> 10 & 3;
  if (e >= size * 8 - 2) return false;
  let g = 1;
  R.hi = R.lo = 0;
  if (s < 32) {
    R.lo = (A.lo >>> s | A.hi << (32 - s)) >>> 0;
    R.hi = A.hi >>> s;
    g = A.lo << (32 - s);
  } else if (s === 32) {
    R.lo = A.hi;
    g = A.lo;
  } else if (s < 64) {
    R.lo = A.hi >>> (s - 32);
    g = A.hi << (64 - s) | A.lo >>> (s - 32) | (A.lo << (64 - s) !== 0 ? 1 : 0);
  } else if (s === 64) g = A.hi | (A.lo !== 0 ? 1 : 0);
  g >>>= 0;
  R.inexact = g !== 0;
  R.up = R.inexact && goesUp(rc, A.sign, (R.lo & 1) !== 0, g > TOP_BIT, g === TOP_BIT);
  if (R.up) increment(1);
  stored.lo = A.sign ? -R.lo >>> 0 : R.lo;
  stored.hi = A.sign ? (R.lo === 0 ? -R.hi : ~R.hi) >>> 0 : R.hi;
  return true;
}

/** Ends a fast store: exception flags and C1. */
export function fastReport(c: Core): void {
  report(c);
}
