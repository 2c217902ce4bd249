/**
 * 80-bit arithmetic in generated code, for what programs do nearly always: normal numbers and zeros, rounding to nearest, an
 * inexact result masked. Each function answers 0, having changed nothing, when it meets anything else: the system operation
 * then does the instruction. Source: Intel SDM volume 1, 4.2, 4.8.4 and 8.1; the same results as `core/cpu/x87/`.
 *
 * Registers are given as byte offsets from FPR. A number is its significand (i64) with sign and exponent (i32, as in the
 * register's upper half-word).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Emit, Helper } from "../emit.ts";
import { I32, I64 } from "../../wasm/module.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";

const BIAS = 16383, TOP_BIT = X.c64w(0, 0x8000_0000);
/** Status word: inexact, C1 (rounded up), error summary. */
export const PE = 0x20, C1 = 0x200, ES = 0x80;
/** Control word: inexact masked; rounding control. */
const PM = 0x20, RC = 0xc00;

/** Ends a helper with a value. */
function answer(e: Emit, v: Expr): void {
  e.push(v);
  e.ret();
}
const refuse = (e: Emit, cond: Expr): void => e.unlikely(cond, () => answer(e, X.c32(0)));
const exponent = (se: Expr): Expr => X.and(se, X.c32(0x7fff));
/** True for zeros. */
const isZero = (sig: Expr, se: Expr): Expr => X.and(X.eqz(sig), X.eqz(exponent(se)));
/** True for normal numbers and zeros. */
const isPlain = (sig: Expr, se: Expr): Expr =>
  X.or(
    X.and(X.ltU(X.sub(exponent(se), X.c32(1)), X.c32(0x7ffe)), X.ltS(sig, X.c64(0))),
    isZero(sig, se),
  );

/** Significand, and sign with exponent, of the register at a byte offset. */
export const significand = (at: Expr): Expr => X.load(64, at, L.FPR);
/** @see significand */
export const signExponent = (at: Expr): Expr => X.load(16, at, L.FPR + 8);
/** Stores a number to the register at a byte offset. */
export function storeNumber(e: Emit, at: Expr, sig: Expr, se: Expr): void {
  e.store(64, at, sig, L.FPR);
  e.store(32, at, se, L.FPR + 8);
}
/** Replaces C1 and sets PE, from 0 or 1 each. */
export function report(e: Emit, inexact: Expr, up: Expr): void {
  const kept = X.and(e.state(32, L.FSW), X.c32(~C1));
  e.setState(32, L.FSW, X.or(kept, X.or(X.shl(inexact, X.c32(5)), X.shl(up, X.c32(9)))));
}
/** True unless results are rounded to nearest and inexact ones raise nothing. */
export const unusualControl = (e: Emit): Expr => X.ne(X.and(e.state(32, L.FCW), X.c32(PM | RC)), X.c32(PM));

/**
 * (at, sign, exponent, significand, rest) -> 1: rounds to the precision control's width, stores, and reports; `rest` is the 64
 * bits below, the lowest of them sticky.
 */
