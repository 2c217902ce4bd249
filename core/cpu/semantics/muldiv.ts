/**
 * Multiplication and division. Source: Intel SDM volume 2 (MUL, IMUL, DIV, IDIV). 128-by-64-bit division is the system
 * operation `div64`.
 *
 * @module
 */
import type { Emit } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { Leave } from "../leave.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { setLazy, signExtend, truncate } from "./flags.ts";

/** Flags after a multiplication: CF = OF = the upper half is significant; SF, ZF, PF of the low half; AF clear. */
function mulFlags(e: Emit, size: number, low: Expr, significant: Expr): void {
  setLazy(e, signExtend(size, low), X.shl(significant, X.c32(31)));
}

/** High 64 bits of an unsigned 64×64 product, from 32-bit halves. */
export function mulHighU(e: Emit, a: Expr, b: Expr): Expr {
  const lo = X.c64w(-1, 0), s = X.c64(32);
  const al = e.let(X.and(a, lo)),
    ah = e.let(X.shrU(a, s)),
    bl = e.let(X.and(b, lo)),
    bh = e.let(X.shrU(b, s));
  const mid = e.let(X.add(X.mul(ah, bl), X.shrU(X.mul(al, bl), s)));
  const mid2 = e.let(X.add(X.mul(al, bh), X.and(mid, lo)));
  return e.let(X.add(X.add(X.mul(ah, bh), X.shrU(mid, s)), X.shrU(mid2, s)));
}

/** High 64 bits of a signed product. */
export function mulHighS(e: Emit, a: Expr, b: Expr): Expr {
  const u = mulHighU(e, a, b);
  const fixA = X.and(X.shrS(a, X.c64(63)), b), fixB = X.and(X.shrS(b, X.c64(63)), a);
  return e.let(X.sub(X.sub(u, fixA), fixB));
}

/** MUL and one-operand IMUL. */
function mul1(signed: boolean): Semantic {
  return (e, f) => {
    const b = e.read(f.ops[0]), { size } = f;
    const a = e.let(e.gpr(0, size));
    if (size === 64) {
      const low = e.let(X.mul(a, b));
      const high = signed ? mulHighS(e, a, b) : mulHighU(e, a, b);
      e.setGpr(0, 64, low);
      e.setGpr(2, 64, high);
      mulFlags(e, 64, low, signed ? X.ne(high, X.shrS(low, X.c64(63))) : X.ne(high, X.c64(0)));
      return e.next();
    }
    const p = e.let(
      signed ? X.mul(signExtend(size, a), signExtend(size, b)) : X.mul(X.extU(a), X.extU(b)),
    );
    const low = e.let(truncate(size, X.wrap(p)));
    if (size === 8) e.setGpr(0, 16, X.wrap(p));
    else {
      e.setGpr(0, size, low);
      e.setGpr(2, size, truncate(size, X.wrap(X.shrU(p, X.c64(size)))));
    }
    const significant = signed ? X.ne(p, signExtend(size, low)) : X.ne(X.shrU(p, X.c64(size)), X.c64(0));
    mulFlags(e, size, low, significant);
    e.next();
  };
}

/** Two- and three-operand IMUL. */
const imul2: Semantic = (e, f) => {
  const [dst, x, y] = f.ops.length === 3 ? f.ops : [f.ops[0], f.ops[0], f.ops[1]];
  const a = e.read(x), b = e.read(y), { size } = f;
  if (size === 64) {
    const low = e.let(X.mul(a, b));
    e.write(dst, low);
    mulFlags(e, 64, low, X.ne(mulHighS(e, a, b), X.shrS(low, X.c64(63))));
  } else {
    const p = e.let(X.mul(signExtend(size, a), signExtend(size, b)));
    const low = e.let(truncate(size, X.wrap(p)));
    e.write(dst, low);
    mulFlags(e, size, low, X.ne(p, signExtend(size, low)));
  }
  e.next();
};

/** DIV and IDIV up to 64 by 32 bits. #DE on a zero divisor or a quotient that does not fit. Flags stay. */
function div(signed: boolean): Semantic {
  return (e, f) => {
    const { size } = f;
    const raw = e.read(f.ops[0]);
    const d = e.let(signed ? signExtend(size, raw) : X.extU(raw));
    e.unlikely(X.eqz(d), () => e.fault(0));
    let n: Expr;
    if (size === 8) n = signed ? X.extS(X.ext16S(e.gpr(0, 16))) : X.extU(e.gpr(0, 16));
    else {
      n = X.or(X.shl(X.extU(e.gpr(2, size)), X.c64(size)), X.extU(e.gpr(0, size)));
      if (signed && size === 16) n = X.extS(X.wrap(n));
    }
    n = e.let(n);
    if (signed) {
      // The most negative dividend by -1 traps in WebAssembly; its quotient never fits.
      if (size === 32) {
        e.unlikely(X.and(X.eq(n, X.c64w(0, 0x8000_0000)), X.eq(d, X.c64(-1))), () => e.fault(0));
      }
      const q = e.let(X.divS(n, d));
      e.unlikely(X.ne(q, signExtend(size, X.wrap(q))), () => e.fault(0));
      quotient(e, size, X.wrap(q), X.wrap(X.remS(n, d)));
    } else {
      const q = e.let(X.divU(n, d));
      e.unlikely(X.ne(X.shrU(q, X.c64(size)), X.c64(0)), () => e.fault(0));
      quotient(e, size, X.wrap(q), X.wrap(X.remU(n, d)));
    }
    e.next();
  };
}

function quotient(e: Emit, size: number, q: Expr, r: Expr): void {
  const rem = e.let(truncate(size, r)), quo = e.let(truncate(size, q));
  if (size === 8) e.setGpr(0, 16, X.or(X.shl(rem, X.c32(8)), quo));
  else {
    e.setGpr(0, size, quo);
    e.setGpr(2, size, rem);
  }
}

/** DIV and IDIV of 128 bits by 64 where the dividend is an extended 64-bit number; the system operation does the rest. */
function divWide(signed: boolean): Semantic {
  return (e, f) => {
    if (f.size !== 64) return e.leave(Leave.SYS);
    const n = e.let(e.gpr(0, 64)), extension = signed ? X.shrS(n, X.c64(63)) : X.c64(0);
    e.unlikely(X.ne(e.gpr(2, 64), extension), () => e.leave(Leave.SYS));
    const d = e.read(f.ops[0]);
    e.unlikely(X.eqz(d), () => e.fault(0));
    if (signed) {
      e.unlikely(X.and(X.eq(n, X.c64w(0, 0x8000_0000)), X.eq(d, X.c64(-1))), () => e.fault(0));
      return finish(e, X.divS(n, d), X.remS(n, d));
    }
    finish(e, X.divU(n, d), X.remU(n, d));
  };
  function finish(e: Emit, q: Expr, r: Expr): void {
    quotient(e, 64, e.let(q), e.let(r));
    e.next();
  }
}

/** Semantic functions of this family. */
export const muldiv: Record<string, Semantic> = {
  mul: mul1(false),
  imul: mul1(true),
  imul2,
  div: div(false),
  idiv: div(true),
  div64: divWide(false),
  idiv64: divWide(true),
};
