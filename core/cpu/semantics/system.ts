/**
 * The common cases of instructions that system operations execute in full: what these functions do not cover they leave
 * to them. A case is left before anything has changed, and memory is touched only where that needs no slow path.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { Direct } from "../core.ts";
import { type Emit, F64, I64, SF_WRITE } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { OPF_MASK, REC, REC_SIZE } from "../insn.ts";
import { Leave } from "../leave.ts";
import { Cr4, Fl, Gpr, Seg } from "../state.ts";
import { SYS_OPS, type SysOpName } from "../system/ops.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { overflow, setArithmetic } from "./flags.ts";
import { flagsByte } from "./move.ts";
import { push, release, stackOffset } from "./stack.ts";

/** Leaves to the system operation of the record. */
export const otherwise = (e: Emit, cond: Expr): void => e.unlikely(cond, () => e.leave(Leave.SYS));

/** Leaves unless nobody intercepts the instruction; `bit` is one of `Direct`. */
export const unlessDirect = (e: Emit, bit: number): void =>
  otherwise(e, X.eqz(X.and(e.state(32, L.DIRECT), X.c32(bit))));

/**
 * Host offset of `bytes` at a linear address; leaves unless they can be accessed directly. Engines that tell of accesses
 * (`bulk` false) learn of them from the system operation: they always leave. @param set TLB set; left out: the one in use
 */
export function direct(e: Emit, la: Expr, bytes: number, tag: number, set?: Expr): Expr {
  if (!e.bulk) otherwise(e, X.c32(1));
  otherwise(e, X.eqz(e.isDirect(la, tag, bytes, set)));
  return e.directHost(la, set);
}

/** Flags that POPF and IRET load into the word `FLAGS` at privilege level 0 whatever they were; RF is IRET's alone. */
export const SYSTEM_FLAGS = 0x3f_7700 & ~(Fl.VM | Fl.RF);

/** All of RFLAGS but what the lazy flags do not hold. */
export function arithmetic(e: Emit): Expr {
  return X.or(flagsByte(e), X.shl(overflow(e), X.c32(11)));
}

/** PUSHF outside virtual-8086 mode, not intercepted: RF and VM are pushed clear. */
const pushf: Semantic = (e, f) => {
  const rest = e.let(e.state(32, L.FLAGS));
  otherwise(e, X.or(X.and(rest, X.c32(Fl.VM)), e.state(32, L.PUSHF_EXITS)));
  const image = X.or(X.and(rest, X.c32(~(Fl.VM | Fl.RF))), arithmetic(e));
  push(e, f, f.size, f.size === 64 ? X.extU(image) : image);
  e.next();
};

/** POPF at privilege level 0 that neither traps, nor changes AC, nor lets an interrupt in that waits. */
const popf: Semantic = (e, f) => {
  if (f.stack === "G" || f.size === 16) return e.leave(Leave.SYS);
  otherwise(e, e.state(32, L.CPL));
  const at = stackOffset(e, f, X.c64(0));
  const image = e.let(X.load(32, direct(e, at, f.size >> 3, L.TLB_READ)));
  const old = e.let(e.state(32, L.FLAGS));
  otherwise(e, X.or(X.and(image, X.c32(Fl.TF)), X.and(X.xor(image, old), X.c32(Fl.AC))));
  otherwise(e, X.select(X.and(image, X.c32(Fl.IF)), e.state(32, L.WAITING), X.c32(0)));
  const kept = Fl.VIF | Fl.VIP | Fl.VM;
  const loaded = X.and(image, X.c32(SYSTEM_FLAGS & ~kept));
  e.setState(32, L.FLAGS, X.or(X.or(X.and(old, X.c32(kept)), loaded), X.c32(Fl.R1)));
  setArithmetic(e, image);
  release(e, f, X.c64(f.size >> 3));
  e.next();
};

/** CLI at privilege level 0. */
const cli: Semantic = (e) => {
  otherwise(e, e.state(32, L.CPL));
  e.setState(32, L.FLAGS, X.and(e.state(32, L.FLAGS), X.c32(~Fl.IF)));
  e.next();
};

/** Instructions behind which interrupts are inhibited, too: whether they follow an STI matters. */
const SHADOWS: readonly SysOpName[] = ["mov_to_sreg", "pop_sreg"];

/**
 * STI at privilege level 0 with nothing waiting and another instruction behind it in the block: that one is paid for, so
 * nobody looks for interrupts before it has retired, and the inhibition need not be noted.
 */