const round: Helper = {
  key: "x87 round",
  params: [I32, I32, I32, I64, I64],
  results: [I32],
  fill(e, [at, sign, exp, sig, rest]) {
    const pc = e.let(X.and(X.shrU(e.state(32, L.FCW), X.c32(8)), X.c32(3)));
    const width = X.select(X.eq(pc, X.c32(2)), X.c32(11), X.select(X.eqz(pc), X.c32(40), X.c32(0)));
    const cut = e.let(X.extU(width));
    const unit = e.let(X.shl(X.c64(1), cut));
    const low = e.let(X.and(sig, X.sub(unit, X.c64(1))));
    const kept = e.mutable(X.xor(sig, low)), x = e.mutable(exp);
    // Where half a unit is: in the rest, or in the bits cut off.
    const half = X.select(X.eqz(cut), TOP_BIT, X.shrU(unit, X.c64(1)));
    const decisive = e.let(X.select(X.eqz(cut), rest, low)), h = e.let(half);
    const below = X.select(X.eqz(cut), X.c64(0), rest);
    const tie = X.or(X.ne(below, X.c64(0)), X.ne(X.and(kept, unit), X.c64(0)));
    const up = e.let(X.or(X.gtU(decisive, h), X.and(X.eq(decisive, h), tie)));
    const inexact = e.let(X.ne(X.or(low, rest), X.c64(0)));
    e.if(up, () => {
      e.set(kept, X.add(kept, unit));
      e.if(X.eqz(kept), () => {
        e.set(kept, TOP_BIT);
        e.set(x, X.add(x, X.c32(1)));
      });
    });
    refuse(e, X.geU(X.sub(x, X.c32(1)), X.c32(0x7ffe)));
    storeNumber(e, at, kept, X.or(sign, x));
    report(e, inexact, up);
    e.push(X.c32(1));
  },
};

/** The bits of `v` below a shift to the right by `d` (1 or more), as 64 bits with a sticky lowest one. */
function shiftedOut(e: Emit, v: Expr, d: Expr): Expr {
  const near = X.shl(v, X.sub(X.c64(64), d));
  const lost = X.extU(X.ne(X.shl(v, X.sub(X.c64(128), d)), X.c64(0)));
  const far = X.or(X.shrU(v, X.sub(d, X.c64(64))), lost);
  const beyond = X.extU(X.ne(v, X.c64(0)));
  const from64 = X.select(X.eq(d, X.c64(64)), v, X.select(X.ltU(d, X.c64(128)), far, beyond));
  return e.let(X.select(X.ltU(d, X.c64(64)), near, from64));
}

/** (at, significand, sign and exponent, flip) -> done: register + number; `flip` 0x8000 changes the register's sign first. */
const add: Helper = {
  key: "x87 add",
  params: [I32, I64, I32, I32],
  results: [I32],
  fill(e, [at, bs, be, flip]) {
    const as = e.let(significand(at)), ae = e.let(X.xor(signExponent(at), flip));
    refuse(e, X.eqz(X.and(isPlain(as, ae), isPlain(bs, be))));
    const ax = e.let(exponent(ae)), bx = e.let(exponent(be));
    const swap = e.let(X.or(X.gtU(bx, ax), X.and(X.eq(ax, bx), X.gtU(bs, as))));
    const xs = e.let(X.select(swap, bs, as)), xe = e.let(X.select(swap, be, ae));
    const ys = e.let(X.select(swap, as, bs)), ye = X.select(swap, ae, be);
    const zero = (negative: Expr) => {
      storeNumber(e, at, X.c64(0), negative);
      report(e, X.c32(0), X.c32(0));
      answer(e, X.c32(1));
    };
    e.unlikely(X.eqz(xs), () => zero(X.and(X.and(ae, be), X.c32(0x8000))));
    const sign = e.let(X.and(xe, X.c32(0x8000)));
    const d = e.let(X.extU(X.sub(exponent(xe), exponent(ye))));
    const rest = e.mutable(X.select(X.eqz(d), X.c64(0), shiftedOut(e, ys, d)));
    const y = e.let(X.select(X.ltU(d, X.c64(64)), X.shrU(ys, d), X.c64(0)));
    const sum = e.fresh(I64), x = e.mutable(exponent(xe));
    e.if(X.eqz(X.and(X.xor(ae, be), X.c32(0x8000))), () => {
      e.set(sum, X.add(xs, y));
      e.if(X.ltU(sum, xs), () => {
        e.set(rest, X.or(X.or(X.shrU(rest, X.c64(1)), X.and(rest, X.c64(1))), X.shl(sum, X.c64(63))));
        e.set(sum, X.or(X.shrU(sum, X.c64(1)), TOP_BIT));
        e.set(x, X.add(x, X.c32(1)));
      });
    }, () => {
      e.set(sum, X.sub(X.sub(xs, y), X.extU(X.ne(rest, X.c64(0)))));
      e.set(rest, X.sub(X.c64(0), rest));
      e.if(X.eqz(sum), () => {
        e.set(sum, rest);
        e.set(rest, X.c64(0));
        e.set(x, X.sub(x, X.c32(64)));
      });
      e.unlikely(X.eqz(sum), () => zero(X.c32(0)));
      const z = e.let(X.clz(sum));
      e.if(X.ne(z, X.c64(0)), () => {
        e.set(sum, X.or(X.shl(sum, z), X.shrU(rest, X.sub(X.c64(64), z))));
        e.set(rest, X.shl(rest, z));
        e.set(x, X.sub(x, X.wrap(z)));
      });
    });
    e.push(X.callX(I32, e.helper(round), at, sign, x, sum, rest));
  },
};

