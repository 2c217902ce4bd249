/**
 * Checks and addresses that several system operations share.
 *
 * @module
 */
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Cr4, Fl, Seg } from "../state.ts";
import * as L from "../../layout.ts";

export { linearOf, readRm, writeRm } from "./operands.ts";

const TWO32 = 0x1_0000_0000;

/** #GP(0) unless at privilege level 0. */
export function requireCpl0(c: Core): void {
  if (c.s.cpl !== 0) raise(Vec.GP, 0);
}

/** #GP(0) in user code when CR4.UMIP is set: SGDT, SIDT, SLDT, SMSW, STR (SDM volume 3, 2.5). */
export function requireUnprotectedByUmip(c: Core): void {
  if (c.s.cr4 & Cr4.UMIP && c.s.cpl !== 0) raise(Vec.GP, 0);
}

/** EFLAGS.IOPL, 0 to 3. */
export function iopl(c: Core): number {
  return (c.s.u32[L.FLAGS >> 2] & Fl.IOPL) >>> 12;
}

/** Linear address of a memory operand without any check, as INVLPG takes it; may be non-canonical in 64-bit code. */
export function invalidationAddress(c: Core, i: Insn): number {
  i.computeEa();
  const seg = i.seg, { s } = c;
  const offset = (i.eaHi | 0) * TWO32 + i.eaLo;
  if (!s.code64) return (s.segBase(seg) + i.eaLo) % TWO32;
  return seg === Seg.FS || seg === Seg.GS ? s.segBase(seg) + offset : offset;
}
