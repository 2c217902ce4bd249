/**
 * Comparisons, minimum and maximum of one lane (Intel SDM volume 2: CMPPS, COMISS, MINPS, MAXPS).
 *
 * @module
 */
import type { Words } from "./arith.ts";
import { ctx, Ex } from "./context.ts";
import { Kind, newNum, type Num, unpack } from "./number.ts";

const A: Num = newNum(), B: Num = newNum();

/** Results of `order`. */
export const Order = { LESS: 0, EQUAL: 1, GREATER: 2, UNORDERED: 3 } as const;

/** Order of the finite or infinite numbers A and B. */
function ordered(): number {
  const a = A.kind, b = B.kind;
  if (a === Kind.ZERO && b === Kind.ZERO) return Order.EQUAL;
  if (a === Kind.ZERO) return B.sign ? Order.GREATER : Order.LESS;
  if (b === Kind.ZERO || A.sign !== B.sign) return A.sign ? Order.LESS : Order.GREATER;
  let less: boolean;
  if (a !== b) less = b === Kind.INFINITE;
  else if (a === Kind.INFINITE) return Order.EQUAL;
  else if (A.exp !== B.exp) less = A.exp < B.exp;
  else if (A.hi !== B.hi) less = A.hi < B.hi;
  else if (A.lo !== B.lo) less = A.lo < B.lo;
  else return Order.EQUAL;
  return less === (A.sign === 0) ? Order.LESS : Order.GREATER;
}

/** Order of two lanes; `signalling`: a quiet NaN is an invalid operand, too. */
export function order(
  double: boolean,
  x: Words,
  xi: number,
  y: Words,
  yi: number,
  signalling: boolean,
): number {
  unpack(A, x, xi, double);
  unpack(B, y, yi, double);
  if (A.kind >= Kind.QNAN || B.kind >= Kind.QNAN) {
    if (signalling || A.kind === Kind.SNAN || B.kind === Kind.SNAN) ctx.flags |= Ex.IE;
    return Order.UNORDERED;
  }
  if (A.denormal || B.denormal) ctx.flags |= Ex.DE;
  return ordered();
}

/** Orders for which a predicate (0 to 7: EQ LT LE UNORD NEQ NLT NLE ORD) holds, a bit each, and which ones signal. */
const HOLDS = [2, 1, 3, 8, 13, 14, 12, 7], SIGNALS = 0x66;

/** out[oi] = all ones where the predicate holds, else zeros. */
export function compare(
  predicate: number,
  double: boolean,
  x: Words,
  xi: number,
  y: Words,
  yi: number,
  out: Words,
  oi: number,
): void {
  const p = predicate & 7;
  const o = order(double, x, xi, y, yi, (SIGNALS >> p & 1) !== 0);
  const v = HOLDS[p] >> o & 1 ? 0xffff_ffff : 0;
  out[oi] = v;
  if (double) out[oi + 1] = v;
}

/** out[oi] = the smaller (or larger) lane; the second one when they are equal or one is a NaN. */
export function extreme(
  max: boolean,
  double: boolean,
  x: Words,
  xi: number,
  y: Words,
  yi: number,
  out: Words,
  oi: number,
): void {
  const o = order(double, x, xi, y, yi, true);
  const first = o === (max ? Order.GREATER : Order.LESS);
  const w = first ? x : y, at = first ? xi : yi, n = first ? A : B;
  if (n.kind === Kind.ZERO) { // also a denormal under DAZ
    out[oi] = double ? 0 : n.sign << 31;
    if (double) out[oi + 1] = n.sign << 31;
    return;
  }
  out[oi] = w[at];
  if (double) out[oi + 1] = w[at + 1];
}
