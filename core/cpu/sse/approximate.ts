/**
 * RCPPS and RSQRTPS: approximations with a relative error of at most 1.5 × 2^-12, without exceptions (Intel SDM
 * volume 2). Processors differ in the bits; this is ours on every host: the operand's significand truncated to its
 * first 12 bits (13 for the root), the result of their middle rounded to 14 bits. IEEE 754 operations on doubles,
 * exact on every host, do it. Denormal operands are zeros, tiny results become zeros, whatever MXCSR says.
 *
 * @module
 */
import type { Words } from "./arith.ts";

const F = new Float32Array(1), W = new Uint32Array(F.buffer);

/** The number in the middle of those that share the first `bits` bits of the significand. */
function middle(w: number, bits: number): number {
  const low = 24 - bits;
  W[0] = w & -(1 << low) | 1 << (low - 1);
  return F[0];
}

function store(value: number, out: Words, oi: number): void {
  F[0] = value;
  W[0] = (W[0] + 0x200) & ~0x3ff; // 14 bits
  out[oi] = W[0] & 0x7f80_0000 ? W[0] : W[0] & 0x8000_0000;
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
  if (!special(y[yi], false, out, oi)) store(1 / middle(y[yi], 12), out, oi);
}

/** out[oi] = about 1 / √y[yi]. */
export function reciprocalRoot(y: Words, yi: number, out: Words, oi: number): void {
  if (!special(y[yi], true, out, oi)) store(1 / Math.sqrt(middle(y[yi], 13)), out, oi);
}
