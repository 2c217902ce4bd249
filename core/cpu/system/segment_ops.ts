/**
 * System operations on segment registers and descriptors.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { type Core, STACK_SHADOW } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Attr, Cr4, Fl, Seg } from "../state.ts";
import { Descriptor, isNull, readSelector, selectorError, SysType } from "./descriptors.ts";
import { linearOf, readMem, readRm, writeRm } from "./operands.ts";
import type { SysOpTable } from "./ops.ts";
import { CANONICAL, loadNull, loadSegment } from "./segments.ts";
import { Stack } from "./stack.ts";

const d = new Descriptor();
const stack = new Stack();

function requireProtected(c: Core): void {
  if (c.s.realMode || c.s.v86) raise(Vec.UD);
}
function requireCpl0(c: Core): void {
  if (c.s.cpl !== 0) raise(Vec.GP, 0);
}
/** CR4.UMIP keeps SGDT, SIDT, SLDT and STR from user code. */
function requireUmip(c: Core): void {
  if (c.s.cr4 & Cr4.UMIP && c.s.cpl > 0) raise(Vec.GP, 0);
}

/** Segment register operand: REX.R is ignored. */
const segmentOf = (i: Insn): number => i.reg & 7;

function moveToSegment(c: Core, i: Insn): void {
  const seg = segmentOf(i);
  if (seg === Seg.CS || seg > Seg.GS) raise(Vec.UD);
  loadSegment(c, seg, readRm(c, i, 2));
  if (seg === Seg.SS) c.s.i32[L.INT_SHADOW >> 2] = STACK_SHADOW;
}

function popSegment(c: Core, i: Insn): void {
  const seg = i.imm, top = stack.current(c), value = top.pop(c, i.opsize);
  const { sp, bits } = top;
  loadSegment(c, seg, value & 0xffff);
  stack.bits = bits;
  stack.sp = sp;
  stack.commit(c);
  if (seg === Seg.SS) c.s.i32[L.INT_SHADOW >> 2] = STACK_SHADOW;
}

function pushSegment(c: Core, i: Insn): void {
  const top = stack.current(c);
  top.push(c, i.opsize, c.s.segSel(i.imm), 0);
  top.commit(c);
}

/** LES, LDS, LSS, LFS, LGS. */
function loadFarPointer(c: Core, i: Insn): void {
  if (!i.isMem) raise(Vec.UD);
  const size = i.opsize, la = linearOf(c, i, size + 2, false);
  const lo = readMem(c, la, size), hi = size === 8 ? c.mmu.hi : 0;
  loadSegment(c, i.imm, c.mmu.read16(c.mmu.next(la, size)));
  c.s.setRegSized(i.reg, size * 8, lo, hi);
}

const ZF = Fl.ZF;
function setZero(c: Core, on: boolean): void {
  c.s.flags = on ? c.s.flags | ZF : c.s.flags & ~ZF;
}

/** Types that LAR accepts outside and in long mode, LSL likewise; bit n: system type n. */
const LAR_LEGACY = bits(1, 2, 3, 4, 5, 9, 11, 12), LAR_LONG = bits(2, 9, 11, 12);
const LSL_LEGACY = bits(1, 2, 3, 9, 11), LSL_LONG = bits(2, 9, 11);
function bits(...types: number[]): number {
  return types.reduce((m, t) => m | 1 << t, 0);
}

/** The checks of LAR and LSL; true when the descriptor in `d` may be looked at. */
function visible(c: Core, sel: number, legacy: number, long: number): boolean {
  if (isNull(sel) || !d.read(c, sel)) return false;
  if (d.isSystem) {
    if (!((c.s.longMode ? long : legacy) >> d.type & 1)) return false;
    if (c.s.longMode && !d.readUpper(c)) return false;
  }
  return d.isConforming || (c.s.cpl <= d.dpl && (sel & 3) <= d.dpl);
}

function lar(c: Core, i: Insn): void {
  requireProtected(c);
  const ok = visible(c, readRm(c, i, 2), LAR_LEGACY, LAR_LONG);
  if (ok) c.s.setRegSized(i.reg, i.opsize * 8, d.hi & 0x00ff_ff00, 0);
  setZero(c, ok);
}

function lsl(c: Core, i: Insn): void {
  requireProtected(c);
  const ok = visible(c, readRm(c, i, 2), LSL_LEGACY, LSL_LONG);
  if (ok) c.s.setRegSized(i.reg, i.opsize * 8, d.limit, 0);
  setZero(c, ok);
}

/** VERR, VERW. */
function verify(c: Core, i: Insn, write: boolean): void {
  requireProtected(c);
  const sel = readRm(c, i, 2);
  let ok = !isNull(sel) && d.read(c, sel) && !d.isSystem;
  if (ok) ok = d.isConforming || (c.s.cpl <= d.dpl && (sel & 3) <= d.dpl);
  if (ok) ok = write ? d.isWritableData : d.isData || (d.type & Attr.READABLE) !== 0;
  setZero(c, ok);
}

function arpl(c: Core, i: Insn): void {
  requireProtected(c);
  const dest = readRm(c, i, 2), rpl = c.s.lo(i.reg) & 3, raised = (dest & 3) < rpl;
  if (raised) writeRm(c, i, 2, dest & ~3 | rpl, 0); // else not even checked for writing
  setZero(c, raised);
}

/** SLDT, STR: 16 bits to memory, zero-extended to a register. */
function storeSelector(c: Core, i: Insn, seg: number): void {
  requireProtected(c);
  requireUmip(c);
  storeWord(c, i, c.s.segSel(seg));
}

