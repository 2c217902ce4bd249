/**
 * Basic arithmetic on extended values: add, subtract, multiply, divide, square root, compare
 * (Intel SDM volume 1, 8.5 and volume 2 for the tables of special operands).
 *
 * Operations answer a value and leave exceptions in the context; whether the result is stored is the caller's affair.
 *
 * @module
 */
import { Class, classOf, exponentOf, type Ext, INDEFINITE, INFINITIES, isNan, quiet, ZEROES } from "./ext.ts";
import { Ex, type FpContext, Rc, roundExt } from "./round.ts";

/** An invalid operation: IE, and the default NaN. */
export function invalid(ctx: FpContext): Ext {
  ctx.flags |= Ex.IE;
  return INDEFINITE;
}

/** The NaN that an operation with at least one NaN operand gives; IE when one is signalling. */
export function propagate(ctx: FpContext, a: Ext, ca: number, b: Ext, cb: number): Ext {
  if (ca === Class.SNAN || cb === Class.SNAN) ctx.flags |= Ex.IE;
  if (!isNan(ca)) return quiet(b);
  if (!isNan(cb)) return quiet(a);
  if (ca === Class.SNAN && cb === Class.QNAN) return b;
  if (ca === Class.QNAN && cb === Class.SNAN) return a;
  if (a.sig !== b.sig) return quiet(a.sig > b.sig ? a : b);
  return quiet(a.sign <= b.sign ? a : b);
}

/** Unsupported or NaN operands settle the result; null when there are none (DE is then raised for denormals). */
export function special(ctx: FpContext, a: Ext, ca: number, b: Ext, cb: number): Ext | null {
  if (ca === Class.UNSUPPORTED || cb === Class.UNSUPPORTED) return invalid(ctx);
  if (isNan(ca) || isNan(cb)) return propagate(ctx, a, ca, b, cb);
  return null;
}

/** Flags denormal operands; true when that exception is not masked, so that the operation must not go on. */
export function denormalOperand(ctx: FpContext, ca: number, cb: number): boolean {
  if (ca !== Class.DENORMAL && cb !== Class.DENORMAL) return false;
  ctx.flags |= Ex.DE;
  return !(ctx.masks & Ex.DE);
}

/** a + b, or a - b with `negate`. */
export function add(ctx: FpContext, a: Ext, b: Ext, negate = false): Ext {
  const ca = classOf(a), cb = classOf(b);
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return s;
  const bSign = b.sign ^ (negate ? 1 : 0);
  if (ca === Class.INFINITY || cb === Class.INFINITY) {
    if (ca === cb && a.sign !== bSign) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return INFINITIES[ca === Class.INFINITY ? a.sign : bSign];
  }
  if (denormalOperand(ctx, ca, cb)) return a;
  if (ca === Class.ZERO && cb === Class.ZERO) {
    return ZEROES[a.sign === bSign ? a.sign : ctx.rc === Rc.DOWN ? 1 : 0];
  }
  const ea = exponentOf(a), eb = exponentOf(b);
  // Align on the larger exponent; beyond 130 places the smaller operand is only "something not zero".
  const e = Math.max(ca === Class.ZERO ? eb : ea, cb === Class.ZERO ? ea : eb), extra = 132;
  const va = aligned(a.sig, extra + ea - e), vb = aligned(b.sig, extra + eb - e);
  const sum = (a.sign ? -va : va) + (bSign ? -vb : vb);
  if (sum === 0n) return ZEROES[ctx.rc === Rc.DOWN ? 1 : 0];
  const sign = sum < 0n ? 1 : 0;
  return roundExt(ctx, sign, e - 63 - extra, sign ? -sum : sum, false, ctx.precision);
}

function aligned(sig: bigint, shift: number): bigint {
  if (sig === 0n) return 0n;
  return shift >= 0 ? sig << BigInt(shift) : 1n;
}

/** a × b. */
export function mul(ctx: FpContext, a: Ext, b: Ext): Ext {
  const ca = classOf(a), cb = classOf(b), sign = a.sign ^ b.sign;
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return s;
  if (ca === Class.INFINITY || cb === Class.INFINITY) {
    if (ca === Class.ZERO || cb === Class.ZERO) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return INFINITIES[sign];
  }
  if (denormalOperand(ctx, ca, cb)) return a;
  if (ca === Class.ZERO || cb === Class.ZERO) return ZEROES[sign];
  return roundExt(ctx, sign, exponentOf(a) + exponentOf(b) - 126, a.sig * b.sig, false, ctx.precision);
}

