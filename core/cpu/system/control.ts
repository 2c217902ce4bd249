/**
 * Control and debug registers, cache and TLB instructions, HLT and friends, extended control registers
 * (Intel SDM volume 3 chapter 2 and 18; AMD APM volume 2 chapter 3 and 15 for the intercept points).
 *
 * `hooks.intercept` is called when privilege has been checked and nothing has changed yet. For the CR and DR reasons
 * `info1` is the general register's number and `info2` is 1 when the instruction is a MOV (EXITINFO1 bit 63), 0 for
 * SMSW, LMSW and CLTS; everywhere else both are EXITINFO1 and EXITINFO2 as they are.
 *
 * @module
 */
import { Reason } from "../../exits.ts";
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Cr0, Cr4, Gpr } from "../state.ts";
import { readCr, writeCr, writeCr0 } from "./crs.ts";
import { invalidationAddress, readRm, requireCpl0, requireUnprotectedByUmip, writeRm } from "./privilege.ts";
import { readTsc } from "../msr.ts";
import type { SysOpTable } from "./ops.ts";

/** DR6 bits that read as one, and those that software may set. */
const DR6_ONES = 0xffff_0ff0, DR6_WRITABLE = 0xe00f;
/** DR7 bit that reads as one, and those that software may set. */
const DR7_ONES = 0x400, DR7_WRITABLE = 0xffff_23ff;
const DR7_GD = 0x2000, DR6_BD = 0x2000;

function movFromCr(c: Core, i: Insn): void {
  const n = i.reg;
  if (n !== 0 && n !== 2 && n !== 3 && n !== 4 && n !== 8) raise(Vec.UD);
  requireCpl0(c);
  c.hooks.intercept(Reason.CR0_READ + n, i.rm, 1);
  const lo = readCr(c, n);
  if (c.s.code64) c.s.setReg(i.rm, lo, n === 8 ? 0 : c.s.word(crOffset(n) + 4));
  else c.s.setReg(i.rm, lo, 0);
}

/** Where a control register is kept (CR8 is the local APIC's). */
function crOffset(n: number): number {
  return L.CR0 + (n === 0 ? 0 : n - 1) * 8;
}

function movToCr(c: Core, i: Insn): void {
  const n = i.reg;
  if (n !== 0 && n !== 2 && n !== 3 && n !== 4 && n !== 8) raise(Vec.UD);
  requireCpl0(c);
  c.hooks.intercept(Reason.CR0_WRITE + n, i.rm, 1);
  writeCr(c, n, c.s.lo(i.rm), c.s.code64 ? c.s.hi(i.rm) : 0);
}

/** Checks shared by both directions; returns the register meant (DR4 and DR5 are DR6 and DR7 unless CR4.DE). */
function debugRegister(c: Core, i: Insn, write: boolean): number {
  const n = i.reg;
  if (n > 7 || (c.s.cr4 & Cr4.DE && (n === 4 || n === 5))) raise(Vec.UD);
  requireCpl0(c);
  c.hooks.intercept((write ? Reason.DR0_WRITE : Reason.DR0_READ) + n, i.rm, 1);
  if (c.s.word(L.DR + 7 * 8) & DR7_GD) {
    c.s.u32[(L.DR + 6 * 8) >> 2] |= DR6_BD;
    raise(Vec.DB);
  }
  return n === 4 || n === 5 ? n + 2 : n;
}

function movFromDr(c: Core, i: Insn): void {
  const at = L.DR + debugRegister(c, i, false) * 8;
  c.s.setReg(i.rm, c.s.word(at), c.s.code64 ? c.s.word(at + 4) : 0);
}

function movToDr(c: Core, i: Insn): void {
  const n = debugRegister(c, i, true), at = L.DR + n * 8;
  const lo = c.s.lo(i.rm), hi = c.s.code64 ? c.s.hi(i.rm) : 0;
  if (n >= 6 && hi !== 0) raise(Vec.GP, 0);
  if (n === 6) c.s.setWords(at, (lo & DR6_WRITABLE | DR6_ONES) >>> 0, 0);
  else if (n === 7) c.s.setWords(at, (lo & DR7_WRITABLE | DR7_ONES) >>> 0, 0);
  else c.s.setWords(at, lo, hi);
  c.updateMode();
}

function smsw(c: Core, i: Insn): void {
  requireUnprotectedByUmip(c);
  c.hooks.intercept(Reason.CR0_READ, 0, 0);
  writeRm(c, i, i.isMem ? 2 : i.opsize, c.s.cr0, 0);
}

function lmsw(c: Core, i: Insn): void {
  requireCpl0(c);
  const msw = readRm(c, i, 2);
  c.hooks.intercept(Reason.CR0_WRITE, 0, 0);
  const low = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS;
  writeCr0(c, (c.s.cr0 & ~low | msw & low | c.s.cr0 & Cr0.PE) >>> 0, 0);
}

function clts(c: Core): void {
  requireCpl0(c);
  c.hooks.intercept(Reason.CR0_WRITE, 0, 0);
  c.s.u32[L.CR0 >> 2] &= ~Cr0.TS;
  c.updateMode();
}

