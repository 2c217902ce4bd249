/**
 * Port input and output, with the I/O permission bitmap (Intel SDM volume 1, chapter 19).
 *
 * For each access that is allowed `hooks.intercept(IOIO, info1, next RIP)` comes immediately before `portIn` or
 * `portOut`; `info1` is EXITINFO1 of AMD APM volume 2, 15.10.2: bit 0 IN, 2 string, 3 REP, 4-6 operand size,
 * 7-9 address size, 10-12 segment, 16-31 port.
 *
 * @module
 */
import { Reason } from "../../exits.ts";
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Attr, Cr0, Fl, Gpr, Seg } from "../state.ts";
import type { SysOpTable } from "./ops.ts";
import { readMem, writeMem } from "./operands.ts";
import { iopl } from "./privilege.ts";
import { segLinear } from "./segments.ts";

/** Offset of the I/O map base in a 32- or 64-bit TSS. */
const IOMAP_BASE = 0x66;

/** #GP(0) unless CPL and IOPL, or the TSS's I/O permission bitmap, allow `size` ports from `port`. */
export function requirePort(c: Core, port: number, size: number): void {
  const { s } = c;
  if (!(s.cr0 & Cr0.PE) || (!s.v86 && s.cpl <= iopl(c))) return;
  const attr = s.segAttr(Seg.TR), limit = s.segLimit(Seg.TR);
  const tss32 = (attr & (Attr.UNUSABLE | Attr.P | 0xd)) === (Attr.P | 9);
  if (!tss32 || limit < IOMAP_BASE + 1) raise(Vec.GP, 0);
  const tss = s.segBase(Seg.TR), wrap = (la: number) => s.longMode ? la : la >>> 0;
  const at = c.mmu.read16(wrap(tss + IOMAP_BASE), true) + (port >>> 3);
  if (at + 1 > limit) raise(Vec.GP, 0);
  const bits = c.mmu.read16(wrap(tss + at), true) >>> (port & 7);
  if (bits & (1 << size) - 1) raise(Vec.GP, 0);
}

const SIZE_BIT: Readonly<Record<number, number>> = { 1: 0x10, 2: 0x20, 4: 0x40 };
const ADDRESS_BIT: Readonly<Record<number, number>> = { 2: 0x80, 4: 0x100, 8: 0x200 };
const IN = 1, STR = 4, REP = 8;

function intercept(c: Core, i: Insn, port: number, size: number, kind: number, seg: number): void {
  const info = (kind | SIZE_BIT[size] | ADDRESS_BIT[i.addrsize] | seg << 10) + port * 0x1_0000;
  c.hooks.intercept(Reason.IOIO, info, c.s.rip);
}

function input(c: Core, i: Insn, port: number): void {
  const size = Math.min(i.opsize, 4);
  requirePort(c, port, size);
  intercept(c, i, port, size, IN, 0);
  c.s.setRegSized(Gpr.AX, size * 8, c.hooks.portIn(port, size, false, false));
}

function output(c: Core, i: Insn, port: number): void {
  const size = Math.min(i.opsize, 4), value = c.s.lo(Gpr.AX);
  requirePort(c, port, size);
  intercept(c, i, port, size, 0, 0);
  c.hooks.portOut(port, size, size === 4 ? value : value & (1 << size * 8) - 1, false, false);
}

/** Iterations left under REP, at the address size; the high word only for 64-bit addresses. */
function countIsZero(c: Core, i: Insn): boolean {
  const lo = c.s.lo(Gpr.CX);
  if (i.addrsize === 8) return (lo | c.s.hi(Gpr.CX)) === 0;
  return i.addrsize === 4 ? lo === 0 : (lo & 0xffff) === 0;
}

/** Adds a small signed amount to a register at the address size. */
function advance(c: Core, i: Insn, reg: number, by: number): void {
  const sum = c.s.lo(reg) + by;
  const hi = (c.s.hi(reg) + Math.floor(sum / 0x1_0000_0000)) >>> 0;
  c.s.setRegSized(reg, i.addrsize * 8, sum >>> 0, hi);
}

/** After one iteration: counts down, and goes back to the instruction when there are more. */
function finish(c: Core, i: Insn, index: number, size: number): void {
  advance(c, i, index, c.s.u32[L.FLAGS >> 2] & Fl.DF ? -size : size);
  if (!i.rep && !i.repne) return;
  advance(c, i, Gpr.CX, -1);
  if (!countIsZero(c, i)) c.s.rip = i.rip;
}

/** Linear address of the string element at an index register, checked. */
function element(c: Core, i: Insn, seg: number, index: number, size: number, write: boolean): number {
  const lo = c.s.lo(index);
  if (i.addrsize === 8) return segLinear(c, seg, lo, c.s.hi(index), size, write);
  return segLinear(c, seg, i.addrsize === 4 ? lo : lo & 0xffff, 0, size, write);
}

function ins(c: Core, i: Insn): void {
  const size = Math.min(i.opsize, 4), port = c.s.lo(Gpr.DX) & 0xffff, repeated = i.rep || i.repne;
  requirePort(c, port, size);
  if (repeated && countIsZero(c, i)) return;
  const la = element(c, i, Seg.ES, Gpr.DI, size, true);
  c.mmu.probeWrite(la, size);
  intercept(c, i, port, size, IN | STR | (repeated ? REP : 0), Seg.ES);
  writeMem(c, la, size, c.hooks.portIn(port, size, true, repeated), 0);
  finish(c, i, Gpr.DI, size);
}

function outs(c: Core, i: Insn): void {
  const size = Math.min(i.opsize, 4), port = c.s.lo(Gpr.DX) & 0xffff, repeated = i.rep || i.repne;
  requirePort(c, port, size);
  if (repeated && countIsZero(c, i)) return;
  const value = readMem(c, element(c, i, i.seg, Gpr.SI, size, false), size);
  intercept(c, i, port, size, STR | (repeated ? REP : 0), i.seg);
  c.hooks.portOut(port, size, value, true, repeated);
  finish(c, i, Gpr.SI, size);
}

/** Operations of this file. */
export const portOps: SysOpTable = {
  in_imm: (c, i) => input(c, i, i.imm & 0xff),
  in_dx: (c, i) => input(c, i, c.s.lo(Gpr.DX) & 0xffff),
  out_imm: (c, i) => output(c, i, i.imm & 0xff),
  out_dx: (c, i) => output(c, i, c.s.lo(Gpr.DX) & 0xffff),
  ins,
  outs,
};
