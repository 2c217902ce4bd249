/**
 * ENTER, BOUND, 128-by-64-bit division, CMPXCHG16B, and what raises #UD (Intel SDM volume 2).
 *
 * @module
 */
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Fl, Gpr, Seg } from "../state.ts";
import { linearLow, linearOf, readMem, readRm, writeMem } from "./operands.ts";
import type { SysOpTable } from "./ops.ts";
import { segLinear } from "./segments.ts";
import { Stack } from "./stack.ts";

const TWO32 = 0x1_0000_0000;
const stack = new Stack();

/** imm: bytes of locals; immHi: nesting level. Registers change only when everything was pushed. */
function enter(c: Core, i: Insn): void {
  const { s } = c, size = i.opsize, level = i.immHi & 31;
  stack.current(c);
  const wide = stack.bits === 64;
  stack.push(c, size, s.lo(Gpr.BP), s.hi(Gpr.BP));
  const frame = stack.sp;
  if (level > 0) {
    let bp = wide ? (s.hi(Gpr.BP) | 0) * TWO32 + s.lo(Gpr.BP) : s.lo(Gpr.BP);
    for (let n = 1; n < level; n++) {
      bp -= size;
      if (stack.bits === 32) bp >>>= 0;
      else if (stack.bits === 16) bp &= 0xffff;
      const lo = readMem(c, segLinear(c, Seg.SS, bp >>> 0, Math.floor(bp / TWO32) >>> 0, size, false), size);
      stack.push(c, size, lo, size === 8 ? c.mmu.hi : 0);
    }
    stack.push(c, size, frame >>> 0, Math.floor(frame / TWO32) >>> 0);
  }
  stack.skip(-(i.imm & 0xffff));
  // The new top must be writable, although nothing is stored there.
  const top = segLinear(c, Seg.SS, stack.sp >>> 0, Math.floor(stack.sp / TWO32) >>> 0, size, true);
  c.mmu.probeWrite(top, size);
  s.setRegSized(Gpr.BP, size * 8, frame >>> 0, Math.floor(frame / TWO32) >>> 0);
  stack.commit(c);
}

/** #BR when the signed index is below the first word of the pair in memory or above the second. */
function bound(c: Core, i: Insn): void {
  if (!i.isMem) raise(Vec.UD);
  const size = i.opsize, la = linearOf(c, i, size * 2, false);
  const extend = (v: number) => size === 2 ? v << 16 >> 16 : v | 0;
  const index = extend(c.s.lo(i.reg));
  // The upper word is read only when the lower one allows the index.
  if (index < extend(readMem(c, la, size))) raise(Vec.BR);
  if (index > extend(readMem(c, c.mmu.next(la, size), size))) raise(Vec.BR);
}

function wide(lo: number, hi: number): bigint {
  return BigInt(hi) << 32n | BigInt(lo);
}

function setWide(c: Core, reg: number, v: bigint): void {
  c.s.setReg(reg, Number(v & 0xffff_ffffn), Number(v >> 32n & 0xffff_ffffn));
}

function dividend(c: Core): bigint {
  return wide(c.s.lo(Gpr.DX), c.s.hi(Gpr.DX)) << 64n | wide(c.s.lo(Gpr.AX), c.s.hi(Gpr.AX));
}

function div64(c: Core, i: Insn): void {
  const lo = readRm(c, i, 8), d = wide(lo, c.mmu.hi), n = dividend(c);
  if (d === 0n) raise(Vec.DE);
  const q = n / d;
  if (q >> 64n !== 0n) raise(Vec.DE);
  setWide(c, Gpr.AX, q);
  setWide(c, Gpr.DX, n % d);
}

function idiv64(c: Core, i: Insn): void {
  const lo = readRm(c, i, 8), d = BigInt.asIntN(64, wide(lo, c.mmu.hi)), n = BigInt.asIntN(128, dividend(c));
  if (d === 0n) raise(Vec.DE);
  const q = n / d;
  if (q !== BigInt.asIntN(64, q)) raise(Vec.DE);
  setWide(c, Gpr.AX, BigInt.asUintN(64, q));
  setWide(c, Gpr.DX, BigInt.asUintN(64, n % d));
}

/** Compares RDX:RAX with 16 aligned bytes: equal stores RCX:RBX, else loads RDX:RAX; ZF tells which. */
function cmpxchg16b(c: Core, i: Insn): void {
  if (!i.isMem || !c.policy.has("cx16")) raise(Vec.UD);
  // Alignment comes before the canonical check: #GP even through SS.
  if (linearLow(c, i) % 16 !== 0) raise(Vec.GP, 0);
  const { s, mmu } = c, la = linearOf(c, i, 16, true);
  mmu.probeWrite(la, 16);
  const lo0 = mmu.readWords64(la), lo1 = mmu.hi, hi0 = mmu.readWords64(la + 8), hi1 = mmu.hi;
  const equal = lo0 === s.lo(Gpr.AX) && lo1 === s.hi(Gpr.AX) && hi0 === s.lo(Gpr.DX) && hi1 === s.hi(Gpr.DX);
  if (equal) {
    writeMem(c, la, 8, s.lo(Gpr.BX), s.hi(Gpr.BX));
    writeMem(c, la + 8, 8, s.lo(Gpr.CX), s.hi(Gpr.CX));
  } else {
    writeMem(c, la, 8, lo0, lo1);
    writeMem(c, la + 8, 8, hi0, hi1);
    s.setReg(Gpr.AX, lo0, lo1);
    s.setReg(Gpr.DX, hi0, hi1);
  }
  s.flags = (s.flags & ~Fl.ZF | (equal ? Fl.ZF : 0)) >>> 0;
}

function undefinedOpcode(): never {
  raise(Vec.UD);
}

/** Operations of this file. `unimplemented` is the decoder's, who knows the names. */
export const miscOps: SysOpTable = {
  enter,
  bound,
  div64,
  idiv64,
  cmpxchg16b,
  ud: undefinedOpcode,
  rdrand: undefinedOpcode,
  rdseed: undefinedOpcode,
};
