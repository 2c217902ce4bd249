/**
 * A stack while an operation pushes to it or pops from it: RSP changes only at `commit`.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Attr, Gpr, Seg } from "../state.ts";
import type { Descriptor } from "./descriptors.ts";
import { CANONICAL, withinLimit } from "./segments.ts";

const TWO32 = 0x1_0000_0000;

/** One stack. Objects are preallocated and reused. */
export class Stack {
  /** Stack pointer: an unsigned offset, or in 64-bit mode a signed canonical number. */
  sp = 0;
  /** Width of the stack pointer: 16, 32 or 64. */
  bits = 16;
  #base = 0;
  #limit = 0;
  #attr = 0;
  /** Error code of #SS. */
  #error = 0;
  #supervisor = false;

  /**
   * The stack in use, as the running code's SS and RSP name it.
   * @param error error code of #SS
   */
  current(core: Core, error = 0): this {
    const { s } = core;
    this.#supervisor = false;
    this.#error = error;
    if (s.code64) return this.#flat(s.lo(Gpr.SP), s.hi(Gpr.SP));
    this.#base = s.segBase(Seg.SS);
    this.#limit = s.segLimit(Seg.SS);
    this.#attr = s.segAttr(Seg.SS);
    this.#setPointer(s.lo(Gpr.SP));
    return this;
  }

  /** The stack of an inner level: a descriptor already checked, and a 16- or 32-bit stack pointer. */
  inner(ss: Descriptor, sp: number, error: number): this {
    this.#supervisor = ss.dpl < 3;
    this.#error = error;
    this.#base = ss.base;
    this.#limit = ss.limit;
    this.#attr = ss.attr;
    this.#setPointer(sp);
    return this;
  }

  /** A stack for 64-bit code. @param supervisor the level it belongs to is below 3 */
  flat64(lo: number, hi: number, supervisor: boolean, error: number): this {
    this.#supervisor = supervisor;
    this.#error = error;
    return this.#flat(lo, hi);
  }

  #flat(lo: number, hi: number): this {
    this.bits = 64;
    this.sp = (hi | 0) * TWO32 + (lo >>> 0);
    return this;
  }

  #setPointer(sp: number): void {
    this.bits = this.#attr & Attr.DB ? 32 : 16;
    this.sp = this.bits === 32 ? sp >>> 0 : sp & 0xffff;
  }

  /** Raises the fault that pushing `bytes` bytes would raise. */
  reserve(core: Core, bytes: number): void {
    if (this.bits === 64) {
      core.mmu.probeWrite(this.#linear(this.sp - bytes, bytes), bytes, this.#supervisor);
      return;
    }
    // A 16-bit stack pointer may wrap between two pushes: check word by word.
    for (let n = 2; n <= bytes; n += 2) {
      core.mmu.probeWrite(this.#linear(this.#wrap(this.sp - n), 2), 2, this.#supervisor);
    }
  }

  /** Pushes 2, 4 or 8 bytes. */
  push(core: Core, size: number, lo: number, hi = 0): void {
    const sp = this.#wrap(this.sp - size), la = this.#linear(sp, size);
    if (size === 4) core.mmu.write32(la, lo, this.#supervisor);
    else if (size === 8) core.mmu.write64(la, lo, hi, this.#supervisor);
    else core.mmu.write16(la, lo, this.#supervisor);
    this.sp = sp;
  }

  /** Pops 2, 4 or 8 bytes; the high word of 8 is in `core.mmu.hi`. */
  pop(core: Core, size: number): number {
    const value = this.peek(core, size, 0);
    this.skip(size);
    return value;
  }

  /** Reads a value `offset` bytes above the top. */
  peek(core: Core, size: number, offset: number): number {
    const la = this.#linear(this.#wrap(this.sp + offset), size), { mmu } = core;
    if (size === 4) return mmu.read32(la, this.#supervisor);
    return size === 8 ? mmu.readWords64(la, this.#supervisor) : mmu.read16(la, this.#supervisor);
  }

  /** Releases bytes. */
  skip(bytes: number): void {
    this.sp = this.#wrap(this.sp + bytes);
  }

  /** Writes the stack pointer to RSP, ESP or SP. */
  commit(core: Core): void {
    setStackPointer(core, this.bits, this.sp);
  }

  #wrap(sp: number): number {
    return this.bits === 16 ? sp & 0xffff : this.bits === 32 ? sp >>> 0 : sp;
  }

  #linear(off: number, size: number): number {
    if (this.bits === 64) {
      if (off < -CANONICAL || off + size > CANONICAL) raise(Vec.SS, this.#error);
      return off;
    }
    if (this.#attr & Attr.UNUSABLE || !withinLimit(this.#limit, this.#attr, off, size)) {
      raise(Vec.SS, this.#error);
    }
    return (this.#base + off) >>> 0;
  }
}

/** Writes SP (merging), ESP (clearing the upper half) or RSP. */
export function setStackPointer(core: Core, bits: number, sp: number): void {
  const { u32 } = core.s, i = (L.GPR + Gpr.SP * 8) >> 2;
  if (bits === 16) u32[i] = u32[i] & 0xffff_0000 | sp & 0xffff;
  else {
    u32[i] = sp;
    u32[i + 1] = bits === 64 ? Math.floor(sp / TWO32) : 0;
  }
}

/** Width of the current stack pointer: 16, 32 or 64 bits. */
export function stackBits(core: Core): number {
  const { s } = core;
  if (s.code64) return 64;
  return s.segAttr(Seg.SS) & Attr.DB ? 32 : 16;
}
