/**
 * Emission of flag updates and conditions on the lazy flags of `core/cpu/flags.ts`.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Emit } from "../emit.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";

/** Sign-extends a value of `size` bits to i64. */
export function signExtend(size: number, v: Expr): Expr {
  if (size === 64) return v;
  return X.extS(size === 32 ? v : size === 16 ? X.ext16S(v) : X.ext8S(v));
}

/** Truncates an i32 to `size` bits, zero-extended. */
export function truncate(size: number, v: Expr): Expr {
  return size >= 32 ? v : X.and(v, X.c32(size === 16 ? 0xffff : 0xff));
}

/** Stores the lazy flag words. */
export function setLazy(e: Emit, res: Expr, aux: Expr): void {
  if (e.deferFlags("raw", 8, aux, X.c32(0), res)) return;
  e.setState(64, L.LF_RES, res);
  e.setState(32, L.LF_AUX, aux);
}

/** Moves the carry-out vector of a `size`-bit addition or subtraction into the auxiliary word's bits 31, 30 and 3. */
function auxFromCarries(size: number, cout: Expr): Expr {
  const top = X.c32(0xc000_0000), af = X.c32(8);
  if (size === 32) return X.and(cout, X.c32(0xc000_0008));
  if (size === 64) {
    return X.or(X.and(X.wrap(X.shrU(cout, X.c64(32))), top), X.and(X.wrap(cout), af));
  }
  return X.or(X.and(X.shl(cout, X.c32(32 - size)), top), X.and(cout, af));
}

/**
 * What last set the flags. "adc" and "sbb" had a carry in; "inc" and "dec" keep CF, which is `a` (the operand is `b`); "raw" is
 * finished words: the result `r` (i64) and the auxiliary word `a`.
 */
export type FlagKind = "add" | "adc" | "sub" | "sbb" | "logic" | "inc" | "dec" | "raw";

/** The lazy words of an operation. Operands and result are locals or constants; r may carry garbage above `size`. */
export function lazyWords(
  e: Emit,
  kind: FlagKind,
  size: number,
  a: Expr,
  b: Expr,
  r: Expr,
): { res: Expr; aux: Expr } {
  if (kind === "raw") return { res: r, aux: a };
  const res = signExtend(size, r);
  if (kind === "logic") return { res, aux: X.c32(0) };
  if (kind === "inc" || kind === "dec") return { res, aux: auxOfStep(e, kind, size, a, r) };
  let cout: Expr;
  if (kind === "add" || kind === "adc") cout = X.or(X.and(a, b), X.and(X.or(a, b), X.not(r)));
  else cout = X.or(X.and(X.not(a), b), X.and(X.or(X.not(a), b), r));
  return { res, aux: auxFromCarries(size, e.let(cout)) };
}

/** The auxiliary word of r = operand + 1 or - 1, with CF as it was. */
function auxOfStep(e: Emit, kind: "inc" | "dec", size: number, carry: Expr, r: Expr): Expr {
  const min = size === 64 ? X.c64w(0, 0x8000_0000) : X.c32(1 << (size - 1));
  const limit = kind === "inc" ? min : size === 64 ? X.c64w(-1, 0x7fff_ffff) : X.c32((1 << (size - 1)) - 1);
  const t = size < 32 ? e.let(truncate(size, r)) : r;
  const of = X.eq(t, size < 32 ? truncate(size, limit) : limit);
  const af = X.eq(X.and(X.wrap(t), X.c32(0xf)), X.c32(kind === "inc" ? 0 : 0xf));
  const cf = e.let(carry);
  return X.or(X.or(X.shl(cf, X.c32(31)), X.shl(X.xor(cf, of), X.c32(30))), X.shl(af, X.c32(3)));
}

function set(e: Emit, kind: FlagKind, size: number, a: Expr, b: Expr, r: Expr): void {
  if (e.deferFlags(kind, size, a, b, r)) return;
  const w = lazyWords(e, kind, size, a, b, r);
  setLazy(e, w.res, w.aux);
}

type FlagSetter = (e: Emit, size: number, a: Expr, b: Expr, r: Expr) => void;
/** Flags of r = a + b. */
export const flagsAdd: FlagSetter = (e, size, a, b, r) => set(e, "add", size, a, b, r);
/** Flags of r = a + b + carry. */
export const flagsAdc: FlagSetter = (e, size, a, b, r) => set(e, "adc", size, a, b, r);
/** Flags of r = a - b. */
export const flagsSub: FlagSetter = (e, size, a, b, r) => set(e, "sub", size, a, b, r);
/** Flags of r = a - b - borrow. */
export const flagsSbb: FlagSetter = (e, size, a, b, r) => set(e, "sbb", size, a, b, r);
/** Flags of r = a + 1 ("inc") or a - 1 ("dec"): CF stays. */
export function flagsStep(e: Emit, kind: "inc" | "dec", size: number, a: Expr, r: Expr): void {
  if (e.deferFlags(kind, size, a, X.c32(0), r)) return;
  const w = lazyWords(e, kind, size, carry(e), a, r);
  setLazy(e, w.res, w.aux);
}
/** Flags of a logic operation: CF = OF = AF = 0. */
export const flagsLogic = (e: Emit, size: number, r: Expr): void => set(e, "logic", size, r, r, r);