/** Stores a selector: memory gets 16 bits, a register its operand size. */
function storeWord(c: Core, i: Insn, value: number): void {
  writeRm(c, i, i.isMem ? 2 : i.opsize, value, 0);
}

const isCanonical = (base: number) => base >= -CANONICAL && base < CANONICAL;

function lldt(c: Core, i: Insn): void {
  requireProtected(c);
  requireCpl0(c);
  const sel = readRm(c, i, 2);
  if (isNull(sel)) {
    loadNull(c.s, Seg.LDTR, sel);
    return;
  }
  if (sel & 4) raise(Vec.GP, selectorError(sel));
  readSelector(c, d, sel);
  if (!d.isSystem || d.type !== SysType.LDT) raise(Vec.GP, selectorError(sel));
  if (!d.present) raise(Vec.NP, selectorError(sel));
  if (c.s.longMode && (!d.readUpper(c) || !isCanonical(d.base))) raise(Vec.GP, selectorError(sel));
  c.s.setSeg(Seg.LDTR, sel, d.base, d.limit, d.attr);
}

function ltr(c: Core, i: Insn): void {
  requireProtected(c);
  requireCpl0(c);
  const sel = readRm(c, i, 2);
  if (isNull(sel)) raise(Vec.GP, 0);
  if (sel & 4) raise(Vec.GP, selectorError(sel));
  readSelector(c, d, sel);
  const available = d.type === SysType.TSS || (d.type === SysType.TSS16 && !c.s.longMode);
  if (!d.isSystem || !available) raise(Vec.GP, selectorError(sel));
  if (!d.present) raise(Vec.NP, selectorError(sel));
  if (c.s.longMode && (!d.readUpper(c) || !isCanonical(d.base))) raise(Vec.GP, selectorError(sel));
  d.setBusy(c, true);
  c.s.setSeg(Seg.TR, sel, d.base, d.limit, d.attr);
}

/** SGDT, SIDT. */
function storeTable(c: Core, i: Insn, table: number): void {
  if (!i.isMem) raise(Vec.UD);
  requireUmip(c);
  const { s, mmu } = c, wide = s.code64, la = linearOf(c, i, wide ? 10 : 6, true);
  mmu.probeWrite(la, wide ? 10 : 6);
  mmu.write16(la, s.u32[(table + 8) >> 2]);
  const at = mmu.next(la, 2);
  if (wide) mmu.write64(at, s.u32[table >> 2], s.u32[(table >> 2) + 1]);
  else mmu.write32(at, s.u32[table >> 2]);
}

/** LGDT, LIDT: 24 bits of base with 16-bit operands. */
function loadTable(c: Core, i: Insn, table: number): void {
  if (!i.isMem) raise(Vec.UD);
  requireCpl0(c);
  const { s, mmu } = c, wide = s.code64, la = linearOf(c, i, wide ? 10 : 6, false);
  const limit = mmu.read16(la), at = mmu.next(la, 2);
  let lo = wide ? mmu.readWords64(at) : mmu.read32(at);
  const hi = wide ? mmu.hi | 0 : 0;
  if (hi >> 15 !== hi >> 31) raise(Vec.GP, 0);
  if (!wide && i.opsize === 2) lo &= 0xff_ffff;
  s.setWords(table, lo, hi);
  s.u32[(table + 8) >> 2] = limit;
}

function swapgs(c: Core): void {
  const { s } = c, base = L.SEG + Seg.GS * L.SEG_SIZE + L.SEG_BASE;
  if (!s.code64) raise(Vec.UD);
  requireCpl0(c);
  const lo = s.word(base), hi = s.word(base + 4);
  s.setWords(base, s.word(L.MSR_KERNEL_GS_BASE), s.word(L.MSR_KERNEL_GS_BASE + 4));
  s.setWords(L.MSR_KERNEL_GS_BASE, lo, hi);
}

/** RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
function fsGsBase(c: Core, i: Insn, write: boolean): void {
  const { s } = c, base = L.SEG + i.imm * L.SEG_SIZE + L.SEG_BASE;
  if (!s.code64 || !(s.cr4 & Cr4.FSGSBASE)) raise(Vec.UD);
  if (!write) {
    s.setRegSized(i.rm, i.opsize * 8, s.word(base), s.word(base + 4));
    return;
  }
  const lo = s.lo(i.rm), hi = i.opsize === 8 ? s.hi(i.rm) | 0 : 0;
  if (hi >> 15 !== hi >> 31) raise(Vec.GP, 0);
  s.setWords(base, lo, hi);
}

/** The operations listed under "Segment registers" in `ops.ts`. */
export const segmentOps: SysOpTable = {
  mov_to_sreg: moveToSegment,
  mov_from_sreg: (c, i) => segmentOf(i) > Seg.GS ? raise(Vec.UD) : storeWord(c, i, c.s.segSel(segmentOf(i))),
  push_sreg: pushSegment,
  pop_sreg: popSegment,
  load_far_ptr: loadFarPointer,
  lar,
  lsl,
  verr: (c, i) => verify(c, i, false),
  verw: (c, i) => verify(c, i, true),
  arpl,
  sldt: (c, i) => storeSelector(c, i, Seg.LDTR),
  str: (c, i) => storeSelector(c, i, Seg.TR),
  lldt,
  ltr,
  sgdt: (c, i) => storeTable(c, i, L.GDTR),
  sidt: (c, i) => storeTable(c, i, L.IDTR),
  lgdt: (c, i) => loadTable(c, i, L.GDTR),
  lidt: (c, i) => loadTable(c, i, L.IDTR),
  swapgs,
  rdfsgsbase: (c, i) => fsGsBase(c, i, false),
  wrfsgsbase: (c, i) => fsGsBase(c, i, true),
};
