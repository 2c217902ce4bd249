/**
 * Operands of MMX and SSE instructions in generated code.
 *
 * MMX registers are the low 64 bits of the physical x87 registers; an MMX instruction computes on the low half of a
 * 128-bit value. Alignment: 16-byte memory operands raise #GP(0) unless aligned.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { type Emit, SF_REC_SEG, V128 } from "../emit.ts";
import type { AddrKind, Form, Operand, Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import { Seg } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";

/** SIMD opcode in an expression. */
export const simd = (n: number, ...args: Expr[]): Expr => X.op(V128, 0xfd00 + n, ...args);
/** Lane extraction or replacement. */
export const lane = (t: number, n: number, index: number, ...args: Expr[]): Expr =>
  new X.Expr(t, 0xfd00 + n, args, index);
/** All zeros. */
export const zero = (): Expr => X.c128(new Uint8Array(16));
/** A constant of 16 bytes. */
export const constant = (...bytes: number[]): Expr => X.c128(Uint8Array.from(bytes));
/** i8x16.shuffle of two values by 16 indexes. */
export const shuffle = (a: Expr, b: Expr, indexes: number[]): Expr =>
  new X.Expr(V128, 0xfd0d, [a, b], 0, 0, Uint8Array.from(indexes));
/** The low 64 bits. */
export const lowQword = (v: Expr): Expr => lane(X.c64(0).t, 0x1d, 0, v);
/** A 64-bit integer in the low half, upper half zero. */
export const fromQword = (v: Expr): Expr => lane(V128, 0x1e, 0, zero(), v);

/** True when an operand is an MMX register. */
export const isMmx = (f: Form): boolean => f.ops.some((o) => o.k === "mm");

/**
 * What every MMX instruction does first: a pending x87 exception is raised (#MF), then TOP = 0 and all tags valid.
 */
export function enterMmx(e: Emit, f: Form): void {
  if (!isMmx(f)) return;
  e.unlikely(X.and(e.state(32, L.FSW), X.c32(0x80)), () => e.fault(16));
}
/** The tag and TOP changes, once nothing can fault any more. */
export function commitMmx(e: Emit, f: Form): void {
  if (!isMmx(f)) return;
  e.setState(32, L.FTW, X.c32(0));
  e.setState(32, L.FSW, X.and(e.state(32, L.FSW), X.c32(~0x3800)));
}

/**
 * Linear address of a 16-byte memory operand; `check`: #GP(0) unless it is a multiple of 16, before segment limits are
 * looked at.
 */
export function address16(e: Emit, kind: AddrKind, flags: number, check: boolean): Expr {
  if (!check) return e.ea(kind, 16 | flags);
  const refuse = (low: Expr) => e.unlikely(X.and(low, X.c32(15)), () => e.fault(13, 0));
  if (kind === "G") {
    const seg = e.field8(REC.SEG), code64 = X.eq(X.and(e.state(32, L.MODE), X.c32(3)), X.c32(2));
    const flat = X.and(code64, X.ltU(seg, X.c32(Seg.FS * L.SEG_SIZE)));
    const base = X.select(flat, X.c32(0), X.load(32, seg, L.SEG + L.SEG_BASE));
    refuse(X.add(X.wrap(e.offset()), base));
    return e.ea(kind, 16 | flags);
  }
  const la = e.ea(kind, 16 | flags);
  refuse(X.wrap(la));
  return la;
}

/** An operand as 128 bits; MMX operands and 64-bit memory fill the low half. */
export function readVector(e: Emit, o: Operand, checkAlignment = true): Expr {
  switch (o.k) {
    case "xmm":
      return e.let(X.load(128, e.field8(o.at), L.XMM));
    case "mm":
      return e.let(new X.Expr(V128, 0xfd5d, [e.field8(o.at)], L.FPR));
    case "mem": {
      if (o.size === 128) return e.memRead(128, address16(e, o.addr, 0, checkAlignment), SF_REC_SEG);
      const v = e.memRead(o.size, e.ea(o.addr, o.size >> 3), SF_REC_SEG);
      return e.let(fromQword(X.extU(v)));
    }
    default:
      throw new Error(`Cannot read operand kind ${o.k} as a vector`);
  }
}

/** Writes a register operand: all of an XMM register, or the low half of an MMX one with its exponent all ones. */
export function writeVector(e: Emit, f: Form, o: Operand, v: Expr): void {
  if (o.k === "xmm") return e.store(128, e.field8(o.at), v, L.XMM);
  if (o.k !== "mm") throw new Error(`Cannot write operand kind ${o.k} as a vector`);
  const value = e.let(v);
  commitMmx(e, f);
  e.store(64, e.field8(o.at), lowQword(value), L.FPR);
  e.store(16, e.field8(o.at), X.c32(0xffff), L.FPR + 8);
}

/** dst = fn(dst, src). */
export const binary = (fn: (e: Emit, a: Expr, b: Expr, f: Form) => Expr): Semantic => (e, f) => {
  enterMmx(e, f);
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  writeVector(e, f, f.ops[0], fn(e, a, b, f));
  e.next();
};
