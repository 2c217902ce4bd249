/**
 * The SSE control and status register as one instruction sees it (Intel SDM volume 1, 10.2.3 and 11.5).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { Cr4 } from "../state.ts";

/** Exception flags of MXCSR; their masks lie 7 bits higher. */
export const Ex = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;
/** Rounding control: nearest even, down, up, toward zero. */
export const Rc = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const;
/** MXCSR bits beyond flags and masks. */
export const DAZ = 0x40, FZ = 0x8000;

/** Exceptions found before an operation is computed: while one of them is not masked nothing is computed. */
const BEFORE = Ex.IE | Ex.DE | Ex.ZE;

/** Controls and collected exception flags of the instruction in hand. One object is reused. */
export class SseContext {
  /** Rounding control, an `Rc` value. */
  rc = 0;
  /** Denormal operands are zeros. */
  daz = false;
  /** Tiny results are zeros (only while underflow is masked). */
  fz = false;
  /** Masked exceptions, as `Ex` bits. */
  masks = 0;
  /** Exceptions of all lanes so far. */
  flags = 0;
  /** Exceptions of steps that are done. */
  earlier = 0;

  /** Takes the controls of the vCPU. */
  begin(c: Core): void {
    const v = c.s.u32[L.MXCSR >> 2];
    this.rc = v >>> 13 & 3;
    this.daz = (v & DAZ) !== 0;
    this.masks = v >>> 7 & 0x3f;
    this.fz = (v & FZ) !== 0 && (this.masks & Ex.UE) !== 0;
    this.flags = this.earlier = 0;
  }

  /** Ends a step of several: true when it found an exception that is not masked, and nothing follows. */
  stops(): boolean {
    if (this.flags & ~this.masks) return true;
    this.earlier |= this.flags;
    this.flags = 0;
    return false;
  }

  /** Stores the flags; raises #XM (#UD while CR4.OSXMMEXCPT is clear) when one is not masked. */
  commit(c: Core): void {
    if ((this.flags | this.earlier) === 0) return;
    const open = this.flags & ~this.masks;
    if (open & BEFORE) this.flags &= BEFORE;
    c.s.u32[L.MXCSR >> 2] |= this.flags | this.earlier;
    if (open) raise(c.s.cr4 & Cr4.OSXMMEXCPT ? Vec.XM : Vec.UD);
  }
}

/** The one context. */
export const ctx: SseContext = new SseContext();
