/**
 * PUSH, POP, near CALL and RET, LEAVE, PUSHA, POPA. Source: Intel SDM volume 2.
 *
 * The stack pointer changes only after every access has succeeded.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { type Emit, SF_REC_SEG, SF_RMW, SF_STACK, SF_WRITE } from "../emit.ts";
import type { Form, Operand, Semantic } from "../form.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { REC } from "../insn.ts";
import { Vec } from "../hooks.ts";
import { Attr, Gpr, Seg } from "../state.ts";

const SS = Seg.SS * L.SEG_SIZE, CS = Seg.CS * L.SEG_SIZE;

/** True (i32) when SS.B is set: the stack pointer is ESP rather than SP. */
const stack32 = (e: Emit): Expr =>
  X.and(X.shrU(e.state(32, L.SEG + SS + L.SEG_ATTR), X.c32(Math.log2(Attr.DB))), X.c32(1));

/** The stack offset: `rsp + delta` wrapped to the stack width, as i64. */
export function stackOffset(e: Emit, f: Form, delta: Expr): Expr {
  const sum = X.add(e.gpr(Gpr.SP, 64), delta);
  if (f.stack === "L") return e.let(sum);
  if (f.stack === "F") return e.let(X.extU(X.wrap(sum)));
  return e.let(X.and(sum, X.select(stack32(e), X.c64(0xffff_ffff), X.c64(0xffff))));
}

/** Linear address of a stack offset. */
function stackLinear(e: Emit, f: Form, offset: Expr, sizeFlags: number): Expr {
  if (f.stack !== "G") return offset;
  return e.let(X.callX(X.c64(0).t, e.rt.segLinear, X.c32(SS), offset, X.c32(sizeFlags | SF_STACK)));
}

/** Writes the stack pointer from an offset: RSP, ESP (zero-extended) or SP (merged). */
function setStackPointer(e: Emit, f: Form, offset: Expr): void {
  if (f.stack === "G") {
    e.if(stack32(e), () => e.setGpr(Gpr.SP, 64, offset), () => e.setGpr(Gpr.SP, 16, X.wrap(offset)));
  } else e.setGpr(Gpr.SP, 64, offset);
}

/** Pushes a value of `size` bits; `check` may still fault when the value is in memory and the pointer unmoved. */
export function push(e: Emit, f: Form, size: number, v: Expr, check?: () => void): void {
  const value = e.let(v);
  const off = stackOffset(e, f, X.c64(-(size >> 3)));
  e.memWrite(size, stackLinear(e, f, off, size >> 3 | SF_WRITE), value, SF_STACK);
  check?.();
  setStackPointer(e, f, off);
}

/** Reads `size` bits at the top of the stack plus `at` bytes; does not move the pointer. */
function peek(e: Emit, f: Form, size: number, at: number): Expr {
  const off = stackOffset(e, f, X.c64(at));
  return e.memRead(size, stackLinear(e, f, off, size >> 3), SF_STACK);
}

/** Moves the stack pointer up. */
export function release(e: Emit, f: Form, bytes: Expr): void {
  setStackPointer(e, f, stackOffset(e, f, bytes));
}

/** PUSH r/m or immediate (the decoder sign-extends immediates to the operand size). */
const pushOp: Semantic = (e, f) => {
  push(e, f, f.size, e.read(f.ops[0]));
  e.next();
};

/**
 * POP: the pointer is incremented before a memory destination's address is computed (POP [ESP] uses the new value),
 * and restored when the store faults.
 */
const popOp: Semantic = (e, f) => {
  const v = peek(e, f, f.size, 0);
  const dst: Operand = f.ops[0];
  if (dst.k !== "mem") {
    release(e, f, X.c64(f.size >> 3));
    e.write(dst, v);
    return e.next();
  }
  const saved = e.mutable(e.gpr(Gpr.SP, 64));
  release(e, f, X.c64(f.size >> 3));
  const la = e.ea(dst.addr, f.size >> 3 | SF_WRITE);
  const after = e.mutable(e.gpr(Gpr.SP, 64));
  e.setGpr(Gpr.SP, 64, saved);
  e.memWrite(f.size, la, v, SF_REC_SEG);
  e.setGpr(Gpr.SP, 64, after);
  e.next();
};

