/**
 * Call gates of protected and long mode (Intel SDM volume 3, 5.8.3-5.8.5).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Gpr, Seg } from "../state.ts";
import { checkTarget, Descriptor, readSelector, selectorError } from "./descriptors.ts";
import { readInnerStack, readInnerStack64 } from "./inner_stack.ts";
import { enterCode } from "./returns.ts";
import { loadNullStack } from "./segments.ts";
import { Stack } from "./stack.ts";

const cs = new Descriptor();
const ss = new Descriptor();
const outer = new Stack();
const stack = new Stack();
const params = new Uint32Array(32);

/** Checks the gate and the code segment behind it, which is left in `cs`. */
function checkGate(core: Core, gate: Descriptor): void {
  const { s } = core, gateError = selectorError(gate.sel);
  if (gate.dpl < s.cpl || gate.dpl < (gate.sel & 3)) raise(Vec.GP, gateError);
  if (!gate.present) raise(Vec.NP, gateError);
  if (s.longMode && !gate.readUpper(core)) raise(Vec.GP, gateError);
  const sel = gate.gateSelector, error = selectorError(sel);
  readSelector(core, cs, sel);
  if (!cs.isCode || cs.dpl > s.cpl || (s.longMode && (!cs.isLong || cs.isBig))) raise(Vec.GP, error);
}

function checkPresent(): void {
  if (!cs.present) raise(Vec.NP, selectorError(cs.sel));
}

/** Size in bytes of what a gate pushes, and its offset. */
function sizeOf(core: Core, gate: Descriptor): number {
  return core.s.longMode ? 8 : gate.type & 8 ? 4 : 2;
}
function offsetOf(gate: Descriptor, size: number): number {
  return size === 2 ? gate.gateOffset & 0xffff : gate.gateOffset;
}

/** JMP through a call gate: no change of privilege. */
export function jumpThroughGate(core: Core, gate: Descriptor): void {
  checkGate(core, gate);
  const { cpl } = core.s;
  if (!cs.isConforming && cs.dpl !== cpl) raise(Vec.GP, selectorError(cs.sel));
  checkPresent();
  enterCode(core, cs, cs.sel, cpl, offsetOf(gate, sizeOf(core, gate)), gate.upper);
}

/** CALL through a call gate. */
export function callThroughGate(core: Core, gate: Descriptor): void {
  checkGate(core, gate);
  checkPresent();
  const { s } = core, size = sizeOf(core, gate), ip = offsetOf(gate, size);
  if (!cs.isConforming && cs.dpl < s.cpl) {
    if (size === 8) callInner64(core, gate);
    else callInner(core, gate, size, ip);
    return;
  }
  const top = stack.current(core);
  top.reserve(core, size * 2);
  checkTarget(cs, s.longMode, ip, gate.upper);
  cs.markAccessed(core);
  top.push(core, size, s.segSel(Seg.CS), 0);
  top.push(core, size, s.word(L.RIP), s.word(L.RIP + 4));
  top.commit(core);
  enterCode(core, cs, cs.sel, s.cpl, ip, gate.upper);
}

/** To an inner level through a 16- or 32-bit gate: parameters are copied from the outer stack. */
function callInner(core: Core, gate: Descriptor, size: number, ip: number): void {
  const { s } = core, level = cs.dpl, count = gate.hi & 0x1f;
  const sp = readInnerStack(core, ss, level, 0), error = selectorError(ss.sel);
  outer.current(core);
  for (let n = 0; n < count; n++) params[n] = outer.peek(core, size, n * size);
  const top = stack.inner(ss, sp, error);
  top.reserve(core, (4 + count) * size);
  checkTarget(cs, false, ip, 0);
  cs.markAccessed(core);
  ss.markAccessed(core);
  top.push(core, size, s.segSel(Seg.SS));
  top.push(core, size, s.lo(Gpr.SP));
  for (let n = count - 1; n >= 0; n--) top.push(core, size, params[n]);
  top.push(core, size, s.segSel(Seg.CS));
  top.push(core, size, s.word(L.RIP));
  ss.load(core, Seg.SS, ss.sel);
  s.setReg(Gpr.SP, sp, 0);
  top.commit(core);
  enterCode(core, cs, cs.sel, level, ip, 0);
}

/** To an inner level through a 64-bit gate: RSP from the TSS, SS null. */
function callInner64(core: Core, gate: Descriptor): void {
  const { s, mmu } = core, level = cs.dpl;
  readInnerStack64(core, level, 0, 0);
  const top = stack.flat64(mmu.lo, mmu.hi, true, 0);
  top.reserve(core, 32);
  checkTarget(cs, true, gate.gateOffset, gate.upper);
  cs.markAccessed(core);
  top.push(core, 8, s.segSel(Seg.SS));
  top.push(core, 8, s.lo(Gpr.SP), s.hi(Gpr.SP));
  top.push(core, 8, s.segSel(Seg.CS));
  top.push(core, 8, s.word(L.RIP), s.word(L.RIP + 4));
  loadNullStack(s, level);
  top.commit(core);
  enterCode(core, cs, cs.sel, level, gate.gateOffset, gate.upper);
}
