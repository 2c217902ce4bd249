/**
 * Descriptors as generated code looks at them: those that need no further look (present, accessed, of the level wanted),
 * in the GDT, directly mapped. Everything else is left to the system operation of the instruction.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { MODE_FLAT, MODE_STACK32 } from "../decode/decoder.ts";
import type { Emit } from "../emit.ts";
import { Attr, Efer, Seg } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { USER_SET } from "../../mmu/tlb.ts";
import { direct, otherwise } from "./system.ts";

/** Bits of a descriptor's second word: accessed, writable, conforming or expand-down, code, S, DPL, P, L, D/B. */
export const D = {
  A: 0x100,
  W: 0x200,
  C: 0x400,
  CODE: 0x800,
  S: 0x1000,
  DPL: 0x6000,
  P: 0x8000,
  L: 0x20_0000,
  D: 0x40_0000,
} as const;
/** The TLB set of implicit supervisor accesses. */
export const SUPERVISOR: Expr = X.c32(L.TLB);

const c = X.c32;

/** Offset of a segment register in the state. */
export const segment = (seg: number): number => L.SEG + seg * L.SEG_SIZE;

/** A descriptor's two words. */
export interface Words {
  lo: Expr;
  hi: Expr;
}

/** Reads the descriptor of a selector that is not null; leaves for the LDT and for selectors outside the GDT. */
export function descriptor(e: Emit, selector: Expr): Words {
  const outside = X.gtU(X.or(selector, c(7)), e.state(32, L.GDTR + 8));
  otherwise(e, X.or(X.and(selector, c(4)), outside));
  const la = e.let(X.add(e.state(64, L.GDTR), X.extU(X.and(selector, c(0xfff8)))));
  const at = direct(e, la, 8, L.TLB_READ, SUPERVISOR);
  return { lo: e.let(X.load(32, at)), hi: e.let(X.load(32, at, 4)) };
}

/** Leaves unless the words are those of a code segment of a level (its DPL bits), 64-bit or flat 32-bit. */
export function requireCode(e: Emit, w: Words, dpl: Expr, long: boolean): void {
  const kind = D.A | D.CODE | D.S | D.P | (long ? D.L : D.D);
  const mask = D.A | D.C | D.CODE | D.S | D.DPL | D.P | D.D | (long ? D.L : 0);
  otherwise(e, X.ne(X.and(w.hi, c(mask)), X.or(dpl, c(kind))));
  if (!long) requireFlat(e, w);
}

/** Leaves unless the words are those of a writable data segment of a level; outside 64-bit code a flat one. */
export function requireStack(e: Emit, w: Words, dpl: Expr, long: boolean): void {
  const kind = D.A | D.W | D.S | D.P | (long ? 0 : D.D);
  const mask = D.A | D.W | D.CODE | D.S | D.DPL | D.P | (long ? 0 : D.D | D.C);
  otherwise(e, X.ne(X.and(w.hi, c(mask)), X.or(dpl, c(kind))));
  if (!long) requireFlat(e, w);
}

/** Base 0 and 4 GiB. */
function requireFlat(e: Emit, w: Words): void {
  otherwise(e, X.or(X.ne(w.lo, c(0xffff)), X.ne(X.and(w.hi, c(0xff8f_00ff)), c(0x8f_0000))));
}

/** Leaves unless this is flat 32-bit protected mode, so that flat segments leave the decoding mode as it is. */
export function requireFlatMode(e: Emit): void {
  const flat = 3 | MODE_FLAT | MODE_STACK32, cs = segment(Seg.CS);
  otherwise(e, X.ne(X.and(e.state(32, L.MODE), c(flat)), c(1 | MODE_FLAT | MODE_STACK32)));
  otherwise(e, X.or(e.state(32, cs + L.SEG_BASE), X.ne(e.state(32, cs + L.SEG_LIMIT), c(-1))));
  otherwise(e, X.or(X.and(e.state(32, L.EFER), c(Efer.LMA)), X.eqz(X.and(e.state(32, L.CR0), c(1)))));
}

/** Puts a code or data descriptor into a segment register. */
export function loadSegment(e: Emit, seg: number, selector: Expr, { lo, hi }: Words): void {
  const at = segment(seg);
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

/** Puts a null selector into SS: its DPL is that of the selector. */
export function loadNullStack(e: Emit, selector: Expr): void {
  const at = segment(Seg.SS);
  e.setState(64, at + L.SEG_BASE, X.c64(0));
  e.setState(32, at + L.SEG_LIMIT, c(0));
  e.setState(32, at + L.SEG_ATTR, X.or(c(Attr.UNUSABLE), X.shl(selector, c(Attr.DPL_SHIFT))));
  e.setState(32, at + L.SEG_SEL, selector);
}

/** Leaves unless a return to level 3 leaves the data segment registers as they are. */
export function keepsData(e: Emit): void {
  for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) {
    const attr = e.let(e.state(32, segment(seg) + L.SEG_ATTR));
    const kept = X.or(X.and(attr, c(Attr.UNUSABLE)), X.eq(X.and(attr, c(Attr.DPL)), c(Attr.DPL)));
    otherwise(e, X.eqz(kept));
  }
}

/** Changes the privilege level, to 0 or 3, where alignment is not checked and SMAP not suspended. */
export function setLevel(e: Emit, level: Expr): void {
  e.setState(32, L.CPL, level);
  e.setState(32, L.TLB_BASE, X.select(level, c(L.TLB + USER_SET * L.TLB_SET_SIZE), c(L.TLB)));
  e.setState(32, L.JC_BASE, X.select(level, c(L.JUMP_CACHE + L.JUMP_CACHE_SIZE), c(L.JUMP_CACHE)));
}

/** Leaves unless a 64-bit address is canonical. */
export function requireCanonical(e: Emit, la: Expr): void {
  otherwise(e, X.ne(X.shrS(X.shl(la, X.c64(16)), X.c64(16)), la));
}
