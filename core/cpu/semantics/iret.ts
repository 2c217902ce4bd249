/**
 * The common case of IRETQ: from the kernel to the kernel or to a program, both 64-bit code, through descriptors that need
 * no further look (Intel SDM volume 2, "IRET/IRETD/IRETQ"). Everything else is the system operation's.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { Direct } from "../core.ts";
import type { Emit } from "../emit.ts";
import type { Semantic } from "../form.ts";
import { Leave } from "../leave.ts";
import { Attr, Fl, Gpr, Seg } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { USER_SET } from "../../mmu/tlb.ts";
import { setArithmetic } from "./flags.ts";
import { direct, otherwise, SYSTEM_FLAGS, unlessDirect } from "./system.ts";

/** Bits of a descriptor's second word: accessed, type bit 9 (writable), conforming, code, S, DPL, P, L, D. */
const D = {
  A: 0x100,
  W: 0x200,
  C: 0x400,
  CODE: 0x800,
  S: 0x1000,
  DPL: 0x6000,
  P: 0x8000,
  L: 0x20_0000,
  D: 0x40_0000,
};

const segment = (seg: number): number => L.SEG + seg * L.SEG_SIZE;

/** Host offset of the descriptor of a selector in the GDT; leaves for the LDT and for selectors outside the table. */
function descriptor(e: Emit, selector: Expr): Expr {
  const outside = X.gtU(X.or(selector, X.c32(7)), e.state(32, L.GDTR + 8));
  otherwise(e, X.or(X.and(selector, X.c32(4)), outside));
  const la = X.add(e.state(64, L.GDTR), X.extU(X.and(selector, X.c32(0xfff8))));
  return direct(e, e.let(la), 8, L.TLB_READ);
}

/** Puts a code or data descriptor into a segment register. */
function load(e: Emit, seg: number, selector: Expr, lo: Expr, hi: Expr): void {
  const at = segment(seg), c = X.c32;
  const base = X.or(
    X.shrU(lo, c(16)),
    X.or(X.and(X.shl(hi, c(16)), c(0xff_0000)), X.and(hi, c(0xff00_0000))),
  );
  const raw = e.let(X.or(X.and(lo, c(0xffff)), X.and(hi, c(0xf_0000))));
  const pages = X.or(X.shl(raw, c(12)), c(0xfff));
  e.setState(64, at + L.SEG_BASE, X.extU(base));
  e.setState(32, at + L.SEG_LIMIT, X.select(X.and(hi, c(0x80_0000)), pages, raw));
  e.setState(32, at + L.SEG_ATTR, X.or(X.and(X.shrU(hi, c(8)), c(0xff)), X.and(X.shrU(hi, c(12)), c(0xf00))));
  e.setState(32, at + L.SEG_SEL, selector);
}

/** Leaves unless a return to level 3 leaves the data segment registers as they are. */
function keepsData(e: Emit): void {
  for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) {
    const attr = e.let(e.state(32, segment(seg) + L.SEG_ATTR));
    const kept = X.or(X.and(attr, X.c32(Attr.UNUSABLE)), X.eq(X.and(attr, X.c32(Attr.DPL)), X.c32(Attr.DPL)));
    otherwise(e, X.eqz(kept));
  }
}

const iret: Semantic = (e, f) => {
  if (!f.code64 || f.size !== 64) return e.leave(Leave.SYS);
  const c = X.c32, rest = e.let(e.state(32, L.FLAGS));
  unlessDirect(e, Direct.IRET);
  const odd = X.or(X.and(rest, c(Fl.NT | Fl.AC)), X.or(e.state(32, L.WAITING), e.state(32, L.ALONE)));
  otherwise(e, X.or(e.state(32, L.CPL), odd));
  const frame = direct(e, e.let(e.gpr(Gpr.SP, 64)), 40, L.TLB_READ);
  const ip = e.let(X.load(64, frame)), sp = e.let(X.load(64, frame, 24));
  const cs = e.let(X.load(16, frame, 8)), ss = e.let(X.load(16, frame, 32));
  const image = e.let(X.load(32, frame, 16)), rpl = e.let(X.and(cs, c(3)));
  otherwise(e, X.and(image, c(Fl.TF | Fl.NT | Fl.AC)));
  otherwise(e, X.ne(X.shrS(X.shl(ip, X.c64(16)), X.c64(16)), ip));
  otherwise(e, X.or(X.eq(rpl, c(1)), X.eq(rpl, c(2))));
  otherwise(e, X.or(X.ltU(cs, c(4)), X.ne(rpl, X.and(ss, c(3)))));
  const dpl = e.let(X.shl(rpl, c(13)));
  const code = descriptor(e, cs), codeLo = e.let(X.load(32, code)), codeHi = e.let(X.load(32, code, 4));
  const codeMask = D.A | D.C | D.CODE | D.S | D.DPL | D.P | D.L | D.D;
  const codeKind = X.or(dpl, c(D.A | D.CODE | D.S | D.P | D.L));
  otherwise(e, X.ne(X.and(codeHi, c(codeMask)), codeKind));
  const stackLo = e.mutable(c(0)), stackHi = e.mutable(c(0)), isNull = e.let(X.ltU(ss, c(4)));
  e.if(isNull, () => otherwise(e, rpl), () => {
    const stack = descriptor(e, ss);
    e.set(stackLo, X.load(32, stack));
    e.set(stackHi, X.load(32, stack, 4));
    const kind = X.and(stackHi, c(D.A | D.W | D.CODE | D.S | D.DPL | D.P));
    otherwise(e, X.ne(kind, X.or(dpl, c(D.A | D.W | D.S | D.P))));
  });
  e.if(rpl, () => keepsData(e));
  load(e, Seg.CS, cs, codeLo, codeHi);
  load(e, Seg.SS, ss, stackLo, stackHi);
  e.if(isNull, () => e.setState(32, segment(Seg.SS) + L.SEG_ATTR, c(Attr.UNUSABLE)));
  e.setState(32, L.CPL, rpl);
  e.setGpr(Gpr.SP, 64, sp);
  const loaded = X.and(image, c(SYSTEM_FLAGS | Fl.RF));
  e.setState(32, L.FLAGS, X.or(X.or(X.and(rest, c(Fl.VM)), loaded), c(Fl.R1)));
  setArithmetic(e, image);
  e.if(rpl, () => {
    e.setState(32, L.TLB_BASE, c(L.TLB + USER_SET * L.TLB_SET_SIZE));
    e.setState(32, L.JC_BASE, c(L.JUMP_CACHE + L.JUMP_CACHE_SIZE));
  });
  e.jumpTo(ip);
};

/** Semantic functions of this family. */
export const interruptReturn: Record<string, Semantic> = { iret };
