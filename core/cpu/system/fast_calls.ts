/**
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT (AMD APM volume 3; where Intel's processors differ, SDM volume 2).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Efer, Fl, Gpr, Seg } from "../state.ts";
import { CODE32, CODE64, DPL3, STACK } from "./flat.ts";

function flat(core: Core, seg: number, sel: number, attr: number): void {
  core.s.setSeg(seg, sel & 0xffff, 0, 0xffff_ffff, attr);
}

function requireSyscall(core: Core): void {
  const { s } = core;
  const legacy = !s.code64 && !core.policy.amd;
  if (!(s.efer & Efer.SCE) || s.realMode || s.v86 || legacy) raise(Vec.UD);
}

/** 0F 05. */
export function syscall(core: Core): void {
  const { s } = core;
  requireSyscall(core);
  const sel = s.word(L.MSR_STAR + 4) & 0xfffc, cleared = Fl.RF;
  if (s.longMode) {
    s.setReg(Gpr.CX, s.word(L.RIP), s.code64 ? s.word(L.RIP + 4) : 0);
    s.setReg(11, s.flags & ~cleared, 0);
    const target = s.code64 ? L.MSR_LSTAR : L.MSR_CSTAR;
    s.setWords(L.RIP, s.word(target), s.word(target + 4));
    flat(core, Seg.CS, sel, CODE64);
    flat(core, Seg.SS, sel + 8, STACK);
    s.flags = s.flags & ~(s.word(L.MSR_SFMASK) | cleared);
  } else {
    s.setReg(Gpr.CX, s.word(L.RIP), 0);
    s.setWords(L.RIP, s.word(L.MSR_STAR), 0);
    flat(core, Seg.CS, sel, CODE32);
    flat(core, Seg.SS, sel + 8, STACK);
    s.u32[L.FLAGS >> 2] &= ~(Fl.IF | Fl.VM | cleared);
  }
  s.i32[L.CPL >> 2] = 0;
  core.updateMode();
}

/** 0F 07. */
export function sysret(core: Core, insn: Insn): void {
  const { s } = core;
  requireSyscall(core);
  if (s.cpl !== 0) raise(Vec.GP, 0);
  const base = s.word(L.MSR_STAR + 4) >>> 16, long = s.longMode, wide = s.code64 && insn.opsize === 8;
  const lo = s.lo(Gpr.CX), hi = wide ? s.hi(Gpr.CX) | 0 : 0;
  // Intel's processors check the target before they leave level 0; AMD's fault on the fetch at level 3.
  if (!core.policy.amd && hi >> 15 !== hi >> 31) raise(Vec.GP, 0);
  flat(core, Seg.CS, (wide ? base + 16 : base) | 3, (wide ? CODE64 : CODE32) | DPL3);
  if (core.policy.amd) {
    // APM: only the selector of SS changes; base, limit and attributes stay. (A known trap for 32-bit processes.)
    s.u32[(L.SEG + Seg.SS * L.SEG_SIZE + L.SEG_SEL) >> 2] = (base + 8 | 3) & 0xffff;
  } else flat(core, Seg.SS, (base + 8) | 3, STACK | DPL3);
  s.setWords(L.RIP, lo, hi);
  if (long) s.flags = s.lo(11) & ~(Fl.RF | Fl.VM);
  else s.u32[L.FLAGS >> 2] |= Fl.IF;
  s.i32[L.CPL >> 2] = 3;
  core.updateMode();
}

/** SYSENTER and SYSEXIT exist where CPUID says SEP; AMD's processors refuse them in long mode. */
function requireSysenter(core: Core): void {
  const { s } = core;
  if (!core.policy.has("sep") || (s.longMode && core.policy.amd)) raise(Vec.UD);
  if (s.realMode || (s.word(L.MSR_SYSENTER_CS) & 0xfffc) === 0) raise(Vec.GP, 0);
}

/** 0F 34. */
export function sysenter(core: Core): void {
  const { s } = core;
  requireSysenter(core);
  const sel = s.word(L.MSR_SYSENTER_CS) & 0xfffc, long = s.longMode;
  flat(core, Seg.CS, sel, long ? CODE64 : CODE32);
  flat(core, Seg.SS, sel + 8, STACK);
  s.setReg(Gpr.SP, s.word(L.MSR_SYSENTER_ESP), long ? s.word(L.MSR_SYSENTER_ESP + 4) : 0);
  s.setWords(L.RIP, s.word(L.MSR_SYSENTER_EIP), long ? s.word(L.MSR_SYSENTER_EIP + 4) : 0);
  s.u32[L.FLAGS >> 2] &= ~(Fl.IF | Fl.VM | Fl.RF);
  s.i32[L.CPL >> 2] = 0;
  core.updateMode();
}

/** 0F 35. */
export function sysexit(core: Core, insn: Insn): void {
  const { s } = core;
  requireSysenter(core);
  if (s.cpl !== 0) raise(Vec.GP, 0);
  const wide = insn.opsize === 8, sel = s.word(L.MSR_SYSENTER_CS) & 0xfffc;
  const ipHi = wide ? s.hi(Gpr.DX) | 0 : 0, spHi = wide ? s.hi(Gpr.CX) | 0 : 0;
  if (ipHi >> 15 !== ipHi >> 31 || spHi >> 15 !== spHi >> 31) raise(Vec.GP, 0);
  flat(core, Seg.CS, sel + (wide ? 32 : 16) | 3, (wide ? CODE64 : CODE32) | DPL3);
  flat(core, Seg.SS, sel + (wide ? 40 : 24) | 3, STACK | DPL3);
  s.setWords(L.RIP, s.lo(Gpr.DX), ipHi);
  s.setReg(Gpr.SP, s.lo(Gpr.CX), spHi);
  s.i32[L.CPL >> 2] = 3;
  core.updateMode();
}
