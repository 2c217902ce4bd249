/**
 * The x87 instructions that programs are made of, on normal numbers and zeros; what these functions do not cover they leave to
 * the system operation of the record (`core/cpu/x87/`). Source: Intel SDM volume 2, and volume 1 chapter 8.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { MODE_MMX } from "../decode/mode_bits.ts";
import { type Emit, type Helper, SF_REC_SEG, SF_WRITE } from "../emit.ts";
import type { Form, Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import { Leave } from "../leave.ts";
import { Seg } from "../state.ts";
import { I32, I64 } from "../../wasm/module.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { setLazy, signExtend } from "./flags.ts";
import {
  C1,
  ES,
  fromFloat,
  fromInteger,
  OPERATIONS,
  order,
  signExponent,
  significand,
  storeNumber,
  toFloat,
  toFloatFlags,
  unusualControl,
} from "./x87_numbers.ts";

const TOP = 0x3800;

/** Leaves to the system operation of the record. */
const otherwise = (e: Emit, cond: Expr): void => e.unlikely(cond, () => e.leave(Leave.SYS));

/** What all these instructions ask first: is the FPU there, is no exception pending, may memory be read twice? */
function enter(e: Emit): void {
  const absent = X.xor(X.and(X.shrU(e.state(32, L.MODE), X.c32(Math.log2(MODE_MMX))), X.c32(1)), X.c32(1));
  otherwise(e, X.or(X.or(absent, e.state(32, L.ALONE)), X.and(e.state(32, L.FSW), X.c32(ES))));
}

/** Number of the physical register of ST(i). */
const physical = (e: Emit, i: Expr): Expr => X.and(X.add(X.shrU(e.state(32, L.FSW), X.c32(11)), i), X.c32(7));
/** Byte offset of ST(i) from FPR. */
const offset = (e: Emit, i: Expr): Expr => e.let(X.shl(physical(e, i), X.c32(4)));
/** Two tag bits of ST(i) in their place, all ones. */
const tagMask = (e: Emit, i: Expr): Expr => X.shl(X.c32(3), X.shl(physical(e, i), X.c32(1)));
/** True when ST(i) is empty. */
function isEmpty(e: Emit, i: Expr): Expr {
  const mask = e.let(tagMask(e, i));
  return X.eq(X.and(e.state(32, L.FTW), mask), mask);
}

/** Pops the register stack. */
function pop(e: Emit): void {
  e.setState(32, L.FTW, X.or(e.state(32, L.FTW), tagMask(e, X.c32(0))));
  moveTop(e, 1, 0);
}
/** Moves TOP, and clears status bits. */
function moveTop(e: Emit, by: number, clear: number): void {
  const top = X.and(X.add(e.state(32, L.FSW), X.c32(by << 11)), X.c32(TOP));
  e.setState(32, L.FSW, X.or(X.and(e.state(32, L.FSW), X.c32(~(TOP | clear))), top));
}
function clearC1(e: Emit): void {
  e.setState(32, L.FSW, X.and(e.state(32, L.FSW), X.c32(~C1)));
}

/** Records where the instruction is, and where its memory operand. */
function remember(e: Emit, la: Expr | null = null): void {
  const selector = (seg: Expr) => X.load(32, seg, L.SEG + L.SEG_SEL), code = e.field32(REC.IMM);
  e.setState(64, L.FIP, e.rip());
  e.setState(32, L.FCS, selector(X.c32(Seg.CS * L.SEG_SIZE)));
  const opcode = X.or(X.shl(X.and(code, X.c32(7)), X.c32(8)), X.and(X.shrU(code, X.c32(8)), X.c32(0xff)));
  e.setState(32, L.FOP, opcode);
  if (la === null) return;
  e.setState(64, L.FDP, la);
  e.setState(32, L.FDS, selector(e.field8(REC.SEG)));
}

/** ModRM.rm of a register form. */
const register = (e: Emit): Expr => X.and(X.shrU(e.field32(REC.IMM), X.c32(8)), X.c32(7));

/** (significand, sign and exponent) -> done: pushes a number. */
const push: Helper = {
  key: "x87 push",
  params: [I64, I32],
  results: [I32],
  fill(e, [sig, se]) {
    e.unlikely(X.eqz(isEmpty(e, X.c32(7))), () => {
      e.push(X.c32(0));
      e.ret();
    });
    moveTop(e, -1, C1);
    e.setState(32, L.FTW, X.and(e.state(32, L.FTW), X.not(tagMask(e, X.c32(0)))));
    storeNumber(e, offset(e, X.c32(0)), sig, se);
    e.push(X.c32(1));
  },
};

