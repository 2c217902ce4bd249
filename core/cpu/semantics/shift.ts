/**
 * Shifts and rotates. Source: Intel SDM volume 2 (SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD).
 *
 * A count of zero (after masking) changes no flag. OF is defined for counts of one only; for others it is what the same
 * formula gives.
 *
 * @module
 */
import type { Emit } from "../emit.ts";
import type { Form, Semantic } from "../form.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { carry, setCarryOverflow, setLazy, signExtend, truncate } from "./flags.ts";

/** The masked count (0-31, or 0-63 for 64-bit operands) as i32. */
function count(e: Emit, f: Form): Expr {
  const o = f.ops[1];
  const raw = o.k === "imm" ? e.imm(8) : e.read(o);
  return e.let(X.and(raw, X.c32(f.size === 64 ? 63 : 31)));
}

/** The lazy auxiliary word for given CF and OF (0 or 1 each) and AF clear. */
const auxOf = (cf: Expr, of: Expr): Expr => X.or(X.shl(cf, X.c32(31)), X.shl(X.xor(cf, of), X.c32(30)));
const msb = (size: number, v: Expr): Expr =>
  size === 64 ? X.wrap(X.shrU(v, X.c64(63))) : X.and(X.shrU(v, X.c32(size - 1)), X.c32(1));

/** A shift: `compute` gives result, CF and OF for a non-zero count. */
function shift(
  compute: (
    e: Emit,
    size: number,
    a: Expr,
    n: Expr,
  ) => { r: Expr; cf: Expr; of: (r: Expr, cf: Expr) => Expr },
): Semantic {
  return (e, f) => {
    const n = count(e, f);
    let r!: Expr, cf!: Expr, of!: Expr;
    e.modify(f.ops[0], (old) => {
      const a = e.let(old);
      const c = compute(e, f.size, a, n);
      r = e.let(c.r);
      cf = e.let(c.cf);
      of = e.let(c.of(r, cf));
      return r;
    }, () => e.if(n, () => setLazy(e, signExtend(f.size, r), auxOf(cf, of))));
    e.next();
  };
}

/** Widens to i64 (zero-extended) so that bits shifted past the operand stay visible. */
const wide = (v: Expr): Expr => X.extU(v);

const shl = shift((e, size, a, n) => {
  if (size === 64) {
    const n64 = X.extU(n);
    return {
      r: X.shl(a, n64),
      cf: X.wrap(X.and(X.shrU(a, X.sub(X.c64(64), n64)), X.c64(1))),
      of: (r, cf) => X.xor(msb(64, r), cf),
    };
  }
  const w = e.let(X.shl(wide(a), X.extU(n)));
  return {
    r: truncate(size, X.wrap(w)),
    cf: X.and(X.wrap(X.shrU(w, X.c64(size))), X.c32(1)),
    of: (r, cf) => X.xor(msb(size, r), cf),
  };
});

const shr = shift((_e, size, a, n) => {
  const before = size === 64
    ? X.shrU(a, X.extU(X.sub(n, X.c32(1))))
    : X.shrU(wide(a), X.extU(X.sub(n, X.c32(1))));
  return {
    r: size === 64 ? X.shrU(a, X.extU(n)) : X.shrU(a, n),
    cf: X.and(X.wrap(before), X.c32(1)),
    of: () => msb(size, a),
  };
});

const sar = shift((e, size, a, n) => {
  const s = e.let(signExtend(size, a));
  const r = X.shrS(s, X.extU(n));
  return {
    r: size === 64 ? r : truncate(size, X.wrap(r)),
    cf: X.and(X.wrap(X.shrS(s, X.extU(X.sub(n, X.c32(1))))), X.c32(1)),
    of: () => X.c32(0),
  };
});

/** ROL and ROR: only CF and OF change, and only when the (5- or 6-bit) count is not zero. */
function rotate(left: boolean): Semantic {
  return (e, f) => {
    const { size } = f;
    const n = count(e, f);
    let r!: Expr;
    e.modify(f.ops[0], (old) => {
      const a = e.let(old);
      if (size === 64) r = e.let((left ? X.rotl : X.rotr)(a, X.extU(n)));
      else if (size === 32) r = e.let((left ? X.rotl : X.rotr)(a, n));
      else {
        const m = e.let(X.and(n, X.c32(size - 1)));
        const back = X.and(X.sub(X.c32(size), m), X.c32(size - 1));
        const [l, rr] = left ? [m, back] : [back, m];
        r = e.let(truncate(size, X.or(X.shl(a, l), X.shrU(a, rr))));
      }
      return r;
    }, () =>
      e.if(n, () => {
        const low = X.and(X.wrap(r), X.c32(1)), high = msb(size, r);
        if (left) setCarryOverflow(e, low, X.xor(low, high));
        else {
          const second = size === 64
            ? X.and(X.wrap(X.shrU(r, X.c64(62))), X.c32(1))
            : X.and(X.shrU(r, X.c32(size - 2)), X.c32(1));
          setCarryOverflow(e, high, X.xor(high, second));
        }
      }));
    e.next();
  };
}

/** RCL and RCR rotate through CF: size + 1 bits. */
function rotateCarry(left: boolean): Semantic {
  return (e, f) => {
    const { size } = f;
    let n = count(e, f);
    if (size < 32) n = e.let(X.remU(n, X.c32(size + 1)));
    const c = e.let(carry(e));
    let a!: Expr, r!: Expr, cf!: Expr;
    e.modify(f.ops[0], (old) => {
      a = e.let(old);
      const out = size === 64 ? rotate65(e, a, c, n, left) : rotateNarrow(e, size, a, c, n, left);
      r = out.r;
      cf = out.cf;
      return r;
    }, () =>
      e.if(n, () => {
        if (left) setCarryOverflow(e, cf, X.xor(cf, msb(size, r)));
        else {
          const second = size === 64
            ? X.and(X.wrap(X.shrU(r, X.c64(62))), X.c32(1))
            : X.and(X.shrU(r, X.c32(size - 2)), X.c32(1));
          setCarryOverflow(e, cf, X.xor(msb(size, r), second));
        }
      }));
    e.next();
  };
}

