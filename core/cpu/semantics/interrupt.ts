/**
 * The common cases of INT n: through an interrupt or trap gate to level 0, from there or from level 3, 64-bit code or flat
 * 32-bit code (Intel SDM volume 2, "INT n"; volume 3, 6.12 and 6.14). Everything else is the system operation's.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { Direct } from "../core.ts";
import type { Emit } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import { Leave } from "../leave.ts";
import { Fl, Gpr, Seg } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import {
  descriptor,
  loadNullStack,
  loadSegment,
  requireCanonical,
  requireCode,
  requireFlatMode,
  requireStack,
  segment,
  setLevel,
  SUPERVISOR,
  type Words,
} from "./descriptors.ts";
import { arithmetic, direct, otherwise, unlessDirect } from "./system.ts";

const c = X.c32;
/** Type bits 3-1 of interrupt (14) and trap gates (15), S and P. */
const GATE_MASK = 0x9e00, GATE = 0x8e00, TRAP = 0x100;
const LAST_BYTE_OF_SP0 = 11;

/** A gate's words; leaves unless it is an interrupt or trap gate that the level may use. */
function gate(e: Emit, long: boolean): Words & { at: Expr } {
  const size = long ? 16 : 8, offset = e.let(X.mul(e.field8(REC.IMM), c(size)));
  otherwise(e, X.gtU(X.add(offset, c(size - 1)), e.state(32, L.IDTR + 8)));
  const la = e.let(X.add(e.state(64, L.IDTR), X.extU(offset)));
  const at = direct(e, la, size, L.TLB_READ, SUPERVISOR);
  const lo = e.let(X.load(32, at)), hi = e.let(X.load(32, at, 4));
  otherwise(e, X.ne(X.and(hi, c(GATE_MASK)), c(GATE)));
  otherwise(e, X.ltU(X.and(X.shrU(hi, c(13)), c(3)), e.state(32, L.CPL)));
  return { at, lo, hi };
}

/** Host offset of stack pointer (and SS) of level 0 in the TSS. */
function innerStack(e: Emit): Expr {
  otherwise(e, X.ltU(e.state(32, segment(Seg.TR) + L.SEG_LIMIT), c(LAST_BYTE_OF_SP0)));
  const la = e.let(X.add(e.state(64, segment(Seg.TR) + L.SEG_BASE), X.c64(4)));
  return direct(e, la, 8, L.TLB_READ, SUPERVISOR);
}

/** Leaves for single steps, alignment checks, and levels 1 and 2. @returns the level */
function requireOrdinary(e: Emit): Expr {
  unlessDirect(e, Direct.SWINT);
  const cpl = e.let(e.state(32, L.CPL));
  otherwise(e, X.or(X.and(e.state(32, L.FLAGS), c(Fl.AC | Fl.VM)), e.state(32, L.ALONE)));
  otherwise(e, X.or(X.eq(cpl, c(1)), X.eq(cpl, c(2))));
  return cpl;
}

/** Clears what the gate clears, and goes to the handler. */
function enter(e: Emit, type: Expr, cs: Expr, code: Words, ip: Expr): void {
  loadSegment(e, Seg.CS, X.and(cs, c(0xfffc)), code);
  setLevel(e, c(0));
  const cleared = Fl.TF | Fl.NT | Fl.RF | Fl.VM;
  const mask = X.select(X.and(type, c(TRAP)), c(~cleared), c(~(cleared | Fl.IF)));
  e.setState(32, L.FLAGS, X.and(e.state(32, L.FLAGS), mask));
  e.jumpTo(ip);
}

function long(e: Emit): void {
  const cpl = requireOrdinary(e), { at, lo, hi } = gate(e, true);
  otherwise(e, X.and(hi, c(7)));
  const cs = e.let(X.shrU(lo, c(16))), high = X.shl(X.extU(X.load(32, at, 8)), X.c64(32));
  const offset = X.or(X.and(lo, c(0xffff)), X.and(hi, c(0xffff_0000)));
  const ip = e.let(X.or(X.extU(offset), high));
  requireCanonical(e, ip);
  otherwise(e, X.ltU(cs, c(4)));
  const code = descriptor(e, cs);
  requireCode(e, code, c(0), true);
  const old = e.let(e.gpr(Gpr.SP, 64)), top = e.mutable(old);
  e.if(cpl, () => e.set(top, X.load(64, innerStack(e))));
  const frame = e.let(X.sub(X.and(top, X.c64(-16)), X.c64(40)));
  const to = direct(e, frame, 40, L.TLB_WRITE, SUPERVISOR);
  e.store(64, to, X.extU(e.state(32, segment(Seg.SS) + L.SEG_SEL)), 32);
  e.store(64, to, old, 24);
  e.store(64, to, X.extU(X.or(e.state(32, L.FLAGS), arithmetic(e))), 16);
  e.store(64, to, X.extU(e.state(32, segment(Seg.CS) + L.SEG_SEL)), 8);
  e.store(64, to, e.nextRip());
  e.if(cpl, () => loadNullStack(e, c(0)));
  e.setGpr(Gpr.SP, 64, frame);
  enter(e, hi, cs, code, ip);
}

function flat(e: Emit): void {
  requireFlatMode(e);
  const cpl = requireOrdinary(e), { lo, hi } = gate(e, false);
  const cs = e.let(X.shrU(lo, c(16)));
  const ip = e.let(X.or(X.and(lo, c(0xffff)), X.and(hi, c(0xffff_0000))));
  otherwise(e, X.ltU(cs, c(4)));
  const code = descriptor(e, cs);
  requireCode(e, code, c(0), false);
  const old = e.let(e.gpr(Gpr.SP, 32)), frame = e.mutable(X.sub(old, c(12)));
  const ss = e.mutable(c(0)), stack: Words = { lo: e.mutable(c(0)), hi: e.mutable(c(0)) };
  e.if(cpl, () => {
    otherwise(e, X.eqz(X.and(e.state(32, segment(Seg.TR) + L.SEG_ATTR), c(8))));
    const inner = innerStack(e);
    e.set(frame, X.sub(X.load(32, inner), c(20)));
    e.set(ss, X.load(16, inner, 4));
    otherwise(e, X.or(X.ltU(ss, c(4)), X.and(ss, c(3))));
    const w = descriptor(e, ss);
    e.set(stack.lo, w.lo);
    e.set(stack.hi, w.hi);
    requireStack(e, stack, c(0), false);
  });
  const at = e.let(X.extU(frame)), to = e.mutable(direct(e, at, 12, L.TLB_WRITE, SUPERVISOR));
  e.if(cpl, () => {
    e.set(to, direct(e, at, 20, L.TLB_WRITE, SUPERVISOR));
    e.store(32, to, e.state(32, segment(Seg.SS) + L.SEG_SEL), 16);
    e.store(32, to, old, 12);
    loadSegment(e, Seg.SS, ss, stack);
  });
  e.store(32, to, X.or(e.state(32, L.FLAGS), arithmetic(e)), 8);
  e.store(32, to, e.state(32, segment(Seg.CS) + L.SEG_SEL), 4);
  e.store(32, to, X.wrap(e.nextRip()));
  e.setGpr(Gpr.SP, 32, frame);
  enter(e, hi, cs, code, X.extU(ip));
}

const intN: Semantic = (e, f) => {
  if (f.code64) long(e);
  else if (f.size === 32 && f.stack === "F") flat(e);
  else e.leave(Leave.SYS);
};

/** Semantic functions of this family. */
export const interrupt: Record<string, Semantic> = { int_n: intN };
