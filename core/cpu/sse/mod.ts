/**
 * The system operation "sse_fp": SSE floating-point instructions in TypeScript, exact in every rounding mode and with
 * every exception, and SSE4.2's string comparisons. Generated code does the common cases itself (`semantics/vector_fp.ts`).
 *
 * `imm` is the immediate byte; `immHi` = opcode | prefix << 8 (0 none, 1 66, 2 F3, 3 F2) | map << 12 (0 0F, 1 0F38,
 * 2 0F3A).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { type Insn, REC } from "../insn.ts";
import { linearLow, linearOf, readMem, readRm } from "../system/operands.ts";
import { Gpr } from "../state.ts";
import type { SysOpTable } from "../system/ops.ts";
import { deliverPending } from "../x87/fpu.ts";
import { Order, order } from "./compare.ts";
import { ctx } from "./context.ts";
import { fromInteger, toInteger } from "./convert.ts";
import {
  arithmetic,
  convertFromMmx,
  convertPacked,
  convertToMmx,
  dotProduct,
  isArithmetic,
  OUT,
  roundLanes,
  X,
  Y,
} from "./lanes.ts";
import { compareStrings, stringIndex, stringMask } from "./strings.ts";

/** Reads the first operand, an XMM register, into X. */
function readX(c: Core, i: Insn): void {
  const at = (L.XMM + c.s.u8[i.at + REC.R0]) >> 2;
  for (let k = 0; k < 4; k++) X[k] = c.s.u32[at + k];
}

/** Reads the second operand into Y: an XMM register, or so many bytes of memory (16: aligned, else #GP(0)). */
function readY(c: Core, i: Insn, bytes: number, aligned = true): void {
  const { s, mmu } = c;
  if (!i.isMem) {
    const at = (L.XMM + s.u8[i.at + REC.R1]) >> 2;
    for (let k = 0; k < 4; k++) Y[k] = s.u32[at + k];
    return;
  }
  if (bytes === 16 && aligned && linearLow(c, i) & 15) raise(Vec.GP, 0);
  const la = linearOf(c, i, bytes, false);
  if (bytes === 16 && la & 7) return readBytes(c, la);
  Y[0] = readMem(c, la, Math.min(bytes, 8));
  if (bytes >= 8) Y[1] = mmu.hi;
  if (bytes === 16) {
    Y[2] = mmu.readWords64(mmu.next(la, 8));
    Y[3] = mmu.hi;
  }
}

/** Reads 16 bytes into Y one by one: no alignment check applies. */
function readBytes(c: Core, la: number): void {
  Y.fill(0);
  for (let k = 0; k < 16; k++) Y[k >> 2] |= c.mmu.read8(c.mmu.canonical(c.mmu.next(la, k))) << (k & 3) * 8;
}

/** Writes OUT to the first operand. */
function writeX(c: Core, i: Insn): void {
  const at = (L.XMM + c.s.u8[i.at + REC.R0]) >> 2;
  for (let k = 0; k < 4; k++) c.s.u32[at + k] = OUT[k];
}

/** Bytes that an instruction with an XMM or memory source reads from memory. */
function sourceBytes(opcode: number, prefix: number): number {
  switch (opcode) {
    case 0x2e:
    case 0x2f:
      return prefix === 1 ? 8 : 4;
    case 0x5a:
      return prefix === 0 || prefix === 3 ? 8 : prefix === 1 ? 16 : 4;
    case 0x5b:
      return 16;
    case 0xe6:
      return prefix === 2 ? 8 : 16;
    case 0x7c:
    case 0x7d:
    case 0xd0:
      return 16;
  }
  return prefix === 2 ? 4 : prefix === 3 ? 8 : 16;
}

/** COMISS, UCOMISS and the double ones: ZF PF CF from the order; the other flags are cleared. */
function compareToFlags(c: Core, i: Insn, opcode: number, prefix: number): void {
  readX(c, i);
  readY(c, i, sourceBytes(opcode, prefix));
  ctx.begin(c);
  const o = order(prefix === 1, X, 0, Y, 0, opcode === 0x2f);
  ctx.commit(c);
  const bits = o === Order.UNORDERED ? 0x45 : o === Order.LESS ? 1 : o === Order.EQUAL ? 0x40 : 0;
  c.s.flags = c.s.flags & ~0x8d5 | bits;
}

/** MMX state rules: TOP = 0, all registers valid. */
function enterMmx(c: Core): void {
  c.s.u32[L.FTW >> 2] = 0;
  c.s.u32[L.FSW >> 2] &= ~0x3800;
}

