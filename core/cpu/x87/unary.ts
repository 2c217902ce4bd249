/**
 * The D9 E0-FF group: sign, constants, transcendental and partial operations on ST(0) and ST(1).
 *
 * @module
 */
import type { Core } from "../core.ts";
import { sqrt } from "./arith.ts";
import { type Ext, ext, INDEFINITE, ONE, ZEROES } from "./ext.ts";
import { BEFORE, compareWith, deliver, examine, underflow } from "./execute.ts";
import { begin, commit, ctx, isEmpty, push, pushRaw, setSt, setTop, st, stackFault, Sw, top } from "./fpu.ts";
import { extract, remainder, roundToIntegral, scale } from "./partial.ts";
import { type FpContext, Rc } from "./round.ts";
import { f2xm1, fpatan, fyl2x, fyl2xp1, trig, TrigKind } from "./transcendental.ts";
import * as L from "../../layout.ts";

/** Significands of log2(10), log2(e), pi, log10(2), ln(2) truncated to 64 bits; whether the next bit is a one. */
const CONSTANTS: readonly (readonly [exp: number, sig: bigint, roundsUp: boolean])[] = [
  [0x4000, 0xd49a_784b_cd1b_8afen, false],
  [0x3fff, 0xb8aa_3b29_5c17_f0bbn, true],
  [0x4000, 0xc90f_daa2_2168_c234n, true],
  [0x3ffd, 0x9a20_9a84_fbcf_f798n, true],
  [0x3ffe, 0xb172_17f7_d1cf_79abn, true],
];

/** FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ by ModRM.rm; rounded by the rounding control. */
function constant(c: Core, n: number): void {
  begin(c);
  let v: Ext = n === 0 ? ONE : ZEROES[0];
  if (n > 0 && n < 6) {
    const [exp, sig, nearestUp] = CONSTANTS[n - 1];
    const up = ctx.rc === Rc.UP || (ctx.rc === Rc.NEAREST && nearestUp);
    v = ext(0, exp, up ? sig + 1n : sig);
  }
  push(c, v);
}

/** ST(0) = f(ST(0)). */
function unary(c: Core, f: (x: FpContext, a: Ext) => Ext): void {
  begin(c);
  if (isEmpty(c, 0)) return underflow(c, 0);
  deliver(c, 0, f(ctx, st(c, 0)));
}

/** ST(1) = f(ST(0), ST(1)), pop. */
function binaryPop(c: Core, f: (x: FpContext, a: Ext, b: Ext) => Ext): void {
  begin(c);
  if (isEmpty(c, 0) || isEmpty(c, 1)) return underflow(c, 1, true);
  deliver(c, 1, f(ctx, st(c, 0), st(c, 1)), true);
}

function setC2(c: Core, on: boolean): void {
  const w = L.FSW >> 2;
  c.s.u32[w] = c.s.u32[w] & ~Sw.C2 | (on ? Sw.C2 : 0);
}

function prem(c: Core, nearest: boolean): void {
  begin(c);
  setC2(c, false);
  if (isEmpty(c, 0) || isEmpty(c, 1)) return underflow(c, 0);
  const r = remainder(ctx, st(c, 0), st(c, 1), nearest), q = r.quotient;
  deliver(c, 0, r.value);
  if (ctx.unmasked(BEFORE) || q < 0) return;
  const w = L.FSW >> 2;
  c.s.u32[w] = c.s.u32[w] & ~(Sw.C0 | Sw.C1 | Sw.C2 | Sw.C3) | (r.complete ? 0 : Sw.C2) |
    (q & 4 ? Sw.C0 : 0) | (q & 2 ? Sw.C3 : 0) | (q & 1 ? Sw.C1 : 0);
}

/** Begins an instruction that replaces ST(0) and pushes; false when the stack forbids it, which has been dealt with. */
function beginPush(c: Core): boolean {
  const full = !isEmpty(c, 7), empty = isEmpty(c, 0);
  if (!empty && !full) return true;
  if (stackFault(full && !empty)) {
    setSt(c, 0, INDEFINITE);
    pushRaw(c, INDEFINITE);
  }
  commit(c);
  return false;
}

/** FPTAN, FSINCOS: two results, the second pushed. */
function trigPush(c: Core, kind: number): void {
  begin(c);
  setC2(c, false);
  if (!beginPush(c)) return;
  const r = trig(ctx, st(c, 0), kind);
  if (!r.inRange) setC2(c, true);
  else if (!ctx.unmasked(BEFORE)) {
    setSt(c, 0, r.sin);
    pushRaw(c, r.cos);
  }
  commit(c);
}

/** FSIN, FCOS. */
function trigOne(c: Core, kind: number): void {
  begin(c);
  setC2(c, false);
  if (isEmpty(c, 0)) return underflow(c, 0);
  const r = trig(ctx, st(c, 0), kind);
  if (!r.inRange) {
    setC2(c, true);
    commit(c);
  } else deliver(c, 0, kind === TrigKind.SIN ? r.sin : r.cos);
}

function xtract(c: Core): void {
  begin(c);
  if (!beginPush(c)) return;
  const r = extract(ctx, st(c, 0));
  if (!ctx.unmasked(BEFORE)) {
    setSt(c, 0, r.exponent);
    pushRaw(c, r.significand);
  }
  commit(c);
}

/** FCHS, FABS: no exception but stack underflow, whatever the operand. */
function sign(c: Core, change: boolean): void {
  begin(c);
  if (isEmpty(c, 0)) return underflow(c, 0);
  const at = (L.FPR >> 2) + top(c) * 4 + 2;
  c.s.u32[at] = change ? c.s.u32[at] ^ 0x8000 : c.s.u32[at] & 0x7fff;
  commit(c);
}

function scaleSt(c: Core): void {
  begin(c);
  if (isEmpty(c, 0) || isEmpty(c, 1)) return underflow(c, 0);
  deliver(c, 0, scale(ctx, st(c, 0), st(c, 1)));
}

function moveTop(c: Core, by: number): void {
  begin(c);
  setTop(c, top(c) + by);
  commit(c);
}

/** D9 E0 to D9 FF by the low five bits of ModRM; what is missing is undefined or loads a constant. */
const GROUP: Readonly<Record<number, (c: Core) => void>> = {
  0x00: (c) => sign(c, true),
  0x01: (c) => sign(c, false),
  0x04: (c) => compareWith(c, ZEROES[0], true, 0),
  0x05: examine,
  0x10: (c) => unary(c, f2xm1),
  0x11: (c) => binaryPop(c, fyl2x),
  0x12: (c) => trigPush(c, TrigKind.TAN),
  0x13: (c) => binaryPop(c, fpatan),
  0x14: xtract,
  0x15: (c) => prem(c, true),
  0x16: (c) => moveTop(c, -1),
  0x17: (c) => moveTop(c, 1),
  0x18: (c) => prem(c, false),
  0x19: (c) => binaryPop(c, fyl2xp1),
  0x1a: (c) => unary(c, sqrt),
  0x1b: (c) => trigPush(c, TrigKind.BOTH),
  0x1c: (c) => unary(c, roundToIntegral),
  0x1d: scaleSt,
  0x1e: (c) => trigOne(c, TrigKind.SIN),
  0x1f: (c) => trigOne(c, TrigKind.COS),
};

/** D9 E0 to D9 FF by the low five bits of ModRM; false for an undefined encoding. */
export function unaryGroup(c: Core, n: number): boolean {
  const operation = GROUP[n];
  if (operation) operation(c);
  else if (n >= 0x08 && n <= 0x0e) constant(c, n - 8);
  else return false;
  return true;
}
