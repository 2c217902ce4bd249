/**
 * Loading segment registers and addressing through them (Intel SDM volume 3, chapters 3 and 5).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Attr, type CpuState, Seg } from "../state.ts";
import { Descriptor, isNull, selectorError } from "./descriptors.ts";

const TWO32 = 0x1_0000_0000;
/** Canonical addresses are below this and not below its negative. */
export const CANONICAL = 0x8000_0000_0000;
/** Attributes that a segment register has in virtual-8086 mode: present, writable, accessed data, DPL 3. */
export const V86_ATTR = 0xf3;

const scratch = new Descriptor();

/** Real and virtual-8086 mode: base is selector × 16. Real mode keeps limit and attributes ("unreal mode"). */
export function loadRealSegment(s: CpuState, seg: number, sel: number): void {
  if (s.v86) s.setSeg(seg, sel, sel << 4, 0xffff, V86_ATTR);
  else {
    const attr = s.segAttr(seg), usable = (attr & (Attr.UNUSABLE | Attr.P)) === Attr.P;
    s.setSeg(seg, sel, sel << 4, usable ? s.segLimit(seg) : 0xffff, usable ? attr : 0x93);
  }
}

/** Puts a null selector into a data segment register: unusable. */
export function loadNull(s: CpuState, seg: number, sel: number): void {
  s.setSeg(seg, sel, 0, 0, Attr.UNUSABLE);
}

/** Puts a null selector into SS, as 64-bit code below CPL 3 may; its DPL is the CPL. */
export function loadNullStack(s: CpuState, sel: number): void {
  s.setSeg(Seg.SS, sel, 0, 0, Attr.UNUSABLE | (sel & 3) << Attr.DPL_SHIFT);
}

/**
 * Loads ES, SS, DS, FS or GS as MOV, POP and LDS do, with every check. Raises #GP, #NP or #SS with the selector.
 */
export function loadSegment(core: Core, seg: number, selector: number): void {
  const { s } = core, sel = selector & 0xffff;
  if (s.realMode || s.v86) loadRealSegment(s, seg, sel);
  else if (seg === Seg.SS) loadStackSegment(core, sel);
  else if (isNull(sel)) loadNull(s, seg, sel);
  else {
    checkDataSegment(core, scratch, sel, s.cpl, Vec.GP, 0);
    scratch.markAccessed(core);
    scratch.load(core, seg, sel);
  }
  if (seg <= Seg.DS) core.updateMode();
}

/** Reads and checks a selector that is not null for DS, ES, FS or GS: raises `vector`(selector), #NP(selector). */
export function checkDataSegment(
  core: Core,
  d: Descriptor,
  sel: number,
  cpl: number,
  vector: number,
  ext: number,
): void {
  const error = selectorError(sel) | ext;
  if (!d.read(core, sel) || d.isSystem) raise(vector, error);
  if (d.isCode && !(d.type & Attr.READABLE)) raise(vector, error);
  if (!d.isConforming && ((sel & 3) > d.dpl || cpl > d.dpl)) raise(vector, error);
  if (!d.present) raise(Vec.NP, error);
}

/**
 * Reads and checks a selector that is not null for SS at a privilege level:
 * raises `vector`(selector), #SS(selector) when not present.
 */
export function checkStackSegment(
  core: Core,
  d: Descriptor,
  sel: number,
  cpl: number,
  vector: number,
  ext: number,
): void {
  const error = selectorError(sel) | ext;
  if (!d.read(core, sel)) raise(vector, error);
  if ((sel & 3) !== cpl || !d.isWritableData || d.dpl !== cpl) raise(vector, error);
  if (!d.present) raise(Vec.SS, error);
}

function loadStackSegment(core: Core, sel: number): void {
  const { s } = core;
  if (isNull(sel)) {
    if (!s.code64 || s.cpl === 3 || (sel & 3) !== s.cpl) raise(Vec.GP, 0);
    loadNullStack(s, sel);
    return;
  }
  checkStackSegment(core, scratch, sel, s.cpl, Vec.GP, 0);
  scratch.markAccessed(core);
  scratch.load(core, Seg.SS, sel);
}