function invlpg(c: Core, i: Insn): void {
  requireCpl0(c);
  const la = invalidationAddress(c, i);
  c.hooks.intercept(Reason.INVLPG, la, 0);
  if (la >= -0x8000_0000_0000 && la < 0x8000_0000_0000) c.mmu.invlpg(la);
}

function cacheOp(reason: number): (c: Core) => void {
  return (c) => {
    requireCpl0(c);
    c.hooks.intercept(reason, 0, 0);
  };
}

/** #UD without a TSC, #GP(0) in user code when CR4.TSD is set. */
function requireTsc(c: Core): void {
  if (!c.policy.has("tsc")) raise(Vec.UD);
  if (c.s.cr4 & Cr4.TSD && c.s.cpl !== 0) raise(Vec.GP, 0);
}

function rdtsc(c: Core): void {
  requireTsc(c);
  c.hooks.intercept(Reason.RDTSC, 0, 0);
  readTsc(c);
  c.s.setReg(Gpr.AX, c.msrLo, 0);
  c.s.setReg(Gpr.DX, c.msrHi, 0);
}

function rdtscp(c: Core): void {
  if (!c.policy.has("rdtscp")) raise(Vec.UD);
  requireTsc(c);
  c.hooks.intercept(Reason.RDTSCP, 0, 0);
  readTsc(c);
  c.s.setReg(Gpr.AX, c.msrLo, 0);
  c.s.setReg(Gpr.DX, c.msrHi, 0);
  c.s.setReg(Gpr.CX, c.s.word(L.MSR_TSC_AUX), 0);
}

/** The counters exist, as Xen shows them to a guest without a virtual PMU, and never count. */
function rdpmc(c: Core): void {
  if (c.policy.preset.family < 6) raise(Vec.UD);
  if (!(c.s.cr4 & Cr4.PCE) && c.s.cpl !== 0) raise(Vec.GP, 0);
  c.hooks.intercept(Reason.RDPMC, 0, 0);
  if (c.s.lo(Gpr.CX) > (c.policy.amd ? 3 : 1)) raise(Vec.GP, 0);
  c.s.setReg(Gpr.AX, 0, 0);
  c.s.setReg(Gpr.DX, 0, 0);
}

function cpuid(c: Core): void {
  const r = c.hooks.cpuid(c.s.lo(Gpr.AX), c.s.lo(Gpr.CX));
  c.s.setReg(Gpr.AX, r.eax, 0);
  c.s.setReg(Gpr.BX, r.ebx, 0);
  c.s.setReg(Gpr.CX, r.ecx, 0);
  c.s.setReg(Gpr.DX, r.edx, 0);
}

function hlt(c: Core): void {
  requireCpl0(c);
  c.halted = true;
  c.hooks.hlt();
}

function pause(c: Core): void {
  c.hooks.intercept(Reason.PAUSE, 0, 0);
}

/** No policy can offer MONITOR/MWAIT in this build, nor nested SVM. */
function absent(): never {
  raise(Vec.UD);
}

function xgetbv(c: Core): void {
  if (!(c.s.cr4 & Cr4.OSXSAVE)) raise(Vec.UD);
  const index = c.s.lo(Gpr.CX);
  if (index !== 0 && !(index === 1 && c.policy.has("xgetbv1"))) raise(Vec.GP, 0);
  c.s.setReg(Gpr.AX, c.s.word(L.XCR0), 0);
  c.s.setReg(Gpr.DX, c.s.word(L.XCR0 + 4), 0);
}

function xsetbv(c: Core): void {
  if (!(c.s.cr4 & Cr4.OSXSAVE)) raise(Vec.UD);
  requireCpl0(c);
  c.hooks.intercept(Reason.XSETBV, 0, 0);
  const lo = c.s.lo(Gpr.AX), hi = c.s.lo(Gpr.DX);
  if (c.s.lo(Gpr.CX) !== 0 || hi !== 0 || lo & ~c.policy.xcr0Mask || !(lo & 1)) raise(Vec.GP, 0);
  c.s.setWords(L.XCR0, lo, hi);
  c.updateMode();
}

function hypercall(vmcall: boolean): (c: Core) => void {
  return (c) => {
    if (!c.hooks.vmmcall(vmcall)) raise(Vec.UD);
  };
}

/** Operations of this file; RDMSR and WRMSR are in `msrops.ts`, flags in `flagsops.ts`. */
export const controlOps: SysOpTable = {
  smsw,
  lmsw,
  clts,
  mov_from_cr: movFromCr,
  mov_to_cr: movToCr,
  mov_from_dr: movFromDr,
  mov_to_dr: movToDr,
  invlpg,
  invd: cacheOp(Reason.INVD),
  wbinvd: cacheOp(Reason.WBINVD),
  wbnoinvd: cacheOp(Reason.WBINVD),
  rdtsc,
  rdtscp,
  rdpmc,
  cpuid,
  hlt,
  pause,
  monitor: absent,
  mwait: absent,
  svm_op: absent,
  invpcid: absent,
  pkru: absent,
  xgetbv,
  xsetbv,
  vmcall: hypercall(true),
  vmmcall: hypercall(false),
};
