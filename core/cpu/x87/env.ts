/**
 * The x87 environment and state in memory: FLDCW, FSTCW, FSTSW, FLDENV, FSTENV, FSAVE, FRSTOR, FINIT
 * (Intel SDM volume 1, 8.1.10 and figures 8-9 to 8-12).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import type { Insn } from "../insn.ts";
import { linearOf } from "../system/operands.ts";
import { ext } from "./ext.ts";
import { readRegister, setEmpty, setSt, Sw, updateSummary } from "./fpu.ts";

const FSW = L.FSW >> 2, FCW = L.FCW >> 2, FTW = L.FTW >> 2, FOP = L.FOP >> 2;
const FCS = L.FCS >> 2, FDS = L.FDS >> 2;

/** Loads a control word: bit 6 reads as one, bits that do not exist as zero. */
export function setControlWord(c: Core, v: number): void {
  c.s.u32[FCW] = v & 0x1f3f | 0x40;
  updateSummary(c);
}

/** FNINIT. */
export function initialise(c: Core): void {
  const { u32 } = c.s;
  u32[FCW] = 0x37f;
  u32[FSW] = 0;
  u32[FTW] = 0xffff;
  u32[FOP] = u32[FCS] = u32[FDS] = 0;
  c.s.setWords(L.FIP, 0, 0);
  c.s.setWords(L.FDP, 0, 0);
}

/** Tag word with each register's contents classified: 0 valid, 1 zero, 2 special, 3 empty. */
export function fullTagWord(c: Core): number {
  let tags = 0;
  for (let p = 0; p < 8; p++) tags |= tagOf(c, p) << p * 2;
  return tags;
}

function tagOf(c: Core, p: number): number {
  if ((c.s.u32[FTW] >>> p * 2 & 3) === 3) return 3;
  const r = readRegister(c, p);
  if (r.exp === 0) return r.sig === 0n ? 1 : 2;
  return r.exp === 0x7fff || r.sig >> 63n === 0n ? 2 : 0;
}

/** Keeps of a stored tag word what registers know: empty or not. */
function setTagWord(c: Core, tags: number): void {
  let w = 0;
  for (let shift = 0; shift < 16; shift += 2) if ((tags >>> shift & 3) === 3) w |= 3 << shift;
  c.s.u32[FTW] = w;
}

/** Real-address and virtual-8086 mode store linear addresses instead of selectors. */
function realFormat(c: Core): boolean {
  return c.s.realMode || c.s.v86;
}

/** Bytes of the environment at an operand size. */
function envBytes(i: Insn): number {
  return i.opsize === 2 ? 14 : 28;
}

/**
 * Linear address of an area of `bytes` bytes. In 64-bit code its end is looked at by the probe that follows: only after
 * the first element's page.
 */
function areaOf(c: Core, i: Insn, bytes: number, write: boolean): number {
  return linearOf(c, i, c.s.code64 ? envBytes(i) / 7 : bytes, write);
}

/** Writes the seven fields at a linear address already probed. */
function writeEnv(c: Core, i: Insn, la: number): void {
  const { s, mmu } = c, small = i.opsize === 2, step = small ? 2 : 4;
  const put = (n: number, v: number) => {
    if (small) mmu.write16(mmu.next(la, n * step), v);
    else mmu.write32(mmu.next(la, n * step), v);
  };
  const pad = small ? 0 : 0xffff_0000;
  put(0, s.u32[FCW] | pad);
  put(1, s.u32[FSW] | pad);
  put(2, fullTagWord(c) | pad);
  const fip = s.word(L.FIP), fdp = s.word(L.FDP);
  if (realFormat(c)) {
    const ip = (s.u32[FCS] << 4) + fip, dp = (s.u32[FDS] << 4) + fdp;
    put(3, small ? ip : ip & 0xffff);
    put(4, (small ? ip >>> 4 & 0xf000 : ip >>> 16 << 12) | s.u32[FOP]);
    put(5, small ? dp : dp & 0xffff);
    put(6, small ? dp >>> 4 & 0xf000 : dp >>> 16 << 12);
  } else {
    put(3, fip);
    put(4, small ? s.u32[FCS] : s.u32[FCS] | s.u32[FOP] << 16);
    put(5, fdp);
    put(6, s.u32[FDS] | pad);
  }
}

