/**
 * Interrupt, trap and task gates of protected mode (Intel SDM volume 3, 6.12; volume 2, "INT n").
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Attr, Fl, Gpr, Seg } from "../state.ts";
import { checkTarget, Descriptor, readSelector, selectorError, SysType } from "./descriptors.ts";
import { readInnerStack } from "./inner_stack.ts";
import { loadNull } from "./segments.ts";
import { Stack } from "./stack.ts";
import { switchTask } from "./task.ts";

const gate = new Descriptor();
const cs = new Descriptor();
const ss = new Descriptor();
const stack = new Stack();

/** Types that a protected-mode IDT entry may have; bit n: type n. */
const IDT_TYPES = 1 << SysType.TASK_GATE | 1 << SysType.INT16 | 1 << SysType.TRAP16 | 1 << SysType.INT |
  1 << SysType.TRAP;

/** Enters the handler of a vector. @see enterHandler in exceptions.ts */
export function enterProtected(
  core: Core,
  vector: number,
  error: number,
  software: boolean,
  ext: number,
  flags: number,
): void {
  const { s, mmu } = core, idtError = vector * 8 | 2 | ext;
  if (vector * 8 + 7 > s.u32[(L.IDTR + 8) >> 2]) raise(Vec.GP, idtError);
  gate.lo = mmu.readWords64((s.num(L.IDTR) + vector * 8) >>> 0, true);
  gate.hi = mmu.hi;
  if (!gate.isSystem || !(IDT_TYPES >> gate.type & 1)) raise(Vec.GP, idtError);
  if (software && gate.dpl < s.cpl) raise(Vec.GP, idtError);
  if (!gate.present) raise(Vec.NP, idtError);
  if (gate.type === SysType.TASK_GATE) {
    enterTask(core, error, ext, flags);
    return;
  }
  const sel = gate.gateSelector;
  readSelector(core, cs, sel, Vec.GP, ext);
  if (!cs.isCode || cs.dpl > s.cpl) raise(Vec.GP, selectorError(sel) | ext);
  if (!cs.present) raise(Vec.NP, selectorError(sel) | ext);
  const size = gate.type & 8 ? 4 : 2, wanted = !cs.isConforming && cs.dpl < s.cpl;
  if (s.v86 && (!wanted || cs.dpl !== 0)) raise(Vec.GP, selectorError(sel) | ext);
  const ip = size === 4 ? gate.gateOffset : gate.gateOffset & 0xffff;
  if (wanted) enterInner(core, size, ip, error, ext, flags);
  else enterSame(core, size, ip, error, ext, flags);
}

/** Through a task gate: the error code goes onto the new task's stack. */
function enterTask(core: Core, error: number, ext: number, flags: number): void {
  switchTask(core, gate.gateSelector, "interrupt", flags, ext);
  if (error < 0) return;
  const top = stack.current(core, ext);
  top.push(core, core.s.segAttr(Seg.TR) & 8 ? 4 : 2, error);
  top.commit(core);
}

function enterInner(core: Core, size: number, ip: number, error: number, ext: number, flags: number): void {
  const { s } = core, level = cs.dpl, v86 = s.v86;
  const sp = readInnerStack(core, ss, level, ext);
  const top = stack.inner(ss, sp, selectorError(ss.sel) | ext);
  top.reserve(core, ((v86 ? 9 : 5) + (error >= 0 ? 1 : 0)) * size);
  checkTarget(cs, false, ip, 0, ext);
  cs.markAccessed(core);
  ss.markAccessed(core);
  if (v86) {
    top.push(core, size, s.segSel(Seg.GS));
    top.push(core, size, s.segSel(Seg.FS));
    top.push(core, size, s.segSel(Seg.DS));
    top.push(core, size, s.segSel(Seg.ES));
  }
  top.push(core, size, s.segSel(Seg.SS));
  top.push(core, size, s.lo(Gpr.SP));
  pushReturn(core, top, size, error, flags);
  if (v86) { for (let seg: number = Seg.ES; seg <= Seg.GS; seg++) if (seg !== Seg.CS) loadNull(s, seg, 0); }
  ss.load(core, Seg.SS, ss.sel);
  s.setReg(Gpr.SP, sp, 0);
  top.commit(core);
  finish(core, level, ip);
}

function enterSame(core: Core, size: number, ip: number, error: number, ext: number, flags: number): void {
  const top = stack.current(core, ext);
  top.reserve(core, (3 + (error >= 0 ? 1 : 0)) * size);
  checkTarget(cs, false, ip, 0, ext);
  cs.markAccessed(core);
  pushReturn(core, top, size, error, flags);
  top.commit(core);
  finish(core, core.s.cpl, ip);
}

function pushReturn(core: Core, top: Stack, size: number, error: number, flags: number): void {
  const { s } = core;
  top.push(core, size, flags);
  top.push(core, size, s.segSel(Seg.CS));
  top.push(core, size, s.word(L.RIP));
  if (error >= 0) top.push(core, size, error);
}

function finish(core: Core, cpl: number, ip: number): void {
  const { s } = core;
  s.setSeg(Seg.CS, gate.gateSelector & ~3 | cpl, cs.base, cs.limit, cs.attr | Attr.ACCESSED);
  s.i32[L.CPL >> 2] = cpl;
  s.setWords(L.RIP, ip, 0);
  const cleared = Fl.TF | Fl.NT | Fl.RF | Fl.VM;
  s.u32[L.FLAGS >> 2] &= ~(gate.type & 1 ? cleared : cleared | Fl.IF);
  core.updateMode();
}
