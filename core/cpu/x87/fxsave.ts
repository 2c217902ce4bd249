/**
 * FXSAVE, FXRSTOR, XSAVE, XRSTOR and the SSE control register (Intel SDM volume 1, 10.5 and chapter 13).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Cr0, Cr4, Gpr } from "../state.ts";
import { linearLow, linearOf } from "../system/operands.ts";
import type { SysOpTable } from "../system/ops.ts";
import { initialise, setControlWord } from "./env.ts";
import { deliverPending, requireAvailable, updateSummary } from "./fpu.ts";

/** MXCSR bits that exist; also what FXSAVE stores as MXCSR_MASK. */
export const MXCSR_MASK = 0xffff;
/** MXCSR at reset: all exceptions masked. */
export const MXCSR_RESET = 0x1f80;

const FSW = L.FSW >> 2, FCW = L.FCW >> 2, FTW = L.FTW >> 2, MXCSR = L.MXCSR >> 2;
/** Parts of an XSAVE area and bits of XCR0. */
const X87 = 1, SSE = 2;

/** Tag word with a bit a register: 1 not empty. */
function abridgedTags(c: Core): number {
  let tags = 0;
  for (let p = 0; p < 8; p++) if ((c.s.u32[FTW] >>> p * 2 & 3) !== 3) tags |= 1 << p;
  return tags;
}

/** Writes the x87 part: bytes 0-23 and the eight registers at 32. */
function saveX87(c: Core, la: number, wide: boolean): void {
  const { s, mmu } = c, { u32 } = s;
  mmu.write64(la, u32[FCW] | u32[FSW] << 16, abridgedTags(c) | u32[L.FOP >> 2] << 16);
  mmu.write64(mmu.next(la, 8), s.word(L.FIP), wide ? s.word(L.FIP + 4) : u32[L.FCS >> 2]);
  mmu.write64(mmu.next(la, 16), s.word(L.FDP), wide ? s.word(L.FDP + 4) : u32[L.FDS >> 2]);
  const t = u32[FSW] >>> 11 & 7;
  for (let n = 0; n < 8; n++) {
    const from = (L.FPR + (t + n & 7) * 16) >> 2, at = mmu.next(la, 32 + n * 16);
    mmu.write64(at, u32[from], u32[from + 1]);
    mmu.write64(mmu.next(at, 8), u32[from + 2] & 0xffff, 0);
  }
}

function restoreX87(c: Core, la: number, wide: boolean): void {
  const { s, mmu } = c, { u32 } = s;
  const w0 = mmu.readWords64(la), w1 = mmu.hi;
  u32[FSW] = w0 >>> 16;
  let tags = 0;
  for (let p = 0; p < 8; p++) if (!(w1 >>> p & 1)) tags |= 3 << p * 2;
  u32[FTW] = tags;
  u32[L.FOP >> 2] = w1 >>> 16 & 0x7ff;
  setControlWord(c, w0 & 0xffff);
  restorePointer(c, mmu.next(la, 8), L.FIP, L.FCS, wide);
  restorePointer(c, mmu.next(la, 16), L.FDP, L.FDS, wide);
  const t = u32[FSW] >>> 11 & 7;
  for (let n = 0; n < 8; n++) {
    const to = (L.FPR + (t + n & 7) * 16) >> 2, at = mmu.next(la, 32 + n * 16);
    u32[to] = mmu.readWords64(at);
    u32[to + 1] = mmu.hi;
    u32[to + 2] = mmu.read16(mmu.next(at, 8));
  }
  updateSummary(c);
}

function restorePointer(c: Core, la: number, at: number, selector: number, wide: boolean): void {
  const lo = c.mmu.readWords64(la), hi = c.mmu.hi;
  c.s.setWords(at, lo, wide ? hi : 0);
  c.s.u32[selector >> 2] = wide ? 0 : hi & 0xffff;
}

/** XMM registers that the running code sees. */
function xmmCount(c: Core): number {
  return c.s.code64 ? 16 : 8;
}

function saveXmm(c: Core, la: number): void {
  const { u32 } = c.s;
  for (let n = 0; n < xmmCount(c); n++) {
    const from = (L.XMM + n * 16) >> 2, at = c.mmu.next(la, 160 + n * 16);
    c.mmu.write64(at, u32[from], u32[from + 1]);
    c.mmu.write64(c.mmu.next(at, 8), u32[from + 2], u32[from + 3]);
  }
}

function restoreXmm(c: Core, la: number): void {
  const { u32 } = c.s;
  for (let n = 0; n < xmmCount(c); n++) {
    const to = (L.XMM + n * 16) >> 2, at = c.mmu.next(la, 160 + n * 16);
    u32[to] = c.mmu.readWords64(at);
    u32[to + 1] = c.mmu.hi;
    u32[to + 2] = c.mmu.readWords64(c.mmu.next(at, 8));
    u32[to + 3] = c.mmu.hi;
  }
}

/** Linear address of an area of at most a page, aligned: #GP(0) when it is not, or #AC(0) where that applies. */
function area(c: Core, i: Insn, bytes: number, alignment: number, write: boolean): number {
  linearOf(c, i, c.s.code64 ? 1 : 4, write); // the start is checked before alignment, the end after it
  const low = linearLow(c, i);
  if (low % alignment !== 0) raise(c.mmu.misaligned(low, 4) ? Vec.AC : Vec.GP, 0);
  const la = linearOf(c, i, bytes, write), last = c.mmu.next(la, bytes - 1);
  // The last byte is looked at first: it is in CR2 when both pages are missing.
  for (const at of [last, la]) write ? c.mmu.probeWrite(at, 1) : c.mmu.probeRead(at, 1);
  return la;
}