/** (at, significand, sign and exponent, 0) -> done: register × number. */
const mul: Helper = {
  key: "x87 mul",
  params: [I32, I64, I32, I32],
  results: [I32],
  fill(e, [at, bs, be]) {
    const as = e.let(significand(at)), ae = e.let(signExponent(at));
    refuse(e, X.eqz(X.and(isPlain(as, ae), isPlain(bs, be))));
    const sign = e.let(X.and(X.xor(ae, be), X.c32(0x8000)));
    e.unlikely(X.or(X.eqz(as), X.eqz(bs)), () => {
      storeNumber(e, at, X.c64(0), sign);
      report(e, X.c32(0), X.c32(0));
      answer(e, X.c32(1));
    });
    const lowHalf = (v: Expr) => e.let(X.and(v, X.c64w(-1, 0))),
      high = (v: Expr) => e.let(X.shrU(v, X.c64(32)));
    const al = lowHalf(as), ah = high(as), bl = lowHalf(bs), bh = high(bs);
    const ll = e.let(X.mul(al, bl)), lh = e.let(X.mul(al, bh)), hl = e.let(X.mul(ah, bl));
    const middle = e.let(X.add(X.add(X.shrU(ll, X.c64(32)), lowHalf(lh)), lowHalf(hl)));
    const top = X.add(
      X.add(X.mul(ah, bh), X.shrU(lh, X.c64(32))),
      X.add(X.shrU(hl, X.c64(32)), X.shrU(middle, X.c64(32))),
    );
    const sig = e.mutable(top), rest = e.mutable(X.or(X.shl(middle, X.c64(32)), lowHalf(ll)));
    const x = e.mutable(X.sub(X.add(exponent(ae), exponent(be)), X.c32(BIAS - 1)));
    e.if(X.geS(sig, X.c64(0)), () => {
      e.set(sig, X.or(X.shl(sig, X.c64(1)), X.shrU(rest, X.c64(63))));
      e.set(rest, X.shl(rest, X.c64(1)));
      e.set(x, X.sub(x, X.c32(1)));
    });
    refuse(e, X.leS(x, X.c32(0)));
    e.push(X.callX(I32, e.helper(round), at, sign, x, sig, rest));
  },
};