/** Up to 33 bits: the operand with CF above it, rotated as an i64. */
function rotateNarrow(
  e: Emit,
  size: number,
  a: Expr,
  c: Expr,
  n: Expr,
  left: boolean,
): { r: Expr; cf: Expr } {
  const bits = size + 1;
  const v = e.let(X.or(wide(a), X.shl(wide(c), X.c64(size))));
  const l = e.let(X.extU(left ? n : X.sub(X.c32(bits), n)));
  const rot = e.let(X.or(X.shl(v, l), X.shrU(v, X.sub(X.c64(bits), l))));
  return {
    r: e.let(truncate(size, X.wrap(rot))),
    cf: e.let(X.and(X.wrap(X.shrU(rot, X.c64(size))), X.c32(1))),
  };
}

/** 65 bits. Shift counts of 64 must be split, as WebAssembly takes counts modulo 64. */
function rotate65(e: Emit, a: Expr, c: Expr, n: Expr, left: boolean): { r: Expr; cf: Expr } {
  const n64 = e.let(X.extU(n)), c64 = X.extU(c), one = X.c64(1);
  const nm1 = X.sub(n64, one), rest = X.sub(X.c64(64), n64);
  let r: Expr, cf: Expr;
  if (left) {
    // r = a << n | c << (n-1) | (a >> 1) >> (64 - n)
    r = X.or(X.or(X.shl(a, n64), X.shl(c64, nm1)), X.shrU(X.shrU(a, one), rest));
    cf = X.shrU(a, rest);
  } else {
    r = X.or(X.or(X.shrU(a, n64), X.shl(c64, rest)), X.shl(X.shl(a, one), rest));
    cf = X.shrU(a, nm1);
  }
  return {
    r: e.let(X.select(n, r, a)),
    cf: e.let(X.select(n, X.wrap(X.and(cf, one)), c)),
  };
}

/** SHLD and SHRD. Operand 2 is the count: immediate or CL. */
function doubleShift(left: boolean): Semantic {
  return (e, f) => {
    const { size } = f;
    const n = count(e, { ...f, ops: [f.ops[0], f.ops[2]] });
    const b = e.read(f.ops[1]);
    let a!: Expr, r!: Expr, cf!: Expr;
    e.modify(f.ops[0], (old) => {
      a = e.let(old);
      ({ r, cf } = size === 64 ? double64(e, a, b, n, left) : doubleNarrow(e, size, a, b, n, left));
      return r;
    }, () =>
      e.if(n, () => {
        const of = X.xor(msb(size, a), msb(size, r));
        setLazy(e, signExtend(size, r), auxOf(cf, e.let(of)));
      }));
    e.next();
  };
}

function double64(e: Emit, a: Expr, b: Expr, n: Expr, left: boolean): { r: Expr; cf: Expr } {
  const n64 = e.let(X.extU(n)), rest = X.sub(X.c64(64), n64), nm1 = X.sub(n64, X.c64(1));
  const joined = left ? X.or(X.shl(a, n64), X.shrU(b, rest)) : X.or(X.shrU(a, n64), X.shl(b, rest));
  return {
    r: e.let(X.select(n, joined, a)),
    cf: e.let(X.and(X.wrap(X.shrU(a, left ? rest : nm1)), X.c32(1))),
  };
}

/** 16 and 32 bits. A 16-bit count above 16 is undefined; processors rotate through destination:source:destination. */
function doubleNarrow(
  e: Emit,
  size: number,
  a: Expr,
  b: Expr,
  n: Expr,
  left: boolean,
): { r: Expr; cf: Expr } {
  const n64 = e.let(X.extU(n)), s = X.c64(size);
  const A = wide(a), B = wide(b);
  if (left) {
    const high = size === 16 ? X.or(X.shl(X.or(X.shl(A, s), B), s), A) : X.or(X.shl(A, s), B);
    const v = e.let(high);
    const total = size === 16 ? 48 : 64;
    const r = X.shrU(X.shl(v, n64), X.c64(total - size));
    const cf = X.shrU(v, X.sub(X.c64(total), n64));
    return { r: e.let(truncate(size, X.wrap(r))), cf: e.let(X.and(X.wrap(cf), X.c32(1))) };
  }
  const v = e.let(size === 16 ? X.or(X.shl(X.or(X.shl(A, s), B), s), A) : X.or(X.shl(B, s), A));
  return {
    r: e.let(truncate(size, X.wrap(X.shrU(v, n64)))),
    cf: e.let(X.and(X.wrap(X.shrU(v, X.sub(n64, X.c64(1)))), X.c32(1))),
  };
}

/** SALC (undocumented, 32-bit modes): AL = CF ? 0xff : 0. */
const salc: Semantic = (e) => {
  e.setGpr(0, 8, X.sub(X.c32(0), carry(e)));
  e.next();
};

/** Semantic functions of this family. */
export const shifts: Record<string, Semantic> = {
  rol: rotate(true),
  ror: rotate(false),
  rcl: rotateCarry(true),
  rcr: rotateCarry(false),
  shl,
  shr,
  sal: shl,
  sar,
  shld: doubleShift(true),
  shrd: doubleShift(false),
  salc,
};
