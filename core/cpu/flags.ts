/**
 * The lazy form of the six arithmetic flags.
 *
 * A flag-setting operation leaves two words: `LF_RES`, its result sign-extended to 64 bits, and `LF_AUX`:
 *
 *     bit 31     CF
 *     bit 30     CF xor OF
 *     bits 15-8  xored into the result's low byte before parity is taken
 *     bit 3      AF
 *     bit 0      xored with the result's sign to give SF
 *
 * ZF is "result is zero". Ordinary operations leave bits 15-8 and 0 clear; they let any combination of flags
 * (POPF, SAHF) be represented.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { CpuState } from "./state.ts";

export const AUX_CF = 0x8000_0000 | 0, AUX_PO = 0x4000_0000, AUX_AF = 8, AUX_SF = 1;

/** 1 where the low byte has an even number of ones. */
const PARITY = new Uint8Array(256);
for (let i = 0; i < 256; i++) {
  let ones = 0;
  for (let b = i; b; b >>= 1) ones += b & 1;
  PARITY[i] = 1 - (ones & 1);
}

/** RFLAGS (low 32 bits) from the lazy form and the stored rest. */
export function flagsToWord(s: CpuState): number {
  const lo = s.u32[L.LF_RES >> 2], hi = s.i32[(L.LF_RES >> 2) + 1], aux = s.i32[L.LF_AUX >> 2];
  let f = s.u32[L.FLAGS >> 2];
  const cf = aux >>> 31, of = cf ^ (aux >>> 30 & 1);
  f |= cf | of << 11;
  if (aux & AUX_AF) f |= 0x10;
  if ((lo | hi) === 0) f |= 0x40;
  if ((hi >>> 31) ^ (aux & 1)) f |= 0x80;
  if (PARITY[(lo ^ aux >>> 8) & 0xff]) f |= 4;
  return f >>> 0;
}

/** Stores RFLAGS: arithmetic flags in lazy form, the rest as they are (bit 1 set, bits 3, 5, 15 clear). */
export function wordToFlags(s: CpuState, f: number): void {
  const cf = f & 1, pf = f >>> 2 & 1, af = f >>> 4 & 1, zf = f >>> 6 & 1, sf = f >>> 7 & 1, of = f >>> 11 & 1;
  s.u32[L.FLAGS >> 2] = (f & ~0x80fd | 2) & 0x003f_7702 | 2;
  // Result 0 when ZF, else 1 (sign clear, low byte 1: odd parity).
  const lo = zf ? 0 : 1;
  const parityNow = PARITY[lo];
  const pdb = parityNow === pf ? 0 : 1;
  s.u32[L.LF_RES >> 2] = lo;
  s.i32[(L.LF_RES >> 2) + 1] = 0;
  s.i32[L.LF_AUX >> 2] = cf << 31 | (cf ^ of) << 30 | pdb << 8 | af << 3 | sf;
}