/** Function for ST(dest) = ST(dest) op number: (dest, significand, sign and exponent) -> done. */
const apply = (op: string): Helper => ({
  key: `x87 apply ${op}`,
  params: [I32, I64, I32],
  results: [I32],
  fill(e, [dest, sig, se]) {
    const o = OPERATIONS[op], number = o.flipNumber ? X.xor(se, X.c32(0x8000)) : se;
    e.unlikely(X.or(isEmpty(e, dest), unusualControl(e)), () => {
      e.push(X.c32(0));
      e.ret();
    });
    e.push(X.callX(I32, e.helper(o.helper), offset(e, dest), sig, number, X.c32(o.last)));
  },
});

/** The memory operand: its address as the instruction gives it; "G" addresses are left to the system operation. */
function address(e: Emit, f: Form, flags = 0): Expr | null {
  const o = f.ops[0];
  if (o.k !== "mem" || o.addr === "G") return null;
  return e.ea(o.addr, o.size >> 3 | flags);
}

/** Reads the memory operand as a number. */
function operand(e: Emit, f: Form, integer: boolean): { la: Expr; sig: Expr; se: Expr; valid: Expr } | null {
  const size = f.ops[0].size, la = address(e, f);
  if (la === null) return null;
  const bits = e.memRead(size, la, SF_REC_SEG);
  return { la, ...(integer ? fromInteger(e, e.let(signExtend(size, bits))) : fromFloat(e, bits)) };
}

/** FLD m32/m64, FILD. */
const loads = (integer: boolean): Semantic => (e, f) => {
  enter(e);
  const v = operand(e, f, integer);
  if (v === null) return e.leave(Leave.SYS);
  otherwise(e, X.eqz(v.valid));
  otherwise(e, X.eqz(X.callX(I32, e.helper(push), v.sig, v.se)));
  remember(e, v.la);
  e.next();
};

/** FADD m and its like; FCOM m, FCOMP m. `sub` is ModRM.reg. */
const withMemory = (integer: boolean): Semantic => (e, f) => {
  enter(e);
  const v = operand(e, f, integer), op = OPERATION[f.sub];
  if (v === null) return e.leave(Leave.SYS);
  otherwise(e, X.eqz(v.valid));
  if (op === "") compare(e, X.c32(0), v.sig, v.se, f.sub - 2);
  else otherwise(e, X.eqz(X.callX(I32, e.helper(apply(op)), X.c32(0), v.sig, v.se)));
  remember(e, v.la);
  e.next();
};

/** Operations by ModRM.reg of D8; "": compares. */
const OPERATION = ["add", "mul", "", "", "sub", "subr", "div", "divr"];

/** Sets the condition codes from ST(0) and a number, and pops. */
function compare(e: Emit, at: Expr, sig: Expr, se: Expr, pops: number): void {
  otherwise(e, isEmpty(e, at));
  const found = e.let(X.callX(I32, e.helper(order), offset(e, at), sig, se));
  otherwise(e, X.ltS(found, X.c32(0)));
  const kept = X.and(e.state(32, L.FSW), X.c32(~(0x4500 | C1)));
  e.setState(32, L.FSW, X.or(kept, X.shl(found, X.c32(8))));
  for (let n = 0; n < pops; n++) pop(e);
}

/** FADD ST, ST(i) and its like: `sub` is ModRM.reg as D8 has it, + 8: the destination is ST(i), + 16: and pop. */
const withRegister: Semantic = (e, f) => {
  enter(e);
  const i = e.let(register(e)), op = OPERATION[f.sub & 7], toI = (f.sub & 8) !== 0;
  const [dest, source] = toI ? [i, X.c32(0)] : [X.c32(0), i], at = offset(e, source);
  otherwise(e, isEmpty(e, source));
  const done = X.callX(I32, e.helper(apply(op)), dest, significand(at), signExponent(at));
  otherwise(e, X.eqz(done));
  if (f.sub & 16) pop(e);
  remember(e);
  e.next();
};

/** FCOM, FUCOM and their popping forms: `sub` is how often to pop. */
const compares: Semantic = (e, f) => {
  enter(e);
  const i = e.let(register(e)), at = offset(e, i);
  otherwise(e, isEmpty(e, i));
  compare(e, X.c32(0), significand(at), signExponent(at), f.sub);
  remember(e);
  e.next();
};

/** FCOMI, FUCOMI (`sub` 0) and their popping forms (1): ZF and CF; the others are clear. */
const comparesToFlags: Semantic = (e, f) => {
  enter(e);
  const i = e.let(register(e)), at = offset(e, i);
  otherwise(e, X.or(isEmpty(e, i), isEmpty(e, X.c32(0))));
  const call = X.callX(I32, e.helper(order), offset(e, X.c32(0)), significand(at), signExponent(at));
  const found = e.let(call);
  otherwise(e, X.ltS(found, X.c32(0)));
  const equal = e.let(X.shrU(found, X.c32(6))), less = e.let(X.and(found, X.c32(1)));
  if (f.sub) pop(e);
  remember(e);
  const carry = X.or(X.shl(less, X.c32(31)), X.shl(less, X.c32(30)));
  setLazy(e, X.extU(X.xor(equal, X.c32(1))), X.or(carry, X.shl(equal, X.c32(8))));
  e.next();
};

