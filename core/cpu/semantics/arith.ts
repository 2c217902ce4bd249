/**
 * Integer arithmetic and logic. Source: Intel SDM volume 2, instruction pages; undefined flags as recent Intel and
 * AMD processors leave them where they agree.
 *
 * @module
 */
import type { Emit } from "../emit.ts";
import type { Form, Semantic } from "../form.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import {
  aux,
  carry,
  flagsAdc,
  flagsAdd,
  flagsLogic,
  flagsSbb,
  flagsStep,
  flagsSub,
  setLazy,
  signExtend,
  truncate,
} from "./flags.ts";
import * as L from "../../layout.ts";

/** A carry 0/1 in the type of a `size`-bit value. */
const cin = (e: Emit, size: number): Expr => (size === 64 ? X.extU(carry(e)) : carry(e));

/** A two-operand operation that writes its first operand, then its flags. */
function binary(
  compute: (e: Emit, size: number, a: Expr, b: Expr) => Expr,
  flags: (e: Emit, size: number, a: Expr, b: Expr, r: Expr) => void,
): Semantic {
  return (e, f) => {
    const b = e.read(f.ops[1]);
    let a!: Expr, r!: Expr;
    e.modify(f.ops[0], (old) => {
      a = e.let(old);
      r = e.let(compute(e, f.size, a, b));
      return r;
    }, () => flags(e, f.size, a, b, r));
    e.next();
  };
}

const logicFlags = (e: Emit, size: number, _a: Expr, _b: Expr, r: Expr) => flagsLogic(e, size, r);

function incDec(kind: "inc" | "dec"): Semantic {
  return (e, f) => {
    let a!: Expr, r!: Expr;
    e.modify(f.ops[0], (old) => {
      a = e.let(old);
      r = e.let(X.add(a, X.cLike(a, kind === "inc" ? 1 : -1)));
      return r;
    }, () => flagsStep(e, kind, f.size, a, r));
    e.next();
  };
}

/** CMP and TEST: flags only. */
const cmp: Semantic = (e, f) => {
  const a = e.read(f.ops[0]), b = e.read(f.ops[1]);
  flagsSub(e, f.size, a, b, e.let(X.sub(a, b)));
  e.next();
};
const test: Semantic = (e, f) => {
  const a = e.read(f.ops[0]), b = e.read(f.ops[1]);
  flagsLogic(e, f.size, e.let(X.and(a, b)));
  e.next();
};

const neg: Semantic = (e, f) => {
  let a!: Expr, r!: Expr;
  e.modify(f.ops[0], (old) => {
    a = e.let(old);
    r = e.let(X.sub(X.cLike(old, 0), old));
    return r;
  }, () => flagsSub(e, f.size, X.cLike(a, 0), a, r));
  e.next();
};
const not: Semantic = (e, f) => {
  e.modify(f.ops[0], (old) => X.not(old));
  e.next();
};

const xadd: Semantic = (e, f) => {
  const b = e.read(f.ops[1]);
  let a!: Expr, r!: Expr;
  const finish = () => {
    // With the same register on both sides the sum wins: write the source first.
    e.write(f.ops[1], a);
  };
  if (f.ops[0].k === "mem") {
    e.modify(f.ops[0], (old) => {
      a = e.let(old);
      r = e.let(X.add(a, b));
      return r;
    }, finish);
  } else {
    a = e.read(f.ops[0]);
    r = e.let(X.add(a, b));
    finish();
    e.write(f.ops[0], r);
  }
  flagsAdd(e, f.size, a, b, r);
  e.next();
};

const cmpxchg: Semantic = (e, f) => {
  const acc = e.let(e.gpr(0, f.size)), src = e.read(f.ops[1]);
  let old!: Expr;
  if (f.ops[0].k === "mem") {
    e.modify(f.ops[0], (o) => {
      old = e.let(o);
      return X.select(X.eq(old, acc), src, old);
    });
  } else {
    // A register destination is written only on success: a 32-bit one keeps its upper half otherwise.
    old = e.read(f.ops[0]);
    e.if(X.eq(old, acc), () => e.write(f.ops[0], src));
  }
  flagsSub(e, f.size, acc, old, e.let(X.sub(acc, old)));
  // The accumulator is written only on failure: a 32-bit write would otherwise clear its upper half.
  e.if(X.ne(old, acc), () => e.setGpr(0, f.size, old));
  e.next();
};

