/**
 * Attributes of the flat segments that fast system calls load.
 *
 * @module
 */
import { Attr } from "../state.ts";

/** Flat code segments: present, S, execute/read, accessed, G; 32-bit with D, 64-bit with L. */
export const CODE32: number = Attr.G | Attr.DB | Attr.P | Attr.S | 0xb;
/** @see CODE32 */
export const CODE64: number = Attr.G | Attr.L | Attr.P | Attr.S | 0xb;
/** Flat stack segment: read/write, accessed. */
export const STACK: number = Attr.G | Attr.DB | Attr.P | Attr.S | 0x3;
/** Of level 3. */
export const DPL3: number = 3 << Attr.DPL_SHIFT;