/** (at, significand, sign and exponent, reverse) -> done: register / number, or number / register. */
const div: Helper = {
  key: "x87 div",
  params: [I32, I64, I32, I32],
  results: [I32],
  fill(e, [at, bs, be, reverse]) {
    const rs = e.let(significand(at)), re = e.let(signExponent(at));
    refuse(e, X.eqz(X.and(isPlain(rs, re), isPlain(bs, be))));
    const n = e.let(X.select(reverse, bs, rs)), ne = e.let(X.select(reverse, be, re));
    const d = e.let(X.select(reverse, rs, bs)), de = e.let(X.select(reverse, re, be));
    refuse(e, X.or(X.eqz(d), X.eqz(n)));
    const r = e.mutable(n),
      carry = e.fresh(I64),
      q = e.fresh(I64),
      rest = e.fresh(I64),
      left = e.mutable(X.c32(64));
    const x = e.mutable(X.add(X.sub(exponent(ne), exponent(de)), X.c32(BIAS)));
    const double = () => {
      e.set(carry, X.shrU(r, X.c64(63)));
      e.set(r, X.shl(r, X.c64(1)));
    };
    /** Subtracts the divisor if it fits; 1 if it did. */
    const bit = (): Expr => {
      const fits = e.let(X.or(X.wrap(carry), X.geU(r, d)));
      e.set(r, X.sub(r, X.select(fits, d, X.c64(0))));
      double();
      return X.extU(fits);
    };
    e.if(X.ltU(r, d), () => {
      e.set(x, X.sub(x, X.c32(1)));
      double();
    });
    e.loop((again) => {
      const fits = bit();
      e.set(q, X.or(X.shl(q, X.c64(1)), fits));
      e.set(left, X.sub(left, X.c32(1)));
      again(left);
    });
    e.set(rest, X.shl(bit(), X.c64(63)));
    e.set(rest, X.or(rest, X.shl(bit(), X.c64(62))));
    e.set(rest, X.or(rest, X.extU(X.ne(X.or(r, carry), X.c64(0)))));
    refuse(e, X.leS(x, X.c32(0)));
    e.push(X.callX(I32, e.helper(round), at, X.and(X.xor(ne, de), X.c32(0x8000)), x, q, rest));
  },
};

/** Order of the register at an offset and a number, as C0, C2, C3 lie in EFLAGS: 0 greater, 1 less, 0x40 equal; -1: refused. */
export const order: Helper = {
  key: "x87 order",
  params: [I32, I64, I32],
  results: [I32],
  fill(e, [at, bs, be]) {
    const as = e.let(significand(at)), ae = e.let(signExponent(at));
    e.unlikely(X.eqz(X.and(isPlain(as, ae), isPlain(bs, be))), () => answer(e, X.c32(-1)));
    e.if(X.or(X.and(X.eq(as, bs), X.eq(ae, be)), X.eqz(X.or(as, bs))), () => answer(e, X.c32(0x40)));
    const negative = e.let(X.shrU(ae, X.c32(15)));
    e.if(X.and(X.xor(ae, be), X.c32(0x8000)), () => answer(e, negative));
    const ax = e.let(exponent(ae)), bx = e.let(exponent(be));
    const smaller = X.select(X.eq(ax, bx), X.ltU(as, bs), X.ltU(ax, bx));
    e.push(X.xor(smaller, negative));
  },
};

/** The four operations: which function, and what its last argument is for operation and its reverse. */
export const OPERATIONS: Readonly<
  Record<string, { helper: Helper; flipRegister: boolean; flipNumber: boolean; last: number }>
> = {
  add: { helper: add, flipRegister: false, flipNumber: false, last: 0 },
  sub: { helper: add, flipRegister: false, flipNumber: true, last: 0 },
  subr: { helper: add, flipRegister: true, flipNumber: false, last: 0x8000 },
  mul: { helper: mul, flipRegister: false, flipNumber: false, last: 0 },
  div: { helper: div, flipRegister: false, flipNumber: false, last: 0 },
  divr: { helper: div, flipRegister: false, flipNumber: false, last: 1 },
};

/** A single (i32) or double (i64) as significand and sign with exponent; `valid`: normal or zero. */
export function fromFloat(e: Emit, bits: Expr): { sig: Expr; se: Expr; valid: Expr } {
  const double = bits.t === I64, wide = X.extU(bits), more = double ? 52 : 23, max = double ? 0x7ff : 0xff;
  const exp = e.let(X.and(X.wrap(X.shrU(wide, X.c64(more))), X.c32(max)));
  const fraction = e.let(X.shl(wide, X.c64(64 - more)));
  const sign = X.shl(X.wrap(X.shrU(wide, X.c64(double ? 63 : 31))), X.c32(15));
  const whole = X.or(X.shrU(fraction, X.c64(1)), TOP_BIT);
  return {
    sig: e.let(X.select(exp, whole, X.c64(0))),
    se: e.let(X.or(sign, X.select(exp, X.add(exp, X.c32(BIAS - (double ? 1023 : 127))), X.c32(0)))),
    valid: X.or(X.ltU(X.sub(exp, X.c32(1)), X.c32(max - 1)), X.and(X.eqz(exp), X.eqz(fraction))),
  };
}