/** Decimal adjustments (32-bit modes only). */
function daaDas(subtract: boolean): Semantic {
  return (e) => {
    const al = e.let(e.gpr(0, 8)), cf = e.let(carry(e));
    const af = e.let(X.and(X.shrU(aux(e), X.c32(3)), X.c32(1)));
    const lowFix = e.let(X.or(X.gtU(X.and(al, X.c32(15)), X.c32(9)), af));
    const highFix = e.let(X.or(X.gtU(al, X.c32(0x99)), cf));
    const fix = X.add(X.select(lowFix, X.c32(6), X.c32(0)), X.select(highFix, X.c32(0x60), X.c32(0)));
    const r = e.let(truncate(8, subtract ? X.sub(al, fix) : X.add(al, fix)));
    // DAS also sets CF when the low adjustment borrows.
    const cfOut = subtract ? e.let(X.or(highFix, X.and(lowFix, X.ltU(al, X.c32(6))))) : highFix;
    e.setGpr(0, 8, r);
    // OF is undefined; processors leave it as the final addition or subtraction does not set it: 0 here.
    setLazy(
      e,
      signExtend(8, r),
      X.or(X.or(X.shl(cfOut, X.c32(31)), X.shl(cfOut, X.c32(30))), X.shl(lowFix, X.c32(3))),
    );
    e.next();
  };
}

function aaaAas(subtract: boolean): Semantic {
  return (e) => {
    const ax = e.let(e.gpr(0, 16));
    const af = X.and(X.shrU(aux(e), X.c32(3)), X.c32(1));
    const fix = e.let(X.or(X.gtU(X.and(ax, X.c32(15)), X.c32(9)), af));
    const adjusted = subtract ? X.sub(ax, X.c32(0x106)) : X.add(ax, X.c32(0x106));
    const r = e.let(X.and(X.select(fix, adjusted, ax), X.c32(0xff0f)));
    e.setGpr(0, 16, r);
    setLazy(
      e,
      signExtend(8, truncate(8, r)),
      X.or(X.or(X.shl(fix, X.c32(31)), X.shl(fix, X.c32(30))), X.shl(fix, X.c32(3))),
    );
    e.next();
  };
}

const aam: Semantic = (e) => {
  const base = e.let(e.imm(8));
  e.unlikely(X.eqz(base), () => e.fault(0));
  const al = e.let(e.gpr(0, 8));
  const low = e.let(X.remU(al, base));
  e.setGpr(0, 16, X.or(X.shl(X.divU(al, base), X.c32(8)), low));
  flagsLogic(e, 8, low);
  e.next();
};
const aad: Semantic = (e) => {
  const ax = e.let(e.gpr(0, 16));
  const r = e.let(truncate(8, X.add(X.and(ax, X.c32(0xff)), X.mul(X.shrU(ax, X.c32(8)), e.imm(8)))));
  e.setGpr(0, 16, r);
  flagsLogic(e, 8, r);
  e.next();
};

/** Complement, clear, set CF; clear, set DF. */
const setDf = (df: boolean): Semantic => (e: Emit, _f: Form) => {
  const rest = e.state(32, L.FLAGS);
  e.setState(32, L.FLAGS, df ? X.or(rest, X.c32(0x400)) : X.and(rest, X.c32(~0x400)));
  e.next();
};
const setCf = (v: (e: Emit) => Expr): Semantic => (e) => {
  const a = e.let(aux(e));
  const of = X.xor(a, X.shl(a, X.c32(1)));
  const cf = e.let(v(e));
  // OF = bit 31 xor bit 30 must stay: bit 30 = new CF xor OF.
  const po = X.xor(cf, X.shrU(of, X.c32(31)));
  e.setState(
    32,
    L.LF_AUX,
    X.or(X.and(a, X.c32(0x3fff_ffff)), X.or(X.shl(cf, X.c32(31)), X.shl(po, X.c32(30)))),
  );
  e.next();
};

/** Semantic functions of this family. */
export const arith: Record<string, Semantic> = {
  add: binary((_e, _s, a, b) => X.add(a, b), flagsAdd),
  or: binary((_e, _s, a, b) => X.or(a, b), logicFlags),
  adc: binary((e, s, a, b) => X.add(X.add(a, b), cin(e, s)), flagsAdc),
  sbb: binary((e, s, a, b) => X.sub(X.sub(a, b), cin(e, s)), flagsSbb),
  and: binary((_e, _s, a, b) => X.and(a, b), logicFlags),
  sub: binary((_e, _s, a, b) => X.sub(a, b), flagsSub),
  xor: binary((_e, _s, a, b) => X.xor(a, b), logicFlags),
  cmp,
  test,
  inc: incDec("inc"),
  dec: incDec("dec"),
  neg,
  not,
  xadd,
  cmpxchg,
  daa: daaDas(false),
  das: daaDas(true),
  aaa: aaaAas(false),
  aas: aaaAas(true),
  aam,
  aad,
  cmc: setCf((e) => X.xor(carry(e), X.c32(1))),
  clc: setCf(() => X.c32(0)),
  stc: setCf(() => X.c32(1)),
  cld: setDf(false),
  std: setDf(true),
};