/** FLD ST(i). */
const loadRegister: Semantic = (e) => {
  enter(e);
  const i = e.let(register(e)), at = offset(e, i);
  otherwise(e, isEmpty(e, i));
  otherwise(e, X.eqz(X.callX(I32, e.helper(push), significand(at), signExponent(at))));
  remember(e);
  e.next();
};

/** FLD1 (ModRM.rm 0), FLDZ (6); the other constants depend on the rounding control. */
const loadConstant: Semantic = (e) => {
  enter(e);
  const rm = e.let(register(e)), one = X.eqz(rm);
  otherwise(e, X.and(X.ne(rm, X.c32(0)), X.ne(rm, X.c32(6))));
  const sig = X.select(one, X.c64w(0, 0x8000_0000), X.c64(0)), se = X.select(one, X.c32(0x3fff), X.c32(0));
  otherwise(e, X.eqz(X.callX(I32, e.helper(push), sig, se)));
  remember(e);
  e.next();
};

/** FCHS (ModRM.rm 0), FABS (1). */
const signs: Semantic = (e) => {
  enter(e);
  const rm = e.let(register(e)), at = offset(e, X.c32(0));
  otherwise(e, X.or(X.gtU(rm, X.c32(1)), isEmpty(e, X.c32(0))));
  const se = e.let(signExponent(at));
  e.store(32, at, X.select(rm, X.and(se, X.c32(0x7fff)), X.xor(se, X.c32(0x8000))), L.FPR + 8);
  clearC1(e);
  remember(e);
  e.next();
};

/** FXCH. */
const exchange: Semantic = (e) => {
  enter(e);
  const i = e.let(register(e)), a = offset(e, X.c32(0)), b = offset(e, i);
  otherwise(e, X.or(isEmpty(e, X.c32(0)), isEmpty(e, i)));
  const as = e.let(significand(a)), ae = e.let(X.load(32, a, L.FPR + 8));
  storeNumber(e, a, significand(b), X.load(32, b, L.FPR + 8));
  storeNumber(e, b, as, ae);
  clearC1(e);
  remember(e);
  e.next();
};

/** FST ST(i) (`sub` 0), FSTP ST(i) (1). */
const storeRegister: Semantic = (e, f) => {
  enter(e);
  const i = e.let(register(e)), a = offset(e, X.c32(0)), b = offset(e, i);
  otherwise(e, isEmpty(e, X.c32(0)));
  storeNumber(e, b, significand(a), X.load(32, a, L.FPR + 8));
  e.setState(32, L.FTW, X.and(e.state(32, L.FTW), X.not(tagMask(e, i))));
  if (f.sub) pop(e);
  clearC1(e);
  remember(e);
  e.next();
};

/** FST m32/m64 (`sub` 2), FSTP (3). */
const storeFloat: Semantic = (e, f) => {
  enter(e);
  const size = f.ops[0].size, double = X.c32(size === 64 ? 1 : 0), a = offset(e, X.c32(0));
  otherwise(e, isEmpty(e, X.c32(0)));
  const sig = e.let(significand(a));
  const bits = e.let(X.callX(I64, e.helper(toFloat), sig, signExponent(a), double));
  otherwise(e, X.eq(bits, X.c64(-1)));
  const la = address(e, f, SF_WRITE);
  if (la === null) return e.leave(Leave.SYS);
  e.memWrite(size, la, size === 64 ? bits : X.wrap(bits), SF_REC_SEG);
  if (f.sub === 3) pop(e);
  const flags = X.callX(I32, e.helper(toFloatFlags), sig, double);
  e.setState(32, L.FSW, X.or(X.and(e.state(32, L.FSW), X.c32(~C1)), flags));
  remember(e, la);
  e.next();
};

/** Semantic functions of this family. */
export const x87: Record<string, Semantic> = {
  x87_load: loads(false),
  x87_load_int: loads(true),
  x87_memory: withMemory(false),
  x87_memory_int: withMemory(true),
  x87_register: withRegister,
  x87_compare: compares,
  x87_compare_flags: comparesToFlags,
  x87_load_register: loadRegister,
  x87_constant: loadConstant,
  x87_sign: signs,
  x87_exchange: exchange,
  x87_store_register: storeRegister,
  x87_store: storeFloat,
};
