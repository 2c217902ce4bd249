/**
 * Faults that come from outside: inputs of kind "fault". They enter through the one door, so they are recorded and
 * happen again in replay.
 *
 * @module
 */
import { PAGE_SIZE, type PhysMem } from "./mmu/physmem.ts";

/** Target of an input that flips a bit of guest memory. */
export const FLIP_TARGET = "memory";
/** Bytes of its payload: guest-physical address (u64, little-endian), bit (u8, 0 to 7). */
const FLIP_BYTES = 9;

/** A bit of guest memory. */
export interface BitFlip {
  gpa: number;
  /** 0 to 7. */
  bit: number;
}

/** The payload of a flip. */
export function encodeFlip({ gpa, bit }: BitFlip): Uint8Array {
  const out = new Uint8Array(FLIP_BYTES), v = new DataView(out.buffer);
  v.setUint32(0, gpa >>> 0, true);
  v.setUint32(4, Math.floor(gpa / 0x1_0000_0000), true);
  out[8] = bit;
  return out;
}

/** What a payload says; null when it is none of a flip. */
export function decodeFlip(payload: Uint8Array): BitFlip | null {
  if (payload.length !== FLIP_BYTES || payload[8] > 7) return null;
  const v = new DataView(payload.buffer, payload.byteOffset, FLIP_BYTES);
  return { gpa: v.getUint32(4, true) * 0x1_0000_0000 + v.getUint32(0, true), bit: payload[8] };
}

/** Flips a bit, in ROM as well; where there is no memory nothing happens. Translations that are cached stay cached. */
export function flip(mem: PhysMem, payload: Uint8Array): void {
  const what = decodeFlip(payload), host = what === null ? -1 : mem.host(what.gpa);
  if (what === null || host < 0) return;
  mem.touch(Math.floor(what.gpa / PAGE_SIZE), what.gpa % PAGE_SIZE, 1);
  mem.u8[host] ^= 1 << what.bit;
}