/** Reads what `writeEnv` wrote. Addresses of the real-mode format come back with selector 0. */
function readEnv(c: Core, i: Insn, la: number): void {
  const { s, mmu } = c, small = i.opsize === 2, step = small ? 2 : 4;
  const get = (n: number) => small ? mmu.read16(mmu.next(la, n * step)) : mmu.read32(mmu.next(la, n * step));
  const f3 = get(3), f4 = get(4), f5 = get(5), f6 = get(6);
  const control = get(0), status = get(1), tags = get(2);
  if (realFormat(c)) {
    s.setWords(L.FIP, (f3 & 0xffff) + (small ? (f4 & 0xf000) * 16 : (f4 >>> 12 & 0xffff) * 0x1_0000), 0);
    s.setWords(L.FDP, (f5 & 0xffff) + (small ? (f6 & 0xf000) * 16 : (f6 >>> 12 & 0xffff) * 0x1_0000), 0);
    s.u32[FCS] = s.u32[FDS] = 0;
    s.u32[FOP] = f4 & 0x7ff;
  } else {
    s.setWords(L.FIP, f3, 0);
    s.setWords(L.FDP, f5, 0);
    s.u32[FCS] = f4 & 0xffff;
    s.u32[FDS] = f6 & 0xffff;
    s.u32[FOP] = small ? 0 : f4 >>> 16 & 0x7ff;
  }
  s.u32[FSW] = status & 0xffff;
  setTagWord(c, tags);
  setControlWord(c, control);
}

/** FLDENV. */
export function loadEnvironment(c: Core, i: Insn): void {
  const bytes = envBytes(i), la = areaOf(c, i, bytes, false);
  c.mmu.probeRead(la, bytes, false, bytes / 7);
  readEnv(c, i, la);
}

/** FNSTENV: all exceptions are masked afterwards. */
export function storeEnvironment(c: Core, i: Insn): void {
  const bytes = envBytes(i), la = areaOf(c, i, bytes, true);
  c.mmu.probeWrite(la, bytes, false, bytes / 7);
  writeEnv(c, i, la);
  setControlWord(c, c.s.u32[FCW] | 0x3f);
}

/** FNSAVE: environment, ST(0) to ST(7), then FNINIT. */
export function saveState(c: Core, i: Insn): void {
  const { s, mmu } = c, env = envBytes(i), la = areaOf(c, i, env + 80, true);
  mmu.probeWrite(la, env + 80, false, env / 7);
  writeEnv(c, i, la);
  const t = s.u32[FSW] >>> 11 & 7;
  for (let n = 0; n < 8; n++) {
    const from = (L.FPR + (t + n & 7) * 16) >> 2, at = mmu.next(la, env + n * 10);
    // In pieces of 16 bits: the registers' images are not subject to alignment checks of their own.
    for (let w = 0; w < 5; w++) mmu.write16(mmu.next(at, w * 2), s.u32[from + (w >> 1)] >>> (w & 1) * 16);
  }
  initialise(c);
}

/** FRSTOR. */
export function restoreState(c: Core, i: Insn): void {
  const { s, mmu } = c, env = envBytes(i), la = areaOf(c, i, env + 80, false);
  mmu.probeRead(la, env + 80, false, env / 7);
  readEnv(c, i, la);
  const tags = s.u32[FTW];
  for (let n = 0; n < 8; n++) {
    const at = mmu.next(la, env + n * 10), word = (w: number) => mmu.read16(mmu.next(at, w * 2));
    const lo = (word(0) | word(1) << 16) >>> 0, hi = (word(2) | word(3) << 16) >>> 0, top16 = word(4);
    setSt(c, n, ext(top16 >>> 15, top16 & 0x7fff, BigInt(hi) << 32n | BigInt(lo)));
  }
  s.u32[FTW] = tags;
}

/** FNSTCW, FNSTSW to memory: `status` chooses. */
export function storeWord(c: Core, i: Insn, status: boolean): void {
  c.mmu.write16(linearOf(c, i, 2, true), c.s.u32[status ? FSW : FCW]);
}

/** FLDCW. */
export function loadControlWord(c: Core, i: Insn): void {
  setControlWord(c, c.mmu.read16(linearOf(c, i, 2, false)));
}

/** FNCLEX. */
export function clearExceptions(c: Core): void {
  c.s.u32[FSW] &= ~(0xff | Sw.B);
}

/** FFREE ST(i); clears C1 as processors do, though the manual leaves it undefined. */
export function free(c: Core, n: number): void {
  setEmpty(c, n, true);
  c.s.u32[FSW] &= ~Sw.C1;
}
