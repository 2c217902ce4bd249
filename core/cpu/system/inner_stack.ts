/**
 * Stack pointers of inner privilege levels, from the task-state segment (Intel SDM volume 3, 6.12.1 and 8.7).
 *
 * @module
 */
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Seg } from "../state.ts";
import { type Descriptor, isNull, selectorError } from "./descriptors.ts";
import { checkStackSegment } from "./segments.ts";

const TWO32 = 0x1_0000_0000;

/**
 * Reads SS and SP of a level from a 16- or 32-bit TSS and checks SS.
 * Raises #TS and #SS with `ext` in their error codes.
 * @param ss receives the descriptor of the stack segment
 * @returns stack pointer
 */
export function readInnerStack(core: Core, ss: Descriptor, level: number, ext: number): number {
  const { s, mmu } = core, base = s.segBase(Seg.TR), wide = (s.segAttr(Seg.TR) & 8) !== 0;
  const at = wide ? level * 8 + 4 : level * 4 + 2, last = at + (wide ? 7 : 3);
  if (last > s.segLimit(Seg.TR)) raise(Vec.TS, selectorError(s.segSel(Seg.TR)) | ext);
  const sp = wide ? mmu.read32(base + at, true) : mmu.read16(base + at, true);
  const sel = mmu.read16(base + at + (wide ? 4 : 2), true);
  if (isNull(sel)) raise(Vec.TS, ext);
  checkStackSegment(core, ss, sel, level, Vec.TS, ext);
  return sp;
}

/**
 * Reads RSP0-2 or IST1-7 from a 64-bit TSS into `mmu.lo`, `mmu.hi`.
 * Raises #TS when it lies outside the TSS, #SS(ext) when it is not canonical.
 * @param ist 1-7, or 0 for the stack of a level
 */
export function readInnerStack64(core: Core, level: number, ist: number, ext: number): void {
  const { s, mmu } = core, at = ist === 0 ? 4 + level * 8 : 28 + ist * 8;
  if (at + 7 > s.segLimit(Seg.TR)) raise(Vec.TS, selectorError(s.segSel(Seg.TR)) | ext);
  mmu.readWords64(s.segBase(Seg.TR) + at, true);
  const hi = mmu.hi | 0;
  if (hi >> 15 !== hi >> 31) raise(Vec.SS, ext);
}

/** A stack pointer given as two words, rounded down to 16 bytes, as a signed number. */
export function aligned16(lo: number, hi: number): number {
  return (hi | 0) * TWO32 + ((lo & ~15) >>> 0);
}
