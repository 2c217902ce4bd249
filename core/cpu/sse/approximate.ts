/**
 * RCPPS and RSQRTPS: approximations with a relative error of at most 1.5 × 2^-12, without exceptions (Intel SDM
 * volume 2). Processors differ in the bits; these are those of Intel's current ones, on every host: the exact value for
 * the middle of the numbers that share the operand's first 11 fraction bits (for the root: the lowest exponent bit and
 * the first 10), as a multiple of 2^-13 (result in [½, 1]). Denormal operands are zeros, tiny results become zeros, whatever
 * MXCSR says.
 *
 * @module
 */
import type { Words } from "./arith.ts";

const F = new Float32Array(1), W = new Uint32Array(F.buffer);

/** Stores value (in [½, 1]) rounded to a multiple of 2^-13, times a power of two. */
function store(value: number, sign: number, exponent: number, out: Words, oi: number): void {
  F[0] = Math.floor(value * 8192 + 0.5) / 8192;
  const w = W[0] + exponent * 0x80_0000;
  out[oi] = sign + (w >= 0x80_0000 ? w : 0);
}

/** A special operand's result written; false for a normal number. */
function special(w: number, root: boolean, out: Words, oi: number): boolean {
  const sign = w & 0x8000_0000, magnitude = w & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) out[oi] = w | 0x40_0000;
  else if (magnitude < 0x80_0000) out[oi] = sign + 0x7f80_0000;
  else if (root && sign) out[oi] = 0xffc0_0000;
  else if (magnitude === 0x7f80_0000) out[oi] = sign;
  else return false;
  return true;
}

/** out[oi] = about 1 / y[yi]. */
export function reciprocal(y: Words, yi: number, out: Words, oi: number): void {
  const w = y[yi];
  if (special(w, false, out, oi)) return;
  const middle = 1 + ((w >>> 12 & 0x7ff) + 0.5) / 2048;
  store(1 / middle, w & 0x8000_0000, 127 - (w >>> 23 & 0xff), out, oi);
}

/** out[oi] = about 1 / √y[yi]. */
export function reciprocalRoot(y: Words, yi: number, out: Words, oi: number): void {
  const w = y[yi];
  if (special(w, true, out, oi)) return;
  const exponent = (w >>> 23) - 127, middle = 1 + ((w >>> 13 & 0x3ff) + 0.5) / 1024;
  store(1 / Math.sqrt(exponent & 1 ? 2 * middle : middle), 0, -(exponent >> 1), out, oi);
}