/** The auxiliary word. */
export function aux(e: Emit): Expr {
  return e.state(32, L.LF_AUX);
}
/** CF as 0 or 1. */
export function carry(e: Emit): Expr {
  return e.knownCondition(1) ?? X.shrU(aux(e), X.c32(31));
}
/** OF as 0 or 1. */
export function overflow(e: Emit): Expr {
  const a = aux(e);
  return X.shrU(X.xor(a, X.shl(a, X.c32(1))), X.c32(31));
}
function zero(e: Emit): Expr {
  return X.eqz(e.state(64, L.LF_RES));
}
function sign(e: Emit): Expr {
  return X.and(X.xor(X.wrap(X.shrU(e.state(64, L.LF_RES), X.c64(63))), aux(e)), X.c32(1));
}
/** PF as 0 or 1. */
export function parity(e: Emit): Expr {
  const low = X.and(X.xor(e.state(32, L.LF_RES), X.shrU(aux(e), X.c32(8))), X.c32(0xff));
  return X.xor(X.and(X.popcnt(low), X.c32(1)), X.c32(1));
}

/** Condition code 0-15 (the low nibble of Jcc, SETcc, CMOVcc) as 0 or 1. */
export function condition(e: Emit, cc: number): Expr {
  const known = e.knownCondition(cc >> 1);
  if (known !== null) return cc & 1 ? X.eqz(known) : known;
  let v: Expr;
  switch (cc >> 1) {
    case 0:
      v = overflow(e);
      break;
    case 1:
      v = carry(e);
      break;
    case 2:
      v = zero(e);
      break;
    case 3:
      v = X.or(carry(e), zero(e));
      break;
    case 4:
      v = sign(e);
      break;
    case 5:
      v = parity(e);
      break;
    case 6:
      v = X.xor(sign(e), overflow(e));
      break;
    default:
      v = X.or(X.xor(sign(e), overflow(e)), zero(e));
  }
  return cc & 1 ? X.eqz(v) : v;
}

/** Sets CF and OF (each 0 or 1), keeping the other flags. */
export function setCarryOverflow(e: Emit, cf: Expr, of: Expr): void {
  const c = e.let(cf);
  const keep = X.and(aux(e), X.c32(0x3fff_ffff));
  e.setState(32, L.LF_AUX, X.or(keep, X.or(X.shl(c, X.c32(31)), X.shl(X.xor(c, of), X.c32(30)))));
}

/** Sets CF, keeping the other flags. */
export function setCarry(e: Emit, cf: Expr): void {
  const c = e.let(cf), o = e.let(overflow(e));
  setCarryOverflow(e, c, o);
}

/** Sets ZF, keeping the other flags: the lazy result is rebuilt with its sign and parity corrections. */
export function setZero(e: Emit, zf: Expr): void {
  const z = e.let(zf), s = e.let(sign(e)), p = e.let(parity(e));
  // Result 0 has parity 1, result 1 has parity 0; the correction byte is 1 where that is wrong.
  const pdb = X.shl(X.xor(z, p), X.c32(8));
  e.setState(32, L.LF_AUX, X.or(X.and(aux(e), X.c32(0xc000_0008)), X.or(pdb, s)));
  e.setState(64, L.LF_RES, X.extU(X.xor(z, X.c32(1))));
}

/** Sets the arithmetic flags from an RFLAGS image, in the form that `wordToFlags` gives them. */
export function setArithmetic(e: Emit, image: Expr): void {
  const bit = (n: number) => X.and(X.shrU(image, X.c32(n)), X.c32(1));
  const cf = e.let(bit(0)), zf = e.let(bit(6));
  const word = X.or(
    X.or(X.shl(cf, X.c32(31)), X.shl(X.xor(cf, bit(11)), X.c32(30))),
    X.or(X.or(X.shl(X.xor(zf, bit(2)), X.c32(8)), X.shl(bit(4), X.c32(3))), bit(7)),
  );
  setLazy(e, X.extU(X.xor(zf, X.c32(1))), word);
}