/** Faults unless a branch target is canonical, or within the segment's limit. */
function checkTarget(e: Emit, f: Form, t: Expr): void {
  if (f.code64) e.checkCanonical(t);
  else e.if(X.gtU(X.wrap(t), e.state(32, L.SEG + CS + L.SEG_LIMIT)), () => e.fault(Vec.GP, 0));
}

/** A branch target read from a register or memory operand, as a 64-bit RIP. */
function target(e: Emit, f: Form, v: Expr): Expr {
  const t = e.let(X.extU(v));
  checkTarget(e, f, t);
  return t;
}

const callRel: Semantic = (e, f) => {
  const next = e.nextRip();
  push(e, f, f.size, f.size === 64 ? next : X.wrap(next));
  e.jumpLinked(REC.DISP, e.field64(REC.IMM));
};
const callInd: Semantic = (e, f) => {
  const t = e.let(X.extU(e.read(f.ops[0])));
  const next = e.nextRip();
  // The return address is stored before the target is looked at.
  push(e, f, f.size, f.size === 64 ? next : X.wrap(next), () => checkTarget(e, f, t));
  e.jumpTo(t);
};
const jmpInd: Semantic = (e, f) => {
  e.jumpTo(target(e, f, e.read(f.ops[0])));
};
/** RET and RET imm16 (the immediate is zero without one). */
const ret: Semantic = (e, f) => {
  const t = target(e, f, peek(e, f, f.size, 0));
  release(e, f, X.add(X.c64(f.size >> 3), f.sub ? X.extU(e.imm(16)) : X.c64(0)));
  e.jumpTo(t);
};

/** LEAVE: the frame pointer at the stack width addresses the saved one. */
const leave: Semantic = (e, f) => {
  const bp = e.gpr(Gpr.BP, 64);
  const off = e.let(
    f.stack === "L"
      ? bp
      : f.stack === "F"
      ? X.extU(X.wrap(bp))
      : X.and(bp, X.select(stack32(e), X.c64(0xffff_ffff), X.c64(0xffff))),
  );
  const v = e.memRead(f.size, stackLinear(e, f, off, f.size >> 3), SF_STACK);
  setStackPointer(e, f, off);
  release(e, f, X.c64(f.size >> 3));
  e.setGpr(Gpr.BP, f.size, v);
  e.next();
};

/** PUSHA/POPA (32-bit modes): all stores or loads first, the registers afterwards. */
const pusha: Semantic = (e, f) => {
  const bytes = f.size >> 3;
  const last = stackOffset(e, f, X.c64(-8 * bytes));
  // Both ends are probed first, in the order of the pushes, so that a fault leaves memory as it was.
  for (const i of [0, 7]) {
    const off = stackOffset(e, f, X.c64(-(i + 1) * bytes));
    e.memProbeWrite(f.size, stackLinear(e, f, off, bytes | SF_WRITE | SF_RMW), SF_STACK);
  }
  for (let i = 0; i < 8; i++) {
    const off = stackOffset(e, f, X.c64(-(i + 1) * bytes));
    e.memWrite(f.size, stackLinear(e, f, off, bytes | SF_WRITE), e.gpr(i, f.size), SF_STACK);
  }
  setStackPointer(e, f, last);
  e.next();
};
const popa: Semantic = (e, f) => {
  const bytes = f.size >> 3;
  const values: Expr[] = [];
  for (let i = 0; i < 8; i++) values.push(i === 3 ? X.c32(0) : peek(e, f, f.size, i * bytes));
  release(e, f, X.c64(8 * bytes));
  for (let i = 0; i < 8; i++) if (i !== 3) e.setGpr(7 - i, f.size, values[i]);
  e.next();
};

/** Semantic functions of this family. */
export const stack: Record<string, Semantic> = {
  push: pushOp,
  pop: popOp,
  call: callRel,
  call_ind: callInd,
  jmp_ind: jmpInd,
  ret,
  leave,
  pusha,
  popa,
};
