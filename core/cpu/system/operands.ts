/**
 * Operands of system operations: registers, memory by ModRM, the stack.
 *
 * @module
 */
import type { Core } from "../core.ts";
import { type Insn, REC } from "../insn.ts";
import * as L from "../../layout.ts";
import { Seg } from "../state.ts";
import { segLinear } from "./segments.ts";

const TWO32 = 0x1_0000_0000;

/**
 * Linear address of the memory operand, after segment checks.
 * @param size bytes accessed there
 * @param write the access writes
 * @param extraOffset added to the effective address (wraps at the address size)
 */
export function linearOf(core: Core, insn: Insn, size: number, write: boolean, extraOffset = 0): number {
  insn.computeEa();
  let lo = insn.eaLo, hi = insn.eaHi;
  if (extraOffset !== 0) {
    const sum = lo + extraOffset;
    lo = sum >>> 0;
    if (insn.addrsize === 8) hi = (hi + Math.floor(sum / TWO32)) >>> 0;
    else if (insn.addrsize === 2) lo &= 0xffff;
  }
  return segLinear(core, insn.seg, lo, hi, size, write);
}

/** Low 32 bits of the memory operand's linear address, nothing checked: alignment is looked at before anything else. */
export function linearLow(core: Core, insn: Insn): number {
  insn.computeEa();
  const based = !core.s.code64 || insn.seg >= Seg.FS;
  return (insn.eaLo + (based ? core.s.word(L.SEG + insn.seg * L.SEG_SIZE + L.SEG_BASE) : 0)) >>> 0;
}

/**
 * Reads the r/m operand (register or memory), zero-extended.
 * @param size 1, 2, 4 or 8 bytes
 * @returns low word; for size 8 the high word is in `core.mmu.hi`
 */
export function readRm(core: Core, insn: Insn, size: number): number {
  if (!insn.isMem) {
    const { s } = core, at = L.GPR + s.u8[insn.at + REC.R1];
    if (size === 1) return s.u8[at];
    if (size === 8) core.mmu.hi = s.u32[(at >> 2) + 1];
    return size === 2 ? s.u32[at >> 2] & 0xffff : s.u32[at >> 2];
  }
  return readMem(core, linearOf(core, insn, size, false), size);
}

/** Writes the r/m operand; a 32-bit register write clears the upper half, smaller ones merge. */
export function writeRm(core: Core, insn: Insn, size: number, lo: number, hi: number): void {
  if (insn.isMem) {
    writeMem(core, linearOf(core, insn, size, true), size, lo, hi);
    return;
  }
  const { s } = core, at = L.GPR + s.u8[insn.at + REC.R1];
  if (size === 1) s.u8[at] = lo;
  else if (size === 2) s.view.setUint16(at, lo & 0xffff, true);
  else {
    s.u32[at >> 2] = lo;
    s.u32[(at >> 2) + 1] = size === 8 ? hi : 0;
  }
}

/** Reads 1, 2, 4 or 8 bytes at a linear address; for 8 the high word is in `core.mmu.hi`. */
export function readMem(core: Core, la: number, size: number): number {
  const { mmu } = core;
  if (size === 1) return mmu.read8(la);
  if (size === 2) return mmu.read16(la);
  return size === 4 ? mmu.read32(la) : mmu.readWords64(la);
}

/** Writes 1, 2, 4 or 8 bytes at a linear address. */
export function writeMem(core: Core, la: number, size: number, lo: number, hi: number): void {
  const { mmu } = core;
  if (size === 1) mmu.write8(la, lo);
  else if (size === 2) mmu.write16(la, lo);
  else if (size === 4) mmu.write32(la, lo);
  else mmu.write64(la, lo, hi);
}
