/**
 * IRET in every mode (Intel SDM volume 2, "IRET/IRETD/IRETQ").
 *
 * @module
 */
import { Reason } from "../../exits.ts";
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Cr0, Fl, Gpr, Seg } from "../state.ts";
import { settleRf } from "../stepping.ts";
import { Descriptor } from "./descriptors.ts";
import { checkReturnCode, checkReturnStack, enterCode, enterOuter } from "./returns.ts";
import { loadRealSegment, V86_ATTR } from "./segments.ts";
import { Stack } from "./stack.ts";
import { switchTask } from "./task.ts";

const cs = new Descriptor();
const ss = new Descriptor();
const stack = new Stack();

/** Flags that every IRET restores, and those that 32- and 64-bit ones restore besides. */
const ALWAYS = Fl.CF | Fl.PF | Fl.AF | Fl.ZF | Fl.SF | Fl.TF | Fl.DF | Fl.OF | Fl.NT;
const WIDE = Fl.RF | Fl.AC | Fl.ID;
/** Flags of a return to virtual-8086 mode: all. */
const V86_FLAGS = 0x3f_7fd5;

/** IRET, IRETD, IRETQ. */
export function iret(core: Core, insn: Insn): void {
  const { s } = core, size = insn.opsize;
  core.hooks.intercept(Reason.IRET, 0, 0);
  if (!(s.cr0 & Cr0.PE)) iretReal(core, size);
  else if (s.v86) iretV86(core, size);
  else if (s.longMode) {
    if (s.u32[L.FLAGS >> 2] & Fl.NT) raise(Vec.GP, 0);
    iretTo(core, size);
  } else if (s.u32[L.FLAGS >> 2] & Fl.NT) {
    switchTask(core, core.mmu.read16(s.segBase(Seg.TR), true), "iret", s.flags, 0);
  } else iretTo(core, size);
  settleRf(s);
  core.nmiBlocked = false;
}

function iretReal(core: Core, size: number): void {
  const { s } = core, top = stack.current(core);
  const ip = top.pop(core, size), sel = top.pop(core, size) & 0xffff, image = top.pop(core, size);
  if (ip > s.segLimit(Seg.CS)) raise(Vec.GP, 0);
  const mask = size === 4 ? 0x25_7fd5 : 0x7fd5;
  s.flags = s.flags & ~mask | image & mask;
  top.commit(core);
  loadRealSegment(s, Seg.CS, sel);
  s.setWords(L.RIP, ip, 0);
  core.updateMode();
}

function iretV86(core: Core, size: number): void {
  const { s } = core;
  if ((s.u32[L.FLAGS >> 2] & Fl.IOPL) !== Fl.IOPL) raise(Vec.GP, 0);
  const top = stack.current(core);
  const ip = top.pop(core, size), sel = top.pop(core, size) & 0xffff, image = top.pop(core, size);
  if (ip > 0xffff) raise(Vec.GP, 0);
  const mask = size === 4 ? ALWAYS | WIDE | Fl.IF : ALWAYS | Fl.IF;
  s.flags = s.flags & ~mask | image & mask;
  top.commit(core);
  loadRealSegment(s, Seg.CS, sel);
  s.setWords(L.RIP, ip, 0);
  core.updateMode();
}

/** Protected and long mode. */
function iretTo(core: Core, size: number): void {
  const { s, mmu } = core, top = stack.current(core), { cpl } = s;
  const ipLo = top.pop(core, size), ipHi = size === 8 ? mmu.hi : 0;
  const sel = top.pop(core, size) & 0xffff, image = top.pop(core, size);
  if (image & Fl.VM && cpl === 0 && size === 4 && !s.longMode) {
    toV86(core, top, ipLo, sel, image);
    return;
  }
  checkReturnCode(core, cs, sel);
  const flags = restored(s.flags, image, size, cpl);
  if ((sel & 3) === cpl && !s.code64) {
    enterCode(core, cs, sel, cpl, ipLo, ipHi);
    top.commit(core);
  } else {
    const spLo = top.pop(core, size), spHi = size === 8 ? mmu.hi : 0;
    checkReturnStack(core, cs, ss, top.pop(core, size) & 0xffff, sel & 3);
    enterOuter(core, cs, ss, sel, ipLo, ipHi, spLo, spHi);
  }
  s.flags = flags;
  core.updateMode();
}

/** RFLAGS after IRET: what the level and IOPL before it let through. */
function restored(old: number, image: number, size: number, cpl: number): number {
  let mask: number = size > 2 ? ALWAYS | WIDE : ALWAYS;
  if (cpl <= (old >>> 12 & 3)) mask |= Fl.IF;
  if (cpl === 0) mask |= size > 2 ? Fl.IOPL | Fl.VIF | Fl.VIP : Fl.IOPL;
  return old & ~mask | image & mask;
}

function toV86(core: Core, top: Stack, ip: number, sel: number, image: number): void {
  const { s } = core;
  const sp = top.pop(core, 4), stackSel = top.pop(core, 4) & 0xffff;
  const es = top.pop(core, 4) & 0xffff, ds = top.pop(core, 4) & 0xffff;
  const fs = top.pop(core, 4) & 0xffff, gs = top.pop(core, 4) & 0xffff;
  if (ip > 0xffff) raise(Vec.GP, 0);
  s.flags = image & V86_FLAGS;
  v86Segment(core, Seg.CS, sel);
  v86Segment(core, Seg.SS, stackSel);
  v86Segment(core, Seg.ES, es);
  v86Segment(core, Seg.DS, ds);
  v86Segment(core, Seg.FS, fs);
  v86Segment(core, Seg.GS, gs);
  s.i32[L.CPL >> 2] = 3;
  s.setWords(L.RIP, ip, 0);
  s.setReg(Gpr.SP, sp, 0);
  core.updateMode();
}

function v86Segment(core: Core, seg: number, sel: number): void {
  core.s.setSeg(seg, sel, sel << 4, 0xffff, V86_ATTR);
}