/** A signed integer (i64) as a number. */
export function fromInteger(e: Emit, v: Expr): { sig: Expr; se: Expr; valid: Expr } {
  const negative = e.let(X.ltS(v, X.c64(0)));
  const size = e.let(X.select(negative, X.sub(X.c64(0), v), v)), z = e.let(X.clz(size));
  const se = X.or(X.shl(negative, X.c32(15)), X.sub(X.c32(BIAS + 63), X.wrap(z)));
  return { sig: e.let(X.shl(size, z)), se: e.let(X.select(X.eqz(size), X.c32(0), se)), valid: X.c32(1) };
}

/** (significand, sign and exponent, double) -> bits of ST(0) rounded to a double or single, or all ones: refused. */
export const toFloat: Helper = {
  key: "x87 to float",
  params: [I64, I32, I32],
  results: [I64],
  fill(e, [sig, se, double]) {
    const no = () => answer(e, X.c64(-1)), sign = X.extU(X.shrU(se, X.c32(15)));
    const signAt = X.select(double, X.c64(63), X.c64(31)),
      more = e.let(X.select(double, X.c64(52), X.c64(23)));
    e.unlikely(X.or(X.eqz(isPlain(sig, se)), unusualControl(e)), no);
    const signed = e.let(X.shl(sign, signAt));
    e.if(X.eqz(sig), () => answer(e, signed));
    const { kept, x } = rounded(e, sig, se, double);
    const biased = e.let(X.sub(x, X.select(double, X.c32(BIAS - 1023), X.c32(BIAS - 127))));
    const most = X.select(double, X.c32(0x7fe), X.c32(0xfe));
    e.unlikely(X.geU(X.sub(biased, X.c32(1)), most), no);
    const fraction = X.shrU(X.shl(kept, X.c64(1)), X.sub(X.c64(64), more));
    e.push(X.or(X.or(signed, X.shl(X.extU(biased), more)), fraction));
  },
};

/** (significand, double) -> PE and C1 that the rounding by `toFloat` sets. */
export const toFloatFlags: Helper = {
  key: "x87 to float flags",
  params: [I64, I32],
  results: [I32],
  fill(e, [sig, double]) {
    const { inexact, up } = rounded(e, sig, X.c32(0), double);
    e.push(X.or(X.shl(inexact, X.c32(5)), X.shl(up, X.c32(9))));
  },
};

/** A significand rounded to nearest at the width of a double or a single. */
function rounded(
  e: Emit,
  sig: Expr,
  se: Expr,
  double: Expr,
): { kept: Expr; x: Expr; inexact: Expr; up: Expr } {
  const unit = e.let(X.select(double, X.c64(0x800), X.c64w(0, 0x100)));
  const low = e.let(X.and(sig, X.sub(unit, X.c64(1)))), kept = e.mutable(X.xor(sig, low));
  const x = e.mutable(exponent(se)), half = e.let(X.shrU(unit, X.c64(1)));
  const odd = X.ne(X.and(kept, unit), X.c64(0));
  const up = e.let(X.or(X.gtU(low, half), X.and(X.eq(low, half), odd)));
  e.if(up, () => {
    e.set(kept, X.add(kept, unit));
    e.if(X.eqz(kept), () => {
      e.set(kept, TOP_BIT);
      e.set(x, X.add(x, X.c32(1)));
    });
  });
  return { kept, x, inexact: X.ne(low, X.c64(0)), up };
}
