/**
 * Interrupt and trap gates of long mode (Intel SDM volume 3, 6.14; AMD APM volume 2, 8.9).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Attr, Fl, Gpr, Seg } from "../state.ts";
import { checkTarget, Descriptor, readSelector, selectorError, SysType } from "./descriptors.ts";
import { aligned16, readInnerStack64 } from "./inner_stack.ts";
import { CANONICAL, loadNullStack } from "./segments.ts";

const TWO32 = 0x1_0000_0000;

const gate = new Descriptor();
const cs = new Descriptor();

/** Enters the handler of a vector. @see enterHandler in exceptions.ts */
export function enterLong(
  core: Core,
  vector: number,
  error: number,
  software: boolean,
  ext: number,
  flags: number,
): void {
  const { s, mmu } = core, idtError = vector * 8 | 2 | ext, { cpl } = s;
  if (vector * 16 + 15 > s.u32[(L.IDTR + 8) >> 2]) raise(Vec.GP, idtError);
  const at = s.num(L.IDTR) + vector * 16;
  gate.lo = mmu.readWords64(at, true);
  gate.hi = mmu.hi;
  const upper = mmu.read32(at + 8, true), { type } = gate;
  if (!gate.isSystem || (type !== SysType.INT && type !== SysType.TRAP)) raise(Vec.GP, idtError);
  if (software && gate.dpl < cpl) raise(Vec.GP, idtError);
  if (!gate.present) raise(Vec.NP, idtError);
  const sel = gate.gateSelector, ist = gate.hi & 7, ip = gate.gateOffset;
  readSelector(core, cs, sel, Vec.GP, ext);
  if (!cs.isCode || cs.dpl > cpl || !cs.isLong || cs.isBig) raise(Vec.GP, selectorError(sel) | ext);
  if (!cs.present) raise(Vec.NP, selectorError(sel) | ext);
  const level = cs.isConforming ? cpl : cs.dpl, oldLo = s.lo(Gpr.SP), oldHi = s.hi(Gpr.SP);
  let sp: number;
  if (level < cpl || ist !== 0) {
    readInnerStack64(core, level, ist, ext);
    sp = aligned16(mmu.lo, mmu.hi);
  } else sp = aligned16(oldLo, oldHi);
  const supervisor = level < cpl, bytes = error >= 0 ? 48 : 40, frame = sp - bytes;
  if (frame < -CANONICAL || sp > CANONICAL) raise(Vec.SS, ext);
  mmu.probeWrite(frame, bytes, supervisor);
  checkTarget(cs, true, ip, upper, ext);
  cs.markAccessed(core);
  mmu.write64(sp - 8, s.segSel(Seg.SS), 0, supervisor);
  mmu.write64(sp - 16, oldLo, oldHi, supervisor);
  mmu.write64(sp - 24, flags, 0, supervisor);
  mmu.write64(sp - 32, s.segSel(Seg.CS), 0, supervisor);
  mmu.write64(sp - 40, s.word(L.RIP), s.word(L.RIP + 4), supervisor);
  if (error >= 0) mmu.write64(sp - 48, error, 0, supervisor);
  if (level < cpl) loadNullStack(s, level);
  s.setReg(Gpr.SP, frame, Math.floor(frame / TWO32));
  s.setSeg(Seg.CS, sel & ~3 | level, cs.base, cs.limit, cs.attr | Attr.ACCESSED);
  s.i32[L.CPL >> 2] = level;
  s.setWords(L.RIP, ip, upper);
  const cleared = Fl.TF | Fl.NT | Fl.RF | Fl.VM;
  s.u32[L.FLAGS >> 2] &= ~(type === SysType.TRAP ? cleared : cleared | Fl.IF);
  core.updateMode();
}