/** After a return to an outer level: a data segment register that the new level may not use becomes null. */
export function dropInnerSegments(s: CpuState, cpl: number): void {
  for (const seg of DATA_SEGMENTS) {
    const attr = s.segAttr(seg);
    if (attr & Attr.UNUSABLE) continue;
    const conforming = (attr & (Attr.CODE | Attr.CONFORMING)) === (Attr.CODE | Attr.CONFORMING);
    if (conforming || (attr >> Attr.DPL_SHIFT & 3) >= cpl) continue;
    // In long mode the bases of FS and GS survive: kernels find their data through them after the next interrupt.
    const base = s.longMode && seg >= Seg.FS ? s.segBase(seg) : 0;
    s.setSeg(seg, 0, base, 0, Attr.UNUSABLE);
  }
}
const DATA_SEGMENTS = [Seg.ES, Seg.DS, Seg.FS, Seg.GS] as const;

/**
 * Linear address of `size` bytes at an offset in a segment, after limit, type and canonical checks:
 * raises #GP(0), or #SS(0) through SS.
 * @returns canonical (signed) number; below 4 GiB outside 64-bit code
 */
export function segLinear(
  core: Core,
  seg: number,
  offLo: number,
  offHi: number,
  size: number,
  write: boolean,
): number {
  const { s } = core;
  if (s.code64) {
    let at = (offHi | 0) * TWO32 + (offLo >>> 0);
    if (seg === Seg.FS || seg === Seg.GS) at = addBase(s, seg, offLo, offHi);
    if (at < -CANONICAL || at + size > CANONICAL) {
      if (at < CANONICAL && at >= -CANONICAL && core.mmu.misaligned(at, size)) raise(Vec.AC, 0);
      raise(seg === Seg.SS ? Vec.SS : Vec.GP, 0);
    }
    return at;
  }
  const attr = s.segAttr(seg), off = offLo >>> 0;
  if (!accessAllowed(s, attr, write) || !withinLimit(s.segLimit(seg), attr, off, size)) {
    raise(seg === Seg.SS ? Vec.SS : Vec.GP, 0);
  }
  return (s.segBase(seg) + off) >>> 0;
}

/** FS and GS bases are 64 bits wide: the sum wraps. */
function addBase(s: CpuState, seg: number, offLo: number, offHi: number): number {
  const w = (L.SEG + seg * L.SEG_SIZE + L.SEG_BASE) >> 2, lo = s.u32[w] + (offLo >>> 0);
  const hi = (s.u32[w + 1] + (offHi >>> 0) + (lo >= TWO32 ? 1 : 0)) | 0;
  return hi * TWO32 + (lo >>> 0);
}

/** Type check of an access through a segment register. */
function accessAllowed(s: CpuState, attr: number, write: boolean): boolean {
  if (attr & Attr.UNUSABLE) return false;
  if (s.realMode || s.v86) return true;
  if (write) return (attr & (Attr.CODE | Attr.WRITABLE)) === Attr.WRITABLE;
  return (attr & (Attr.CODE | Attr.READABLE)) !== Attr.CODE;
}

/** Limit check: `size` bytes at an offset, expand-down segments included. */
export function withinLimit(limit: number, attr: number, off: number, size: number): boolean {
  const last = off + size - 1;
  // In a 4 GiB segment an access may wrap (SDM volume 3, 5.3: "may or may not" fault; processors let it).
  if (limit === 0xffff_ffff) return (attr & (Attr.CODE | Attr.EXPAND_DOWN)) !== Attr.EXPAND_DOWN;
  if ((attr & (Attr.CODE | Attr.EXPAND_DOWN)) !== Attr.EXPAND_DOWN) return last <= limit;
  return off > limit && last <= (attr & Attr.DB ? 0xffff_ffff : 0xffff);
}

/** Whether an access from generated code passes the segment's type and limit checks. Offsets and limits in bytes. */
export function segmentAllows(s: CpuState, seg: number, off: number, size: number, write: boolean): boolean {
  const attr = s.segAttr(seg);
  return accessAllowed(s, attr, write) && withinLimit(s.segLimit(seg), attr, off, size);
}