/** a / b. */
export function div(ctx: FpContext, a: Ext, b: Ext): Ext {
  const ca = classOf(a), cb = classOf(b), sign = a.sign ^ b.sign;
  const s = special(ctx, a, ca, b, cb);
  if (s !== null) return s;
  if (ca === Class.INFINITY) {
    if (cb === Class.INFINITY) return invalid(ctx);
    if (denormalOperand(ctx, ca, cb)) return a;
    return INFINITIES[sign];
  }
  if (cb === Class.ZERO) {
    if (ca === Class.ZERO) return invalid(ctx);
    ctx.flags |= Ex.ZE; // of higher priority than a denormal operand
    return INFINITIES[sign];
  }
  if (denormalOperand(ctx, ca, cb)) return a;
  if (cb === Class.INFINITY || ca === Class.ZERO) return ZEROES[sign];
  const n = a.sig << 130n, q = n / b.sig;
  return roundExt(ctx, sign, exponentOf(a) - exponentOf(b) - 130, q, q * b.sig !== n, ctx.precision);
}

/** Largest integer whose square is not above v. */
export function isqrt(v: bigint): bigint {
  if (v < 2n) return v;
  let x = 1n << BigInt((v.toString(2).length + 1) >> 1);
  for (;;) {
    const y = (x + v / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

/** Square root. */
export function sqrt(ctx: FpContext, a: Ext): Ext {
  const c = classOf(a);
  if (c === Class.UNSUPPORTED) return invalid(ctx);
  if (isNan(c)) return propagate(ctx, a, c, a, c);
  if (c === Class.ZERO) return a;
  if (a.sign) return invalid(ctx);
  if (c === Class.INFINITY) return a;
  if (denormalOperand(ctx, c, c)) return a;
  // Make the exponent even, and keep 68 or more bits of root.
  let e = exponentOf(a) - 63, m = a.sig << 74n;
  e -= 74;
  if (e & 1) {
    m <<= 1n;
    e--;
  }
  const extra = 64n, root = isqrt(m << extra);
  return roundExt(ctx, 0, (e - 64) / 2, root, root * root !== m << extra, ctx.precision);
}

/** Results of `compare`: condition codes C3, C2, C0 as ZF, PF, CF. */
export const Order = { GREATER: 0, LESS: 1, EQUAL: 0x40, UNORDERED: 0x45 } as const;

/** Compares; IE for signalling NaNs and unsupported formats, and with `signalQuiet` for quiet NaNs too. */
export function compare(ctx: FpContext, a: Ext, b: Ext, signalQuiet: boolean): number {
  const ca = classOf(a), cb = classOf(b);
  if (ca === Class.UNSUPPORTED || cb === Class.UNSUPPORTED) {
    ctx.flags |= Ex.IE;
    return Order.UNORDERED;
  }
  if (isNan(ca) || isNan(cb)) {
    if (signalQuiet || ca === Class.SNAN || cb === Class.SNAN) ctx.flags |= Ex.IE;
    return Order.UNORDERED;
  }
  denormalOperand(ctx, ca, cb);
  if (ca === Class.ZERO && cb === Class.ZERO) return Order.EQUAL;
  const sa = withSignOfZero(a, ca), sb = withSignOfZero(b, cb);
  if (sa !== sb) return sa < sb ? Order.LESS : Order.GREATER;
  const m = magnitude(a, b);
  if (m === 0) return Order.EQUAL;
  return (m < 0) === (sa > 0) ? Order.LESS : Order.GREATER;
}

function withSignOfZero(a: Ext, c: number): number {
  return c === Class.ZERO ? 0 : a.sign ? -1 : 1;
}

/** Negative, zero or positive as |a| is below, equal to or above |b|; both not NaN. */
function magnitude(a: Ext, b: Ext): number {
  const ea = exponentOf(a), eb = exponentOf(b);
  if (ea !== eb) return ea - eb;
  return a.sig === b.sig ? 0 : a.sig < b.sig ? -1 : 1;
}
