/**
 * Memory type range registers: stored, checked and given back. All memory behaves as write-back whatever they say.
 * (Intel SDM volume 3, 12.11.)
 *
 * @module
 */
import type { Core } from "./core.ts";
import { raise, Vec } from "./hooks.ts";

/** Where they are kept in the vCPU's state, i64 each: default type, 11 fixed ranges, 8 variable pairs. */
const DEF_AT = 0x620, FIXED_AT = 0x628, VARIABLE_AT = 0x680;
const VARIABLE_PAIRS = 8;

/** Number of the capability MSR and of the default-type MSR. */
export const MTRR_CAP = 0xfe, MTRR_DEF_TYPE = 0x2ff;
const PHYSBASE0 = 0x200, FIX64K = 0x250, FIX16K = 0x258, FIX4K = 0x268;
/** Write-combining, fixed ranges, eight variable ranges. */
const CAP = 0x500 | VARIABLE_PAIRS;

/** UC, WC, WT, WP, WB. */
export function validMemoryType(type: number): boolean {
  return type === 0 || type === 1 || (type >= 4 && type <= 6);
}

/** State offset of a fixed or variable range MSR, or -1. */
function storage(msr: number): number {
  if (msr >= PHYSBASE0 && msr < PHYSBASE0 + 2 * VARIABLE_PAIRS) return VARIABLE_AT + (msr - PHYSBASE0) * 8;
  if (msr === FIX64K) return FIXED_AT;
  if (msr === FIX16K || msr === FIX16K + 1) return FIXED_AT + (1 + msr - FIX16K) * 8;
  if (msr >= FIX4K && msr < FIX4K + 8) return FIXED_AT + (3 + msr - FIX4K) * 8;
  return msr === MTRR_DEF_TYPE ? DEF_AT : -1;
}

/** Answers a read into `msrLo`, `msrHi`; false when the number is not an MTRR's. */
export function readMtrr(c: Core, msr: number): boolean {
  const at = storage(msr);
  if (at < 0 && msr !== MTRR_CAP) return false;
  c.msrLo = at < 0 ? CAP : c.s.word(at);
  c.msrHi = at < 0 ? 0 : c.s.word(at + 4);
  return true;
}

/** Carries out a write; false when the number is not an MTRR's. Raises #GP(0) for a value that is not allowed. */
export function writeMtrr(c: Core, msr: number, lo: number, hi: number): boolean {
  if (msr === MTRR_CAP) raise(Vec.GP, 0);
  const at = storage(msr);
  if (at < 0) return false;
  let valid: boolean;
  if (at === DEF_AT) valid = validMemoryType(lo & 0xff) && (lo & ~0xcff) === 0 && hi === 0;
  else if (at < VARIABLE_AT) valid = validTypes(lo) && validTypes(hi);
  else {
    const mask = (msr & 1) === 1, high = 2 ** (c.policy.physAddrBits - 32);
    valid = hi < high && (mask ? (lo & 0x7ff) === 0 : (lo & 0xf00) === 0 && validMemoryType(lo & 0xff));
  }
  if (!valid) raise(Vec.GP, 0);
  c.s.setWords(at, lo, hi);
  return true;
}

/** Four types, a byte each. */
function validTypes(word: number): boolean {
  for (let i = 0; i < 32; i += 8) if (!validMemoryType(word >>> i & 0xff)) return false;
  return true;
}

/** Enables the MTRRs with default type write-back, as firmware (and PVH) hands them to a kernel. */
export function presetMtrrs(c: Core): void {
  c.s.setWords(DEF_AT, 0x806, 0);
}
