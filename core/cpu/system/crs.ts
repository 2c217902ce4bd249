/**
 * What writing CR0, CR3, CR4 and EFER means: validity, long mode, PDPTEs, TLB flushes
 * (Intel SDM volume 3, 2.5, 4.1, 4.4.1, 4.10.4, 10.8.5).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import type { CpuidPolicy } from "../cpuid.ts";
import { raise, Vec } from "../hooks.ts";
import { Attr, Cr0, Cr4, Efer, Seg } from "../state.ts";

const TWO32 = 0x1_0000_0000;
/** CR0 bits that exist; the others of the low 32 are ignored and read as zero. */
const CR0_BITS = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD |
  Cr0.PG;

/** CR4 bits that the policy lets a guest set. */
export function cr4Valid(p: CpuidPolicy): number {
  let bits = 0;
  if (p.has("vme")) bits |= Cr4.VME | Cr4.PVI;
  if (p.has("tsc")) bits |= Cr4.TSD;
  if (p.has("de")) bits |= Cr4.DE;
  if (p.has("pse")) bits |= Cr4.PSE;
  if (p.has("pae")) bits |= Cr4.PAE;
  if (p.has("mce") || p.has("mca")) bits |= Cr4.MCE;
  if (p.has("pge")) bits |= Cr4.PGE;
  if (p.preset.family >= 6) bits |= Cr4.PCE;
  if (p.has("fxsr")) bits |= Cr4.OSFXSR;
  if (p.has("sse")) bits |= Cr4.OSXMMEXCPT;
  if (p.has("umip")) bits |= Cr4.UMIP;
  if (p.has("fsgsbase")) bits |= Cr4.FSGSBASE;
  if (p.has("xsave")) bits |= Cr4.OSXSAVE;
  if (p.has("smep")) bits |= Cr4.SMEP;
  if (p.has("smap")) bits |= Cr4.SMAP;
  return bits;
}

/** EFER bits that the policy lets a guest set; 0: there is no EFER. */
export function eferValid(p: CpuidPolicy): number {
  let bits = 0;
  if (p.has("syscall")) bits |= Efer.SCE;
  if (p.has("lm")) bits |= Efer.LME | Efer.LMA;
  if (p.has("nx")) bits |= Efer.NXE;
  if (p.has("fxsr_opt")) bits |= Efer.FFXSR;
  return bits;
}

/** Low word of CR0, CR2, CR3, CR4 or CR8. */
export function readCr(c: Core, n: number): number {
  if (n === 8) return c.hooks.readTpr();
  return c.s.word(n === 0 ? L.CR0 : L.CR0 + (n - 1) * 8);
}

/** Writes CR0, CR2, CR3, CR4 or CR8; #GP(0) when the value is not allowed. */
export function writeCr(c: Core, n: number, lo: number, hi: number): void {
  if (n === 0) writeCr0(c, lo, hi);
  else if (n === 2) c.s.setWords(L.CR2, lo, hi);
  else if (n === 3) writeCr3(c, lo, hi);
  else if (n === 4) writeCr4(c, lo, hi);
  else {
    if (hi !== 0 || lo > 15) raise(Vec.GP, 0);
    c.hooks.writeTpr(lo);
  }
}

/** Writes CR0, entering or leaving paging and long mode. */
export function writeCr0(c: Core, lo: number, hi: number): void {
  const { s } = c, old = s.cr0;
  if (hi !== 0) raise(Vec.GP, 0);
  const value = (lo & CR0_BITS | Cr0.ET) >>> 0;
  if (value & Cr0.PG && !(value & Cr0.PE)) raise(Vec.GP, 0);
  if (value & Cr0.NW && !(value & Cr0.CD)) raise(Vec.GP, 0);
  const changed = (value ^ old) >>> 0;
  let efer = s.efer;
  if (changed & Cr0.PG) {
    if (value & Cr0.PG) {
      if (efer & Efer.LME) {
        if (!(s.cr4 & Cr4.PAE) || s.segAttr(Seg.CS) & Attr.L) raise(Vec.GP, 0);
        efer |= Efer.LMA;
      }
    } else {
      if (s.code64) raise(Vec.GP, 0);
      efer &= ~Efer.LMA;
    }
  }
  if (value & Cr0.PG && changed & (Cr0.PG | Cr0.CD | Cr0.NW)) requirePdptes(c, s.cr4, efer, s.num(L.CR3));
  s.u32[L.CR0 >> 2] = value;
  s.u32[L.EFER >> 2] = efer;
  if (changed & (Cr0.PG | Cr0.WP | Cr0.PE)) c.mmu.flushAll();
  c.updateMode();
}

/** Writes CR3: flushes what is not global, loads the PDPTEs of PAE paging. */
export function writeCr3(c: Core, lo: number, hi: number): void {
  const { s } = c;
  if (hi >>> (c.policy.physAddrBits - 32) !== 0) raise(Vec.GP, 0);
  if (s.cr0 & Cr0.PG) requirePdptes(c, s.cr4, s.efer, hi * TWO32 + lo);
  s.setWords(L.CR3, lo, hi);
  c.mmu.flushNonGlobal();
}

/** Writes CR4. */
export function writeCr4(c: Core, lo: number, hi: number): void {
  const { s } = c, changed = (lo ^ s.cr4) >>> 0;
  if (hi !== 0 || lo & ~cr4Valid(c.policy)) raise(Vec.GP, 0);
  if (!(lo & Cr4.PAE) && s.longMode) raise(Vec.GP, 0);
  const paging = Cr4.PSE | Cr4.PAE | Cr4.PGE | Cr4.SMEP | Cr4.SMAP;
  if (s.cr0 & Cr0.PG && changed & paging) requirePdptes(c, lo, s.efer, s.num(L.CR3));
  s.u32[L.CR4 >> 2] = lo;
  if (changed & paging) c.mmu.flushAll();
  c.updateMode();
}

/** Writes EFER; LMA is the processor's and keeps its value. */
export function writeEfer(c: Core, lo: number, hi: number): void {
  const { s } = c, old = s.efer, valid = eferValid(c.policy);
  if (valid === 0 || hi !== 0 || lo & ~valid) raise(Vec.GP, 0);
  if ((lo ^ old) & Efer.LME && s.cr0 & Cr0.PG) raise(Vec.GP, 0);
  s.u32[L.EFER >> 2] = lo & ~Efer.LMA | old & Efer.LMA;
  if ((lo ^ old) & Efer.NXE) c.mmu.flushAll();
  c.updateMode();
}

/** Where PAE paging is or will be in use outside long mode: loads the four PDPTEs, #GP(0) when one is not valid. */
function requirePdptes(c: Core, cr4: number, efer: number, cr3: number): void {
  if (cr4 & Cr4.PAE && !(efer & Efer.LMA) && !c.mmu.loadPdptes(cr3)) raise(Vec.GP, 0);
}
