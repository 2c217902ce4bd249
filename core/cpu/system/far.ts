/**
 * Far JMP, CALL and RET (Intel SDM volume 2, "JMP", "CALL", "RET"; volume 3, 5.8).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Seg } from "../state.ts";
import { callThroughGate, jumpThroughGate } from "./call_gates.ts";
import { checkTarget, Descriptor, readSelector, selectorError, SysType } from "./descriptors.ts";
import { linearOf, readMem } from "./operands.ts";
import { checkReturnCode, checkReturnStack, enterCode, enterOuter } from "./returns.ts";
import { loadRealSegment } from "./segments.ts";
import { Stack } from "./stack.ts";
import { switchTask } from "./task.ts";

const cs = new Descriptor();
const ss = new Descriptor();
const stack = new Stack();

function isReal(core: Core): boolean {
  return core.s.realMode || core.s.v86;
}

/** Real and virtual-8086 mode: raises #GP(0) for an offset outside the code segment. */
function checkReal(core: Core, offset: number): void {
  if (offset > core.s.segLimit(Seg.CS)) raise(Vec.GP, 0);
}

function enterReal(core: Core, sel: number, offset: number): void {
  loadRealSegment(core.s, Seg.CS, sel);
  core.s.setWords(L.RIP, offset, 0);
}

/** Checks a code segment that JMP or CALL goes to directly: it keeps the CPL. */
function checkDirect(core: Core, sel: number): void {
  const { s } = core, error = selectorError(sel);
  const ok = cs.isConforming ? cs.dpl <= s.cpl : (sel & 3) <= s.cpl && cs.dpl === s.cpl;
  if (!ok || (s.longMode && cs.isLong && cs.isBig)) raise(Vec.GP, error);
  if (!cs.present) raise(Vec.NP, error);
}

/** A TSS or task gate: protected mode only, by privilege of both CPL and RPL. */
function farTask(core: Core, sel: number, cause: "jump" | "call"): void {
  const { s } = core, error = selectorError(sel);
  if (s.longMode || cs.dpl < s.cpl || cs.dpl < (sel & 3)) raise(Vec.GP, error);
  if (!cs.present) raise(Vec.NP, error);
  const target = cs.type === SysType.TASK_GATE ? cs.gateSelector : sel;
  switchTask(core, target, cause, s.flags, 0);
}

/** True when the system descriptor in `cs` is a call gate; #GP(selector) when it is nothing one may branch to. */
function isCallGate(core: Core, sel: number): boolean {
  const { type } = cs, long = core.s.longMode;
  if (type === SysType.CALL || (type === SysType.CALL16 && !long)) return true;
  const task = type === SysType.TASK_GATE || type === SysType.TSS || type === SysType.TSS16;
  if (!task || long) raise(Vec.GP, selectorError(sel));
  return false;
}

/** Far jump to selector:offset. */
export function jumpFar(core: Core, sel: number, lo: number, hi: number): void {
  if (isReal(core)) {
    checkReal(core, lo);
    enterReal(core, sel, lo);
  } else {
    readSelector(core, cs, sel);
    if (cs.isCode) {
      checkDirect(core, sel);
      enterCode(core, cs, sel, core.s.cpl, lo, hi);
    } else if (!cs.isSystem) raise(Vec.GP, selectorError(sel));
    else if (isCallGate(core, sel)) jumpThroughGate(core, cs);
    else farTask(core, sel, "jump");
  }
  core.updateMode();
}

/** Far call to selector:offset. @param size operand size in bytes */
export function callFar(core: Core, sel: number, lo: number, hi: number, size: number): void {
  const { s } = core;
  if (isReal(core)) {
    checkReal(core, lo);
    const top = pushReturn(core, size);
    top.commit(core);
    enterReal(core, sel, lo);
  } else {
    readSelector(core, cs, sel);
    if (cs.isCode) {
      checkDirect(core, sel);
      checkTarget(cs, s.longMode, lo, hi);
      cs.markAccessed(core);
      pushReturn(core, size).commit(core);
      enterCode(core, cs, sel, s.cpl, lo, hi);
    } else if (!cs.isSystem) raise(Vec.GP, selectorError(sel));
    else if (isCallGate(core, sel)) callThroughGate(core, cs);
    else farTask(core, sel, "call");
  }
  core.updateMode();
}

/** Pushes CS and RIP onto the current stack. */
function pushReturn(core: Core, size: number): Stack {
  const { s } = core, top = stack.current(core);
  top.reserve(core, size * 2);
  top.push(core, size, s.segSel(Seg.CS), 0);
  top.push(core, size, s.word(L.RIP), s.word(L.RIP + 4));
  return top;
}

/** RET far. @param release bytes of parameters to release */
export function returnFar(core: Core, size: number, release: number): void {
  const { s, mmu } = core, top = stack.current(core);
  const ipLo = top.pop(core, size), ipHi = size === 8 ? mmu.hi : 0;
  const sel = top.pop(core, size) & 0xffff;
  if (isReal(core)) {
    checkReal(core, ipLo);
    top.skip(release);
    top.commit(core);
    enterReal(core, sel, ipLo);
  } else {
    checkReturnCode(core, cs, sel);
    top.skip(release);
    if ((sel & 3) === s.cpl) {
      enterCode(core, cs, sel, s.cpl, ipLo, ipHi);
      top.commit(core);
    } else {
      const spLo = top.pop(core, size), spHi = size === 8 ? mmu.hi : 0;
      checkReturnStack(core, cs, ss, top.pop(core, size) & 0xffff, sel & 3);
      const sum = spLo + release;
      enterOuter(core, cs, ss, sel, ipLo, ipHi, sum >>> 0, (spHi + (sum > 0xffff_ffff ? 1 : 0)) >>> 0);
    }
  }
  core.updateMode();
}

/** Far pointer in memory: offset of operand size, then selector. Left in `pointer`. */
function readPointer(core: Core, insn: Insn): void {
  if (!insn.isMem) raise(Vec.UD);
  const size = insn.opsize, la = linearOf(core, insn, size + 2, false);
  pointer.lo = readMem(core, la, size);
  pointer.hi = size === 8 ? core.mmu.hi : 0;
  pointer.sel = core.mmu.read16(core.mmu.next(la, size));
}
const pointer = { lo: 0, hi: 0, sel: 0 };

/** FF /5. */
export function jumpFarMem(core: Core, insn: Insn): void {
  readPointer(core, insn);
  jumpFar(core, pointer.sel, pointer.lo, pointer.hi);
}

/** FF /3. */
export function callFarMem(core: Core, insn: Insn): void {
  readPointer(core, insn);
  callFar(core, pointer.sel, pointer.lo, pointer.hi, insn.opsize);
}