/** 2A: from MMX or memory (prefix none, 66), or from a general register or memory (F3, F2). */
function fromIntegers(c: Core, i: Insn, prefix: number): void {
  const { s } = c;
  readX(c, i);
  if (prefix >= 2) {
    const wide = i.opsize === 8, lo = readRm(c, i, wide ? 8 : 4), hi = wide ? c.mmu.hi : lo >> 31;
    ctx.begin(c);
    OUT.set(X);
    fromInteger(prefix === 3, hi, lo, OUT, 0);
    ctx.commit(c);
    return writeX(c, i);
  }
  if (!i.isMem && deliverPending(c, i)) return;
  if (i.isMem) readY(c, i, 8); // no MMX register is used: the x87 state stays
  else {
    const at = (L.FPR + s.u8[i.at + REC.R1]) >> 2;
    Y[0] = s.u32[at];
    Y[1] = s.u32[at + 1];
  }
  ctx.begin(c);
  convertFromMmx(prefix === 1);
  if (!i.isMem) enterMmx(c);
  ctx.commit(c);
  writeX(c, i);
}

/** 2C (truncating), 2D: to MMX, or to a general register. */
function toIntegers(c: Core, i: Insn, prefix: number, truncate: boolean): void {
  const { s } = c, double = (prefix & 1) !== 0;
  if (prefix >= 2) {
    const wide = i.opsize === 8;
    readY(c, i, double ? 8 : 4);
    ctx.begin(c);
    toInteger(wide, truncate, double, Y, 0, OUT, 0);
    ctx.commit(c);
    return s.setReg(i.reg, OUT[0], wide ? OUT[1] : 0);
  }
  if (deliverPending(c, i)) return;
  readY(c, i, double ? 16 : 8);
  ctx.begin(c);
  convertToMmx(double, truncate);
  enterMmx(c);
  ctx.commit(c);
  const at = (L.FPR + s.u8[i.at + REC.R0]) >> 2;
  s.u32[at] = OUT[0];
  s.u32[at + 1] = OUT[1];
  s.u32[at + 2] = 0xffff;
}

/** PCMPESTRM (60), PCMPESTRI (61), PCMPISTRM (62), PCMPISTRI (63); memory operands need no alignment. */
function strings(c: Core, i: Insn, opcode: number): void {
  const { s } = c, wide = i.opsize === 8;
  readX(c, i);
  readY(c, i, 16, false);
  const length = (r: number) => wide ? s.num(L.GPR + r * 8) : s.lo(r) | 0;
  const r = compareStrings(X, Y, i.imm, opcode < 0x62, length(Gpr.AX), length(Gpr.DX));
  if (opcode & 1) s.setReg(Gpr.CX, stringIndex(r, (i.imm & 0x40) !== 0), 0);
  else {
    stringMask(r, (i.imm & 0x40) !== 0, OUT);
    for (let k = 0; k < 4; k++) s.u32[(L.XMM >> 2) + k] = OUT[k];
  }
  s.flags = s.flags & ~0x8d5 | r.flags;
}

/** Map 0F3A: ROUNDPS ROUNDPD ROUNDSS ROUNDSD, DPPS, DPPD. */
function map3a(c: Core, i: Insn, opcode: number): void {
  readX(c, i);
  readY(c, i, opcode === 0x0a ? 4 : opcode === 0x0b ? 8 : 16);
  ctx.begin(c);
  if (opcode >= 0x40) dotProduct(opcode === 0x41, i.imm);
  else roundLanes(opcode, i.imm);
  ctx.commit(c);
  writeX(c, i);
}

function sseFp(c: Core, i: Insn): void {
  const what = i.immHi, opcode = what & 0xff, prefix = what >>> 8 & 3;
  if (what >>> 12 === 2) return opcode >= 0x60 ? strings(c, i, opcode) : map3a(c, i, opcode);
  if (opcode === 0x2a) return fromIntegers(c, i, prefix);
  if (opcode === 0x2c || opcode === 0x2d) return toIntegers(c, i, prefix, opcode === 0x2c);
  if (opcode === 0x2e || opcode === 0x2f) return compareToFlags(c, i, opcode, prefix);
  readX(c, i);
  readY(c, i, sourceBytes(opcode, prefix));
  ctx.begin(c);
  if (isArithmetic(opcode)) arithmetic(opcode, prefix, i.imm & 0xff);
  else convertPacked(opcode, prefix);
  ctx.commit(c);
  writeX(c, i);
}

/** System operations of this file. */
export const sseOps: SysOpTable = { sse_fp: sseFp };
