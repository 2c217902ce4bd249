/**
 * Segment and system descriptors in the GDT and LDT (Intel SDM volume 3, 3.4.5 and 3.5; AMD APM volume 2, 4.7-4.8).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Attr, Seg } from "../state.ts";

const TWO32 = 0x1_0000_0000;

/** System descriptor types (S clear). */
export const SysType = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL16: 4,
  TASK_GATE: 5,
  INT16: 6,
  TRAP16: 7,
  TSS: 9,
  TSS_BUSY: 11,
  CALL: 12,
  INT: 14,
  TRAP: 15,
} as const;

/** The selector part of an error code. */
export function selectorError(sel: number): number {
  return sel & 0xfffc;
}

/** True for a null selector (index 0 in the GDT, any RPL). */
export function isNull(sel: number): boolean {
  return (sel & 0xfffc) === 0;
}

/** One descriptor, read into place. Objects are preallocated and reused. */
export class Descriptor {
  /** Selector it was read with, and linear address of the descriptor. */
  sel = 0;
  at = 0;
  /** First and second word; third word (base 63:32 or gate offset 63:32) of 16-byte ones. */
  lo = 0;
  hi = 0;
  upper = 0;

  /**
   * Reads the 8-byte descriptor of a selector.
   * @returns false when it lies outside its table
   */
  read(core: Core, sel: number): boolean {
    const { s, mmu } = core;
    this.sel = sel;
    let base: number, limit: number;
    if (sel & 4) {
      if (s.segAttr(Seg.LDTR) & Attr.UNUSABLE || !(s.segAttr(Seg.LDTR) & Attr.P)) return false;
      base = s.segBase(Seg.LDTR);
      limit = s.segLimit(Seg.LDTR);
    } else {
      base = s.num(L.GDTR);
      limit = s.u32[(L.GDTR + 8) >> 2];
    }
    if ((sel | 7) > limit) return false;
    const la = base + (sel & 0xfff8);
    this.at = s.longMode ? la : la >>> 0;
    this.lo = mmu.readWords64(this.at, true);
    this.hi = mmu.hi;
    this.upper = 0;
    return true;
  }

  /**
   * Reads the upper half of a 16-byte system descriptor (long mode).
   * @returns false when it lies outside the table or its type field is not zero
   */
  readUpper(core: Core): boolean {
    const { s, mmu } = core, sel = this.sel;
    const limit = sel & 4 ? s.segLimit(Seg.LDTR) : s.u32[(L.GDTR + 8) >> 2];
    if ((sel | 7) + 8 > limit) return false;
    this.upper = mmu.readWords64(this.at + 8, true);
    return (mmu.hi & 0x1f00) === 0;
  }

  get type(): number {
    return this.hi >>> 8 & 0xf;
  }
  get dpl(): number {
    return this.hi >>> 13 & 3;
  }
  get present(): boolean {
    return (this.hi & 0x8000) !== 0;
  }
  /** S clear: LDT, TSS or gate. */
  get isSystem(): boolean {
    return (this.hi & 0x1000) === 0;
  }
  get isCode(): boolean {
    return (this.hi & 0x1800) === 0x1800;
  }
  get isData(): boolean {
    return (this.hi & 0x1800) === 0x1000;
  }
  get isWritableData(): boolean {
    return (this.hi & 0x1a00) === 0x1200;
  }
  get isConforming(): boolean {
    return (this.hi & 0x1c00) === 0x1c00;
  }
  /** L of a code segment: 64-bit code, when EFER.LMA is set. */
  get isLong(): boolean {
    return (this.hi & 0x20_0000) !== 0;
  }
  /** D of a code segment, B of a data segment. */
  get isBig(): boolean {
    return (this.hi & 0x40_0000) !== 0;
  }
  /** Attributes as the state keeps them. */
  get attr(): number {
    return this.hi >>> 8 & 0xff | this.hi >>> 12 & 0xf00;
  }
  /** Base; for 16-byte descriptors after `readUpper` all 64 bits, signed. */
  get base(): number {
    return ((this.lo >>> 16 | this.hi << 16 & 0xff_0000 | this.hi & 0xff00_0000) >>> 0) +
      (this.upper | 0) * TWO32;
  }
  /** Limit in bytes. */
  get limit(): number {
    const raw = this.lo & 0xffff | this.hi & 0xf_0000;
    return (this.hi & 0x80_0000 ? raw << 12 | 0xfff : raw) >>> 0;
  }
  /** Target selector of a gate. */
  get gateSelector(): number {
    return this.lo >>> 16;
  }
  /** Low 32 bits of a gate's offset; 16-bit gates have 16. */
  get gateOffset(): number {
    return (this.lo & 0xffff | this.hi & 0xffff_0000) >>> 0;
  }

  /** Sets the accessed bit of a code or data descriptor, in memory if need be. */
  markAccessed(core: Core): void {
    if (this.hi & 0x100) return;
    this.hi |= 0x100;
    core.mmu.write32(this.at + 4, this.hi, true);
  }

  /** Sets or clears the busy bit of a TSS descriptor, in memory. */
  setBusy(core: Core, busy: boolean): void {
    this.hi = busy ? this.hi | 0x200 : this.hi & ~0x200;
    core.mmu.write32(this.at + 4, this.hi, true);
  }

  /** Puts this code or data segment into a segment register. */
  load(core: Core, seg: number, sel: number): void {
    core.s.setSeg(seg, sel, this.base, this.limit, this.attr | Attr.ACCESSED);
  }
}

/**
 * Reads the descriptor of a selector that must not be null.
 * Raises `vector`(ext) when it is null and `vector`(selector + ext) when it is outside its table.
 */
export function readSelector(core: Core, d: Descriptor, sel: number, vector: number = Vec.GP, ext = 0): void {
  if (isNull(sel)) raise(vector, ext);
  if (!d.read(core, sel)) raise(vector, selectorError(sel) | ext);
}

/** Checks an instruction pointer against the code segment it is for: limit, or canonical form. Raises #GP(ext). */
export function checkTarget(code: Descriptor, longMode: boolean, lo: number, hi: number, ext = 0): void {
  if (longMode && code.isLong) {
    if (hi << 16 >> 31 !== hi >> 15) raise(Vec.GP, ext);
  } else if (lo >>> 0 > code.limit) raise(Vec.GP, ext);
}
