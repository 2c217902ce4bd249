/**
 * The common cases of IRETQ and IRETD: from the kernel to the kernel or to a program, 64-bit code or flat 32-bit code
 * (Intel SDM volume 2, "IRET/IRETD/IRETQ"). Everything else is the system operation's.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { Direct } from "../core.ts";
import type { Emit } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { Leave } from "../leave.ts";
import { Fl, Gpr, Seg } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import {
  descriptor,
  keepsData,
  loadNullStack,
  loadSegment,
  requireCanonical,
  requireCode,
  requireFlatMode,
  requireStack,
  setLevel,
  type Words,
} from "./descriptors.ts";
import { setArithmetic } from "./flags.ts";
import { direct, otherwise, SYSTEM_FLAGS, unlessDirect } from "./system.ts";

const c = X.c32;

/** Leaves for nested tasks, other levels than 0, alignment checks, and whatever else needs the dispatcher. */
function requireOrdinary(e: Emit): Expr {
  const rest = e.let(e.state(32, L.FLAGS));
  const odd = X.or(
    X.and(rest, c(Fl.NT | Fl.AC | Fl.VM)),
    X.or(e.state(32, L.WAITING), e.state(32, L.ALONE)),
  );
  unlessDirect(e, Direct.IRET);
  otherwise(e, X.or(e.state(32, L.CPL), odd));
  return rest;
}

/** Leaves unless a return goes to level 0 or 3 and its flags set no trap. */
function requireSimple(e: Emit, rpl: Expr, image: Expr, others = 0): void {
  otherwise(e, X.and(image, c(Fl.TF | Fl.NT | Fl.AC | others)));
  otherwise(e, X.or(X.eq(rpl, c(1)), X.eq(rpl, c(2))));
}

function loadFlags(e: Emit, rest: Expr, image: Expr): void {
  const loaded = X.and(image, c(SYSTEM_FLAGS)); // RF counts while instructions are stepped: not here
  e.setState(32, L.FLAGS, X.or(X.or(X.and(rest, c(Fl.VM)), loaded), c(Fl.R1)));
  setArithmetic(e, image);
}

/** To 64-bit code: SS:RSP is always popped, and SS may be null below level 3. */
function iretq(e: Emit): void {
  const rest = requireOrdinary(e), frame = direct(e, e.let(e.gpr(Gpr.SP, 64)), 40, L.TLB_READ);
  const ip = e.let(X.load(64, frame)), sp = e.let(X.load(64, frame, 24));
  const cs = e.let(X.load(16, frame, 8)), ss = e.let(X.load(16, frame, 32));
  const image = e.let(X.load(32, frame, 16)), rpl = e.let(X.and(cs, c(3)));
  requireSimple(e, rpl, image);
  requireCanonical(e, ip);
  otherwise(e, X.or(X.ltU(cs, c(4)), X.ne(rpl, X.and(ss, c(3)))));
  const dpl = e.let(X.shl(rpl, c(13))), code = descriptor(e, cs);
  requireCode(e, code, dpl, true);
  const stack: Words = { lo: e.mutable(c(0)), hi: e.mutable(c(0)) }, isNull = e.let(X.ltU(ss, c(4)));
  e.if(isNull, () => otherwise(e, rpl), () => {
    const w = descriptor(e, ss);
    e.set(stack.lo, w.lo);
    e.set(stack.hi, w.hi);
    requireStack(e, stack, dpl, true);
  });
  e.if(rpl, () => keepsData(e));
  loadSegment(e, Seg.CS, cs, code);
  e.if(isNull, () => loadNullStack(e, ss), () => loadSegment(e, Seg.SS, ss, stack));
  setLevel(e, rpl);
  e.setGpr(Gpr.SP, 64, sp);
  loadFlags(e, rest, image);
  e.jumpTo(ip);
}

/** To flat 32-bit code: SS:ESP is popped when the level changes. */
function iretd(e: Emit): void {
  requireFlatMode(e);
  const rest = requireOrdinary(e), sp = e.let(e.gpr(Gpr.SP, 32));
  const at = e.let(X.extU(sp)), frame = direct(e, at, 12, L.TLB_READ);
  const ip = e.let(X.load(32, frame)), cs = e.let(X.load(16, frame, 4));
  const image = e.let(X.load(32, frame, 8)), rpl = e.let(X.and(cs, c(3)));
  requireSimple(e, rpl, image, Fl.VM);
  otherwise(e, X.ltU(cs, c(4)));
  const dpl = e.let(X.shl(rpl, c(13))), code = descriptor(e, cs);
  requireCode(e, code, dpl, false);
  const next = e.mutable(X.add(sp, c(12)));
  e.if(rpl, () => {
    const outer = direct(e, at, 20, L.TLB_READ), ss = e.let(X.load(16, outer, 16));
    otherwise(e, X.or(X.ltU(ss, c(4)), X.ne(rpl, X.and(ss, c(3)))));
    const stack = descriptor(e, ss);
    requireStack(e, stack, dpl, false);
    keepsData(e);
    e.set(next, X.load(32, outer, 12));
    loadSegment(e, Seg.SS, ss, stack);
  });
  loadSegment(e, Seg.CS, cs, code);
  setLevel(e, rpl);
  e.setGpr(Gpr.SP, 32, next);
  loadFlags(e, rest, image);
  e.jumpTo(X.extU(ip));
}

const iret: Semantic = (e, f) => {
  if (f.code64 && f.size === 64) iretq(e);
  else if (!f.code64 && f.size === 32 && f.stack === "F") iretd(e);
  else e.leave(Leave.SYS);
};

/** Semantic functions of this family. */
export const interruptReturn: Record<string, Semantic> = { iret };
