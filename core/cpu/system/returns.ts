/**
 * What far returns and interrupt returns share: checks of the code and stack segments returned to.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Attr, Seg } from "../state.ts";
import { checkTarget, type Descriptor, isNull, readSelector, selectorError } from "./descriptors.ts";
import { checkStackSegment, dropInnerSegments, loadNullStack } from "./segments.ts";
import { setStackPointer } from "./stack.ts";

/** Reads and checks the code segment that a return goes to: #GP(selector), #NP(selector). */
export function checkReturnCode(core: Core, cs: Descriptor, sel: number): void {
  const { s } = core, rpl = sel & 3;
  readSelector(core, cs, sel);
  const bad = !cs.isCode || rpl < s.cpl || (cs.isConforming ? cs.dpl > rpl : cs.dpl !== rpl);
  if (bad || (s.longMode && cs.isLong && cs.isBig)) raise(Vec.GP, selectorError(sel));
  if (!cs.present) raise(Vec.NP, selectorError(sel));
}

/** Reads and checks the stack segment that a return loads; null is for 64-bit code below CPL 3. */
export function checkReturnStack(core: Core, cs: Descriptor, ss: Descriptor, sel: number, rpl: number): void {
  if (isNull(sel)) {
    if (!core.s.longMode || !cs.isLong || rpl === 3 || (sel & 3) !== rpl) raise(Vec.GP, 0);
    ss.sel = sel;
    return;
  }
  checkStackSegment(core, ss, sel, rpl, Vec.GP, 0);
}

/** Loads CS and RIP, everything checked: raises #GP(0) for a target outside the segment, before changing anything. */
export function enterCode(
  core: Core,
  cs: Descriptor,
  sel: number,
  cpl: number,
  ipLo: number,
  ipHi: number,
): void {
  const { s } = core, long = s.longMode && cs.isLong;
  checkTarget(cs, s.longMode, ipLo, ipHi);
  cs.markAccessed(core);
  s.setSeg(Seg.CS, sel & ~3 | cpl, cs.base, cs.limit, cs.attr | Attr.ACCESSED);
  s.i32[L.CPL >> 2] = cpl;
  s.setWords(L.RIP, ipLo, long ? ipHi : 0);
}

/**
 * The rest of a return that pops SS:RSP: loads CS, RIP, SS, RSP, and drops data segments of inner levels.
 * @param sp the popped stack pointer, as two words
 */
export function enterOuter(
  core: Core,
  cs: Descriptor,
  ss: Descriptor,
  sel: number,
  ipLo: number,
  ipHi: number,
  spLo: number,
  spHi: number,
): void {
  const { s } = core, rpl = sel & 3, outer = rpl > s.cpl, null_ = isNull(ss.sel);
  checkTarget(cs, s.longMode, ipLo, ipHi);
  if (!null_) ss.markAccessed(core);
  enterCode(core, cs, sel, rpl, ipLo, ipHi);
  if (null_) loadNullStack(s, ss.sel);
  else ss.load(core, Seg.SS, ss.sel);
  const bits = s.code64 ? 64 : s.segAttr(Seg.SS) & Attr.DB ? 32 : 16;
  if (bits === 64) s.setReg(4, spLo, spHi);
  else setStackPointer(core, bits, spLo);
  if (outer) dropInnerSegments(s, rpl);
}
