/**
 * Hardware task switches through 16- and 32-bit task-state segments (Intel SDM volume 3, chapter 8).
 *
 * @module
 */
import { Reason } from "../../exits.ts";
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { GuestFault, raise, Vec } from "../hooks.ts";
import { Attr, Cr0, Cr4, Fl, Seg } from "../state.ts";
import { settleRf } from "../stepping.ts";
import { Descriptor, isNull, selectorError, SysType } from "./descriptors.ts";
import { checkDataSegment, checkStackSegment, loadNull, V86_ATTR } from "./segments.ts";

/** What causes a task switch. */
export type TaskCause = "jump" | "call" | "iret" | "interrupt";

/** Where a TSS keeps things. */
interface TssLayout {
  size: number;
  ip: number;
  flags: number;
  regs: number;
  segs: number;
  segCount: number;
  ldt: number;
  /** Least limit. */
  limit: number;
}
const TSS16: TssLayout = {
  size: 2,
  ip: 14,
  flags: 16,
  regs: 18,
  segs: 34,
  segCount: 4,
  ldt: 42,
  limit: 0x2b,
};
const TSS32: TssLayout = {
  size: 4,
  ip: 32,
  flags: 36,
  regs: 40,
  segs: 72,
  segCount: 6,
  ldt: 96,
  limit: 0x67,
};

const tss = new Descriptor();
const old = new Descriptor();
const seg = new Descriptor();
/** The new task's registers while they are between TSS and state. */
const regs = new Uint32Array(8);
const selectors = new Uint32Array(6);

/**
 * Switches to the task of a TSS selector. The old task is saved with the RIP now in the state.
 * Faults before the point of no return are raised as such; later ones belong to the new task (`keepRip`).
 * @param flags RFLAGS image to save for the old task
 * @param ext EXT bit for error codes
 */
export function switchTask(core: Core, sel: number, cause: TaskCause, flags: number, ext: number): void {
  readNewTss(core, sel, cause, ext);
  const { s, mmu } = core, layout = tss.type & 8 ? TSS32 : TSS16, base = tss.base;
  if (tss.limit < layout.limit) raise(Vec.TS, selectorError(sel) | ext);
  core.hooks.intercept(Reason.TASK_SWITCH, sel, 0);
  const back = s.segSel(Seg.TR),
    oldLayout = s.segAttr(Seg.TR) & 8 ? TSS32 : TSS16,
    oldBase = s.segBase(Seg.TR);
  if (s.segLimit(Seg.TR) < oldLayout.limit) raise(Vec.TS, selectorError(sel) | ext);
  mmu.probeWrite(oldBase, oldLayout.limit + 1, true);
  mmu.probeRead(base, layout.limit + 1, true);
  const nested = cause === "call" || cause === "interrupt";
  if (nested) mmu.probeWrite(base, 2, true);
  const oldThere = old.read(core, back);
  mmu.probeWrite(tss.at + 5, 1, true);
  if (oldThere) mmu.probeWrite(old.at + 5, 1, true);
  if (!nested && oldThere) old.setBusy(core, false);
  saveTask(core, oldBase, oldLayout, cause === "iret" ? flags & ~Fl.NT : flags);
  if (nested) mmu.write16(base, back, true);
  if (cause !== "iret") tss.setBusy(core, true);

  const size = layout.size, trap = size === 4 && (mmu.read16(base + 100, true) & 1) !== 0;
  const ip = readField(core, base + layout.ip, size), newFlags = readField(core, base + layout.flags, size);
  for (let r = 0; r < 8; r++) regs[r] = readField(core, base + layout.regs + r * size, size);
  for (let r = 0; r < 6; r++) {
    selectors[r] = r < layout.segCount ? mmu.read16(base + layout.segs + r * size, true) : 0;
  }
  const ldt = mmu.read16(base + layout.ldt, true), cr3 = size === 4 ? mmu.read32(base + 28, true) : 0;

  s.setSeg(Seg.TR, sel, base, tss.limit, tss.attr | 2);
  s.u32[L.CR0 >> 2] |= Cr0.TS;
  s.u32[(L.DR + 7 * 8) >> 2] &= ~0x155;
  if (trap) core.pendingDb |= 0x8000;
  s.rip = ip;
  s.flags = nested ? newFlags | Fl.NT : newFlags;
  settleRf(s);
  for (let r = 0; r < 8; r++) s.setReg(r, regs[r], 0);
  try {
    if (size === 4 && s.cr0 & Cr0.PG) loadCr3(core, cr3);
    loadContext(core, ldt, (newFlags & Fl.VM) !== 0, ip);
  } catch (fault) {
    if (fault instanceof GuestFault) fault.keepRip = true;
    core.updateMode();
    throw fault;
  }
  core.updateMode();
}

