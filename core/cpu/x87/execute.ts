/**
 * The x87 instructions other than those that move whole states: dispatch by opcode and ModRM, stack faults, results
 * (Intel SDM volume 2, and volume 1 chapter 8).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Fl } from "../state.ts";
import * as A from "./arith.ts";
import { classOf, type Ext, INDEFINITE, isNan } from "./ext.ts";
import {
  begin,
  commit,
  commitKeepingC1,
  ctx,
  isEmpty,
  pop,
  setConditions,
  setEmpty,
  setSt,
  st,
  stackFault,
  Sw,
} from "./fpu.ts";
import { fastArith, fastOrder } from "./fast_arith.ts";
import { copyRegister, exchangeRegisters } from "./fast_regs.ts";
import { Ex } from "./round.ts";

/** Clears C1, as every instruction does that neither rounds nor meets a stack fault. */
export function clearC1(c: Core): void {
  c.s.u32[L.FSW >> 2] &= ~Sw.C1;
}

/** The six arithmetic operations by ModRM.reg (2 and 3 are compares). */
export function arithmetic(op: number, a: Ext, b: Ext): Ext {
  switch (op) {
    case 0:
      return A.add(ctx, a, b);
    case 1:
      return A.mul(ctx, a, b);
    case 4:
      return A.add(ctx, a, b, true);
    case 5:
      return A.add(ctx, b, a, true);
    case 6:
      return A.div(ctx, a, b);
    default:
      return A.div(ctx, b, a);
  }
}

/** Exceptions that keep a result from being stored when they are not masked. */
export const BEFORE = Ex.IE | Ex.DE | Ex.ZE;

/** Stores a result in ST(dest) unless an exception forbids, pops if asked, and sets the status word. */
export function deliver(c: Core, dest: number, v: Ext, popAfter = false): void {
  if (!ctx.unmasked(BEFORE)) {
    setSt(c, dest, v);
    if (popAfter) pop(c);
  }
  commit(c);
}

/** Stack underflow: the indefinite goes to ST(dest) when masked. */
export function underflow(c: Core, dest: number, popAfter = false): void {
  if (stackFault(false)) {
    setSt(c, dest, INDEFINITE);
    if (popAfter) pop(c);
  }
  commit(c);
}

/** ST(0) op memory operand. */
export function arithMemory(c: Core, op: number, b: Ext, denormal: boolean): void {
  if ((op & 6) === 2) return compareWith(c, b, true, op === 3 ? 1 : 0, denormal);
  begin(c);
  if (isEmpty(c, 0)) return underflow(c, 0);
  deliver(c, 0, withMemory(op, st(c, 0), b, denormal));
}

/** A denormal in memory was normalised by widening: DE is due unless something of higher priority settles it. */
function withMemory(op: number, a: Ext, b: Ext, denormal: boolean): Ext {
  const v = arithmetic(op, a, b);
  if (denormal && !(ctx.flags & (Ex.IE | Ex.ZE)) && !isNan(classOf(a))) {
    ctx.flags |= Ex.DE;
    if (ctx.unmasked(Ex.DE)) {
      ctx.flags &= BEFORE;
      ctx.roundedUp = false;
    }
  }
  return v;
}

/** Register form: ST(dest) = ST(dest) op ST(src), `op` as ModRM.reg of D8 says. */
export function arithRegister(c: Core, op: number, dest: number, src: number, popAfter: boolean): void {
  if (fastArith(c, op, dest, src)) {
    if (popAfter) pop(c);
    return;
  }
  begin(c);
  if (isEmpty(c, dest) || isEmpty(c, src)) return underflow(c, dest, popAfter);
  deliver(c, dest, arithmetic(op, st(c, dest), st(c, src)), popAfter);
}

/** FCOM and FUCOM families: `signalQuiet` for the ordered ones. */
export function compareWith(c: Core, b: Ext, signalQuiet: boolean, pops: number, denormal = false): void {
  begin(c);
  if (isEmpty(c, 0)) return compareEmpty(c, pops);
  const order = A.compare(ctx, st(c, 0), b, signalQuiet);
  if (denormal && order !== A.Order.UNORDERED) ctx.flags |= Ex.DE;
  setConditions(c, order);
  if (!ctx.unmasked(BEFORE)) { for (let n = 0; n < pops; n++) pop(c); }
  commit(c);
}

