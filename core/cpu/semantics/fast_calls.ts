/**
 * The common cases of SYSCALL and SYSRET, where 64-bit code calls and is returned to, and of SYSENTER and SYSEXIT in flat
 * 32-bit code (AMD APM volume 3). Everything else is the system operation's.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { Direct } from "../core.ts";
import type { Emit } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { Leave } from "../leave.ts";
import { Efer, Fl, Gpr, Seg } from "../state.ts";
import { CODE32, CODE64, DPL3, STACK } from "../system/flat.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { requireCanonical, requireFlatMode, segment, setLevel } from "./descriptors.ts";
import { setArithmetic } from "./flags.ts";
import { arithmetic, otherwise, SYSTEM_FLAGS, unlessDirect } from "./system.ts";

const c = X.c32;
const R11 = 11;

/** Leaves where the instruction steps, or accesses would be checked otherwise than usual. */
function requireUnchecked(e: Emit): void {
  otherwise(e, X.or(X.and(e.state(32, L.FLAGS), c(Fl.AC | Fl.TF)), e.state(32, L.ALONE)));
}

/** As `requireUnchecked`; also where SYSCALL and SYSRET are undefined. */
function requireOrdinary(e: Emit): void {
  otherwise(e, X.eqz(X.and(e.state(32, L.EFER), c(Efer.SCE))));
  requireUnchecked(e);
}

/** A flat segment: base 0, 4 GiB. */
function loadFlat(e: Emit, seg: number, selector: Expr, attr: number): void {
  const at = segment(seg);
  e.setState(64, at + L.SEG_BASE, X.c64(0));
  e.setState(32, at + L.SEG_LIMIT, c(-1));
  e.setState(32, at + L.SEG_ATTR, c(attr));
  e.setState(32, at + L.SEG_SEL, X.and(selector, c(0xffff)));
}

function loadFlags(e: Emit, image: Expr): void {
  e.setState(32, L.FLAGS, X.or(X.and(image, c(SYSTEM_FLAGS)), c(Fl.R1)));
  setArithmetic(e, image);
}

const syscall: Semantic = (e, f) => {
  if (!f.code64 || !e.bulk) return e.leave(Leave.SYS); // engines that tell of branches learn of it there
  requireOrdinary(e);
  const flags = e.let(X.and(X.or(e.state(32, L.FLAGS), arithmetic(e)), c(~Fl.RF)));
  const sel = e.let(X.and(e.state(32, L.MSR_STAR + 4), c(0xfffc)));
  e.setGpr(Gpr.CX, 64, e.nextRip());
  e.setGpr(R11, 64, X.extU(flags));
  loadFlat(e, Seg.CS, sel, CODE64);
  loadFlat(e, Seg.SS, X.add(sel, c(8)), STACK);
  loadFlags(e, e.let(X.and(flags, X.xor(e.state(32, L.MSR_SFMASK), c(-1)))));
  setLevel(e, c(0));
  e.jumpTo(e.state(64, L.MSR_LSTAR));
};

/** As AMD's processors do it: of SS only the selector changes. */
const sysret: Semantic = (e, f) => {
  if (!f.code64 || f.size !== 64 || !e.bulk) return e.leave(Leave.SYS);
  unlessDirect(e, Direct.SYSRET);
  requireOrdinary(e);
  otherwise(e, X.or(e.state(32, L.CPL), e.state(32, L.WAITING)));
  const ip = e.let(e.gpr(Gpr.CX, 64)), image = e.let(e.gpr(R11, 32));
  requireCanonical(e, ip);
  otherwise(e, X.and(image, c(Fl.AC | Fl.TF)));
  const base = e.let(X.shrU(e.state(32, L.MSR_STAR + 4), c(16)));
  loadFlat(e, Seg.CS, X.or(X.add(base, c(16)), c(3)), CODE64 | DPL3);
  const ss = X.or(X.add(base, c(8)), c(3));
  e.setState(32, segment(Seg.SS) + L.SEG_SEL, X.and(ss, c(0xffff)));
  loadFlags(e, image);
  setLevel(e, c(3));
  e.jumpTo(ip);
};

/** Leaves where SYSENTER and SYSEXIT fault, or the decoding mode would change. @returns the selector of the kernel's code */
function requireSysenter(e: Emit): Expr {
  requireFlatMode(e);
  requireUnchecked(e);
  const sel = e.let(X.and(e.state(32, L.MSR_SYSENTER_CS), c(0xfffc)));
  otherwise(e, X.eqz(sel));
  return sel;
}

const sysenter: Semantic = (e, f) => {
  if (f.code64 || !e.bulk) return e.leave(Leave.SYS);
  const sel = requireSysenter(e);
  loadFlat(e, Seg.CS, sel, CODE32);
  loadFlat(e, Seg.SS, X.add(sel, c(8)), STACK);
  e.setGpr(Gpr.SP, 32, e.state(32, L.MSR_SYSENTER_ESP));
  e.setState(32, L.FLAGS, X.and(e.state(32, L.FLAGS), c(~(Fl.IF | Fl.VM | Fl.RF))));
  setLevel(e, c(0));
  e.jumpTo(X.extU(e.state(32, L.MSR_SYSENTER_EIP)));
};

const sysexit: Semantic = (e, f) => {
  if (f.code64 || !e.bulk) return e.leave(Leave.SYS);
  const sel = requireSysenter(e);
  otherwise(e, e.state(32, L.CPL));
  loadFlat(e, Seg.CS, X.or(X.add(sel, c(16)), c(3)), CODE32 | DPL3);
  loadFlat(e, Seg.SS, X.or(X.add(sel, c(24)), c(3)), STACK | DPL3);
  e.setGpr(Gpr.SP, 32, e.gpr(Gpr.CX, 32));
  setLevel(e, c(3));
  e.jumpTo(X.extU(e.gpr(Gpr.DX, 32)));
};

/** Semantic functions of this family. */
export const fastCalls: Record<string, Semantic> = { syscall, sysret, sysenter, sysexit };