/** Finds and checks the descriptor of the new TSS. */
function readNewTss(core: Core, sel: number, cause: TaskCause, ext: number): void {
  const vector = cause === "iret" ? Vec.TS : Vec.GP, error = selectorError(sel) | ext;
  if (sel & 4 || isNull(sel) || !tss.read(core, sel)) raise(vector, error);
  const wanted = cause === "iret" ? SysType.TSS16_BUSY : SysType.TSS16;
  if (!tss.isSystem || (tss.type & 7) !== wanted) raise(vector, error);
  if (!tss.present) raise(Vec.NP, error);
}

function readField(core: Core, la: number, size: number): number {
  return size === 4 ? core.mmu.read32(la, true) : core.mmu.read16(la, true);
}

function saveTask(core: Core, base: number, layout: TssLayout, flags: number): void {
  const { s, mmu } = core, size = layout.size;
  const write = (at: number, value: number) =>
    size === 4 ? mmu.write32(base + at, value, true) : mmu.write16(base + at, value, true);
  write(layout.ip, s.word(L.RIP));
  write(layout.flags, flags);
  for (let r = 0; r < 8; r++) write(layout.regs + r * size, s.lo(r));
  for (let r = 0; r < layout.segCount; r++) mmu.write16(base + layout.segs + r * size, s.segSel(r), true);
}

function loadCr3(core: Core, cr3: number): void {
  const { s, mmu } = core;
  if (s.cr4 & Cr4.PAE && !mmu.loadPdptes(cr3)) raise(Vec.GP, 0);
  s.setWords(L.CR3, cr3, 0);
  mmu.flushNonGlobal();
}

/** Loads LDTR and all segment registers of the new task; faults are the new task's. */
function loadContext(core: Core, ldt: number, v86: boolean, ip: number): void {
  const { s } = core;
  // Selectors first: a fault handler sees all of them. None is usable before it has been checked.
  for (let r = 0; r < 6; r++) {
    if (v86) s.setSeg(r, selectors[r], selectors[r] << 4, 0xffff, V86_ATTR);
    else s.setSeg(r, selectors[r], 0, 0, Attr.UNUSABLE);
  }
  s.i32[L.CPL >> 2] = v86 ? 3 : selectors[Seg.CS] & 3;
  core.mmu.selectSets();
  loadLdt(core, ldt);
  if (v86) {
    if (ip > 0xffff) raise(Vec.GP, 0);
    return;
  }
  const cpl = s.cpl;
  loadCode(core, selectors[Seg.CS]);
  const stack = selectors[Seg.SS];
  if (isNull(stack)) raise(Vec.TS, selectorError(stack));
  checkStackSegment(core, seg, stack, cpl, Vec.TS, 0);
  seg.markAccessed(core);
  seg.load(core, Seg.SS, stack);
  for (const r of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) {
    const sel = selectors[r];
    if (isNull(sel)) {
      loadNull(s, r, sel);
      continue;
    }
    checkDataSegment(core, seg, sel, cpl, Vec.TS, 0);
    seg.markAccessed(core);
    seg.load(core, r, sel);
  }
  if (ip > s.segLimit(Seg.CS)) raise(Vec.GP, 0);
}

function loadLdt(core: Core, sel: number): void {
  const { s } = core;
  loadNull(s, Seg.LDTR, sel);
  if (isNull(sel)) return;
  const error = selectorError(sel);
  if (sel & 4 || !seg.read(core, sel) || !seg.isSystem || seg.type !== SysType.LDT || !seg.present) {
    raise(Vec.TS, error);
  }
  s.setSeg(Seg.LDTR, sel, seg.base, seg.limit, seg.attr);
}

function loadCode(core: Core, sel: number): void {
  const error = selectorError(sel);
  if (isNull(sel) || !seg.read(core, sel) || !seg.isCode) raise(Vec.TS, error);
  const rpl = sel & 3;
  if (seg.isConforming ? seg.dpl > rpl : seg.dpl !== rpl) raise(Vec.TS, error);
  if (!seg.present) raise(Vec.NP, error);
  seg.markAccessed(core);
  seg.load(core, Seg.CS, sel);
}