function compareEmpty(c: Core, pops: number): void {
  const masked = stackFault(false);
  setConditions(c, A.Order.UNORDERED);
  if (masked) { for (let n = 0; n < pops; n++) pop(c); }
  commit(c);
}

/** Register form of `compareWith`. */
export function compareRegister(c: Core, src: number, signalQuiet: boolean, pops: number): void {
  const order = fastOrder(c, src);
  if (order >= 0) {
    setConditions(c, order);
    clearC1(c);
    for (let n = 0; n < pops; n++) pop(c);
    return;
  }
  begin(c);
  if (isEmpty(c, 0) || isEmpty(c, src)) return compareEmpty(c, pops);
  compareWith(c, st(c, src), signalQuiet, pops);
}

/** FCOMI, FUCOMI and their popping forms: the order goes to EFLAGS. */
export function compareToFlags(c: Core, src: number, signalQuiet: boolean, popAfter: boolean): void {
  if (!c.policy.has("cmov")) raise(Vec.UD);
  begin(c);
  let order = fastOrder(c, src);
  if (order >= 0) ctx.flags = 0;
  else if (isEmpty(c, 0) || isEmpty(c, src)) {
    stackFault(false);
    order = A.Order.UNORDERED;
  } else order = A.compare(ctx, st(c, 0), st(c, src), signalQuiet);
  const six = Fl.CF | Fl.PF | Fl.AF | Fl.ZF | Fl.SF | Fl.OF;
  c.s.flags = (c.s.flags & ~six | order) >>> 0;
  if (popAfter && !ctx.unmasked(BEFORE)) pop(c);
  commitKeepingC1(c);
}

/** FCMOVcc: `cc` 0 below, 1 equal, 2 below or equal, 3 unordered; `negated` for the N forms. */
export function conditionalMove(c: Core, cc: number, negated: boolean, src: number): void {
  if (!c.policy.has("cmov")) raise(Vec.UD);
  begin(c);
  if (isEmpty(c, 0) || isEmpty(c, src)) return underflow(c, 0);
  const f = c.s.flags, mask = [Fl.CF, Fl.ZF, Fl.CF | Fl.ZF, Fl.PF][cc];
  if (((f & mask) !== 0) !== negated) copyRegister(c, src, 0);
}

/** FXCH. Empty registers become the indefinite first. */
export function exchange(c: Core, i: number): void {
  begin(c);
  const emptyA = isEmpty(c, 0), emptyB = isEmpty(c, i);
  if (emptyA || emptyB) {
    if (!stackFault(false)) return commit(c);
    if (emptyA) setSt(c, 0, INDEFINITE);
    if (emptyB) setSt(c, i, INDEFINITE);
  }
  exchangeRegisters(c, i);
  commit(c);
}

/** FST ST(i), FSTP ST(i). */
export function storeRegister(c: Core, i: number, popAfter: boolean): void {
  begin(c);
  if (isEmpty(c, 0)) return underflow(c, i, popAfter);
  copyRegister(c, 0, i);
  setEmpty(c, i, false);
  if (popAfter) pop(c);
  clearC1(c);
}

/** FSTP1 (D9 D8): as FSTP, but an empty ST(0) is popped without an exception and nothing is stored. */
export function storeRegisterQuietly(c: Core, i: number): void {
  if (!isEmpty(c, 0)) {
    copyRegister(c, 0, i);
    setEmpty(c, i, false);
  }
  pop(c);
  clearC1(c);
}

/** FXAM: class in C3, C2, C0, sign in C1; an empty register has its class and the sign of what it last held. */
export function examine(c: Core): void {
  const a = st(c, 0);
  let order: number;
  if (isEmpty(c, 0)) order = 0x41;
  else if (a.exp === 0) order = a.sig === 0n ? 0x40 : 0x44;
  else if (a.sig >> 63n === 0n) order = 0;
  else if (a.exp !== 0x7fff) order = 4;
  else order = a.sig << 1n & (1n << 64n) - 1n ? 1 : 5;
  setConditions(c, order);
  const w = L.FSW >> 2;
  c.s.u32[w] = c.s.u32[w] & ~0x200 | a.sign << 9;
}