const sti: Semantic = (e) => {
  otherwise(e, X.or(X.or(e.state(32, L.CPL), e.state(32, L.WAITING)), X.eq(e.field8(REC.REM), X.c32(1))));
  const word = X.or(
    e.field8(REC_SIZE + REC.OP),
    X.shl(e.field8(REC_SIZE + REC.OP + 1), X.c32(8)),
  );
  const following = e.let(X.and(word, X.c32(OPF_MASK)));
  for (const name of SHADOWS) otherwise(e, X.eq(following, X.c32(SYS_OPS.indexOf(name))));
  const old = e.let(e.state(32, L.FLAGS));
  const on = X.or(X.and(old, X.c32(~Fl.RF)), X.c32(Fl.IF)); // as the step behind an inhibiting STI leaves RF
  e.setState(32, L.FLAGS, X.select(X.and(old, X.c32(Fl.IF)), old, on));
  e.next();
};

/** MOV from a segment register to a general one. Encodings 6 and 7 are undefined. */
const movFromSreg: Semantic = (e, f) => {
  const seg = e.let(e.field8(REC.R0));
  otherwise(e, X.gtU(seg, X.c32(5 * 8)));
  const selector = X.load(16, X.mul(seg, X.c32(L.SEG_SIZE / 8)), L.SEG + L.SEG_SEL);
  e.write(f.ops[0], f.size === 64 ? X.extU(selector) : selector);
  e.next();
};

const f64 = (code: number, ...args: Expr[]): Expr => X.op(F64, code, ...args);
/** f64.add, f64.sub, f64.mul, f64.floor, f64.convert_i32_s; i64.trunc_sat_f64_u. */
const ADD = 0xa0, SUB = 0xa1, MUL = 0xa2, FLOOR = 0x9c, CONVERT = 0xb7, TRUNC = 0xfc07;

/** RDTSC: the machine's virtual counter at this instruction, computed exactly as `Clock.now` and the machine do. */
const rdtsc: Semantic = (e) => {
  unlessDirect(e, Direct.RDTSC);
  otherwise(e, X.and(e.state(32, L.CR4), X.c32(Cr4.TSD)));
  const word = (at: number) => X.loadF64(X.c32(0), at);
  const left = X.add(e.bud, e.field8(REC.REM));
  const icount = f64(SUB, word(L.HORIZON), f64(CONVERT, left));
  const now = f64(ADD, f64(MUL, icount, word(L.CLOCK_NS)), word(L.CLOCK_SKIPPED));
  const cycles = X.op(I64, TRUNC, f64(FLOOR, f64(MUL, now, word(L.CLOCK_TSC))));
  const tsc = e.let(X.add(cycles, e.state(64, L.TSC_OFFSET)));
  e.setGpr(Gpr.AX, 32, X.wrap(tsc));
  e.setGpr(Gpr.DX, 32, X.wrap(X.shrU(tsc, X.c64(32))));
  e.next();
};

const pause: Semantic = (e) => {
  unlessDirect(e, Direct.PAUSE);
  e.next();
};

/** SWAPGS at privilege level 0 (there is no other place for it than 64-bit code). */
const swapgs: Semantic = (e) => {
  const base = L.SEG + Seg.GS * L.SEG_SIZE + L.SEG_BASE;
  otherwise(e, e.state(32, L.CPL));
  const old = e.let(e.state(64, base));
  e.setState(64, base, e.state(64, L.MSR_KERNEL_GS_BASE));
  e.setState(64, L.MSR_KERNEL_GS_BASE, old);
  e.next();
};

/** CMPXCHG16B on directly mapped memory. */
const cmpxchg16b: Semantic = (e, f) => {
  const [o] = f.ops;
  if (o.k !== "mem") return e.leave(Leave.SYS);
  const la = e.ea(o.addr, 16 | SF_WRITE);
  otherwise(e, X.and(X.wrap(la), X.c32(15)));
  const host = direct(e, la, 16, L.TLB_WRITE);
  const lo = e.let(X.load(64, host)), hi = e.let(X.load(64, host, 8));
  const equal = e.let(X.and(X.eq(lo, e.gpr(Gpr.AX, 64)), X.eq(hi, e.gpr(Gpr.DX, 64))));
  const flags = e.let(X.and(arithmetic(e), X.c32(~Fl.ZF)));
  e.store(64, host, X.select(equal, e.gpr(Gpr.BX, 64), lo));
  e.store(64, host, X.select(equal, e.gpr(Gpr.CX, 64), hi), 8);
  e.setGpr(Gpr.AX, 64, X.select(equal, e.gpr(Gpr.AX, 64), lo));
  e.setGpr(Gpr.DX, 64, X.select(equal, e.gpr(Gpr.DX, 64), hi));
  setArithmetic(e, e.let(X.or(flags, X.shl(equal, X.c32(6)))));
  e.next();
};

/** Semantic functions of this family. */
export const system: Record<string, Semantic> = {
  pushf,
  popf,
  cli,
  sti,
  mov_from_sreg: movFromSreg,
  rdtsc,
  pause,
  swapgs,
  cmpxchg16b,
};
