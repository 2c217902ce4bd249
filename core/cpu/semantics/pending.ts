/**
 * Conditions straight from the operands of a flag update that has not been made.
 *
 * @module
 */
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { type FlagKind, signExtend, truncate } from "./flags.ts";

/** A flag update not yet made, over constants and locals that do not change; operands as for `lazyWords`. */
export interface PendingFlags {
  kind: FlagKind;
  size: number;
  a: Expr;
  b: Expr;
  r: Expr;
}

/** A condition (code >> 1) as 0 or 1, or null when it takes the flags themselves. */
export function pendingCondition(p: PendingFlags, cc: number): Expr | null {
  switch (p.kind) {
    case "raw":
      return cc === 1 ? X.shrU(p.a, X.c32(31)) : null;
    case "sub":
      return afterSub(p, cc) ?? ofResult(p, cc);
    case "logic":
      return afterLogic(p, cc) ?? ofResult(p, cc);
    case "add":
      return afterAdd(p, cc) ?? ofResult(p, cc);
    case "inc":
    case "dec":
      return afterStep(p, cc) ?? ofResult(p, cc);
    default:
      return ofResult(p, cc);
  }
}

/** Operands as signed and unsigned values. */
function signed(p: PendingFlags, v: Expr): Expr {
  return p.size >= 32 ? v : X.wrap(signExtend(p.size, v));
}
function unsigned(p: PendingFlags, v: Expr): Expr {
  return p.size >= 32 ? v : truncate(p.size, v);
}

function afterSub(p: PendingFlags, cc: number): Expr | null {
  switch (cc) {
    case 1:
      return X.ltU(unsigned(p, p.a), unsigned(p, p.b));
    case 2:
      return X.eq(unsigned(p, p.a), unsigned(p, p.b));
    case 3:
      return X.leU(unsigned(p, p.a), unsigned(p, p.b));
    case 6:
      return X.ltS(signed(p, p.a), signed(p, p.b));
    case 7:
      return X.leS(signed(p, p.a), signed(p, p.b));
    default:
      return null;
  }
}

function afterLogic(p: PendingFlags, cc: number): Expr | null {
  if (cc === 0 || cc === 1) return X.c32(0);
  if (cc === 3) return X.eqz(unsigned(p, p.r));
  if (cc === 6) return X.ltS(signed(p, p.r), X.cLike(p.r, 0));
  if (cc === 7) return X.leS(signed(p, p.r), X.cLike(p.r, 0));
  return null;
}

function afterAdd(p: PendingFlags, cc: number): Expr | null {
  if (cc === 1) return X.ltU(unsigned(p, p.r), unsigned(p, p.a));
  if (p.size === 64 || cc < 6) return null;
  const sum = X.add(signExtend(p.size, p.a), signExtend(p.size, p.b));
  return cc === 6 ? X.ltS(sum, X.c64(0)) : X.leS(sum, X.c64(0));
}

/** INC and DEC: `a` is CF from before, `b` the operand. */
function afterStep(p: PendingFlags, cc: number): Expr | null {
  if (cc === 1) return p.a;
  if (cc < 6) return null;
  const limit = p.kind === "inc" ? -1 : 1, v = signed(p, p.b);
  return cc === 6 ? X.ltS(v, X.cLike(v, limit)) : X.leS(v, X.cLike(v, limit));
}

/** ZF, SF and PF depend on the result alone. */
function ofResult(p: PendingFlags, cc: number): Expr | null {
  if (cc === 2) return X.eqz(unsigned(p, p.r));
  if (cc === 4) return X.ltS(signed(p, p.r), X.cLike(p.r, 0));
  if (cc !== 5) return null;
  return X.eqz(X.and(X.popcnt(X.and(X.wrap(p.r), X.c32(0xff))), X.c32(1)));
}