function fxsave(c: Core, i: Insn): void {
  if (!c.policy.has("fxsr")) raise(Vec.UD);
  requireAvailable(c);
  const la = area(c, i, 512, 16, true);
  saveX87(c, la, i.opsize === 8);
  c.mmu.write64(c.mmu.next(la, 24), c.s.u32[MXCSR], MXCSR_MASK);
  saveXmm(c, la);
}

function fxrstor(c: Core, i: Insn): void {
  if (!c.policy.has("fxsr")) raise(Vec.UD);
  requireAvailable(c);
  const la = area(c, i, 512, 16, false), mxcsr = c.mmu.read32(c.mmu.next(la, 24));
  if (mxcsr & ~MXCSR_MASK) raise(Vec.GP, 0);
  restoreX87(c, la, i.opsize === 8);
  c.s.u32[MXCSR] = mxcsr;
  restoreXmm(c, la);
}

/** #UD and #NM as SSE instructions raise them. */
function requireSse(c: Core): void {
  if (!c.policy.has("sse") || c.s.cr0 & Cr0.EM || !(c.s.cr4 & Cr4.OSFXSR)) raise(Vec.UD);
  if (c.s.cr0 & Cr0.TS) raise(Vec.NM);
}

function ldmxcsr(c: Core, i: Insn): void {
  requireSse(c);
  const v = c.mmu.read32(linearOf(c, i, 4, false));
  if (v & ~MXCSR_MASK) raise(Vec.GP, 0);
  c.s.u32[MXCSR] = v;
}

function stmxcsr(c: Core, i: Insn): void {
  requireSse(c);
  c.mmu.write32(linearOf(c, i, 4, true), c.s.u32[MXCSR]);
}

function emms(c: Core, i: Insn): void {
  if (!c.policy.has("mmx") || c.s.cr0 & Cr0.EM) raise(Vec.UD);
  if (c.s.cr0 & Cr0.TS) raise(Vec.NM);
  if (deliverPending(c, i)) return;
  c.s.u32[FTW] = 0xffff;
  c.s.u32[FSW] &= ~0x3800; // as every MMX instruction, TOP = 0
}

function requireXsave(c: Core, form: number): void {
  const need = ["xsave", "xsaveopt", "xsavec", "xsaves"][form];
  if (need === undefined || !c.policy.has(need) || !(c.s.cr4 & Cr4.OSXSAVE)) raise(Vec.UD);
  if (c.s.cr0 & Cr0.TS) raise(Vec.NM);
}

/** Every component counts as in use: XSAVEOPT and XSAVEC leave nothing out that XSAVE would store. */
function xsave(c: Core, i: Insn): void {
  requireXsave(c, i.imm);
  const la = area(c, i, 576, 64, true), { mmu } = c;
  const mask = c.s.lo(Gpr.AX) & c.s.word(L.XCR0);
  if (mask & X87) saveX87(c, la, i.opsize === 8);
  if (mask & SSE) {
    mmu.write64(mmu.next(la, 24), c.s.u32[MXCSR], MXCSR_MASK);
    saveXmm(c, la);
  }
  const header = mmu.next(la, 512);
  if (i.imm === 2) {
    mmu.write64(header, mask, 0);
    mmu.write64(mmu.next(header, 8), mask, 0x8000_0000);
  } else {
    const old = mmu.readWords64(header), hi = mmu.hi;
    mmu.write64(header, old & ~mask | mask, hi);
  }
}

/** Reads and checks an XSAVE header; #GP(0) when it is not valid. Answers XSTATE_BV; `compact` tells the format. */
function readHeader(c: Core, la: number): { stored: number; compact: boolean } {
  const { mmu } = c, header = mmu.next(la, 512), allowed = c.s.word(L.XCR0);
  const stored = mmu.readWords64(header), storedHi = mmu.hi;
  const comp = mmu.readWords64(mmu.next(header, 8)), compHi = mmu.hi;
  const compact = (compHi & 0x8000_0000) !== 0;
  let bad = storedHi !== 0 || (stored & ~allowed) !== 0;
  if (compact) {
    bad ||= !c.policy.has("xsavec") || (compHi & 0x7fff_ffff) !== 0 || (comp & ~allowed) !== 0 ||
      (stored & ~comp) !== 0;
  } else bad ||= (comp | compHi) !== 0;
  for (let at = 16; at < (compact ? 64 : 24); at += 8) {
    const lo = mmu.readWords64(mmu.next(header, at));
    bad ||= (lo | mmu.hi) !== 0;
  }
  if (bad) raise(Vec.GP, 0);
  return { stored, compact };
}

function xrstor(c: Core, i: Insn): void {
  requireXsave(c, i.imm);
  const la = area(c, i, 576, 64, false), { stored, compact } = readHeader(c, la);
  const mask = c.s.lo(Gpr.AX) & c.s.word(L.XCR0);
  const mxcsr = compact && !(stored & SSE) ? MXCSR_RESET : c.mmu.read32(c.mmu.next(la, 24));
  if (mask & SSE && mxcsr & ~MXCSR_MASK) raise(Vec.GP, 0);
  if (mask & X87) {
    if (stored & X87) restoreX87(c, la, i.opsize === 8);
    else {
      initialise(c);
      c.s.u8.fill(0, L.FPR, L.FPR + 128);
    }
  }
  if (mask & SSE) {
    c.s.u32[MXCSR] = mxcsr;
    if (stored & SSE) restoreXmm(c, la);
    else c.s.u8.fill(0, L.XMM, L.XMM + xmmCount(c) * 16);
  }
}

/** Operations of this file. */
export const fxsaveOps: SysOpTable = { fxsave, fxrstor, ldmxcsr, stmxcsr, emms, xsave, xrstor };
