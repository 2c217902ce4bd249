/**
 * The model-specific registers that the processor itself implements. What a guest finds is what Xen 4.17 shows an
 * HVM guest on an AMD processor (registers that read as zero and ignore writes included), or the architectural set
 * for Intel; the local APIC's base and x2APIC registers and Xen's own belong to the machine's hooks, which come first.
 * Sources: Intel SDM volume 4, AMD APM volume 2 appendix A.
 *
 * The machine may call `readMsr` and `writeMsr` itself, to see an access's result.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { Core } from "./core.ts";
import { raise, Vec } from "./hooks.ts";
import { writeEfer } from "./system/crs.ts";
import { readMtrr, validMemoryType, writeMtrr } from "./msr_mtrr.ts";
import { Seg } from "./state.ts";

/** Where MSRs that only this file knows are kept in the vCPU's state, i64 each. */
const AT = {
  /** Cycles added to the machine's counter (signed). */
  TSC_OFFSET: L.TSC_OFFSET,
  TSC_ADJUST: 0x608,
  MCG_STATUS: 0x610,
  MISC_ENABLE: 0x618,
  /** LASTBRANCHFROM, LASTBRANCHTO, LASTINTFROM, LASTINTTO. */
  LAST_BRANCH: 0x700,
} as const;

/** Numbers of the MSRs handled here. */
export const Msr = {
  P5_MC_ADDR: 0x0,
  P5_MC_TYPE: 0x1,
  TSC: 0x10,
  PLATFORM_ID: 0x17,
  EBC_FREQUENCY_ID: 0x2c,
  FEATURE_CONTROL: 0x3a,
  TSC_ADJUST: 0x3b,
  BIOS_UPDT_TRIG: 0x79,
  BIOS_SIGN_ID: 0x8b,
  PLATFORM_INFO: 0xce,
  ARCH_CAPABILITIES: 0x10a,
  MISC_FEATURES_ENABLES: 0x140,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MCG_CAP: 0x179,
  MCG_STATUS: 0x17a,
  MCG_CTL: 0x17b,
  PERF_STATUS: 0x198,
  PERF_CTL: 0x199,
  THERM_STATUS: 0x19c,
  MISC_ENABLE: 0x1a0,
  DEBUGCTL: 0x1d9,
  LAST_BRANCH_FIRST: 0x1db,
  LAST_BRANCH_LAST: 0x1de,
  PAT: 0x277,
  MC0_CTL2: 0x280,
  MC31_CTL2: 0x29f,
  MC0_CTL: 0x400,
  MC31_MISC: 0x47f,
  TSC_DEADLINE: 0x6e0,
  EFER: 0xc000_0080,
  STAR: 0xc000_0081,
  LSTAR: 0xc000_0082,
  CSTAR: 0xc000_0083,
  SFMASK: 0xc000_0084,
  FS_BASE: 0xc000_0100,
  GS_BASE: 0xc000_0101,
  KERNEL_GS_BASE: 0xc000_0102,
  TSC_AUX: 0xc000_0103,
  TSC_RATIO: 0xc000_0104,
  MC4_MISC1: 0xc000_0408,
  MC4_MISC3: 0xc000_040a,
  K7_EVNTSEL0: 0xc001_0000,
  K7_PERFCTR3: 0xc001_0007,
  SYSCFG: 0xc001_0010,
  HWCR: 0xc001_0015,
  TOP_MEM: 0xc001_001a,
  TOP_MEM2: 0xc001_001d,
  NB_CFG: 0xc001_001f,
  INT_PENDING: 0xc001_0055,
  PATCH_LOADER: 0xc001_0020,
  VM_CR: 0xc001_0114,
  F15H_EVNTSEL0: 0xc001_0200,
  F15H_PERFCTR5: 0xc001_020b,
  DE_CFG: 0xc001_1029,
  EX_CFG: 0xc001_102c,
} as const;

/** Immunities of a processor without speculation (RDCL, SSB, MDS, page-size change, TAA, MMIO stale data, ...). */
const ARCH_CAPABILITIES_LO = 0x0d10_e171, ARCH_CAPABILITIES_HI = 0x4000_0000;
/** MISC_ENABLE at reset: fast strings, branch trace and PEBS unavailable. */
export const MISC_ENABLE_RESET = 0x1801;
/** PAT at reset (SDM volume 3, 12.12.4). */
export const PAT_RESET_LO = 0x0007_0406, PAT_RESET_HI = 0x0007_0406;

/** Puts an active vCPU's MSRs at their reset values. `tscOffset` and all else kept here become zero. */
export function resetMsrs(c: Core): void {
  c.s.u32.fill(0, AT.TSC_OFFSET >> 2, (AT.LAST_BRANCH + 32) >> 2);
  c.s.setWords(L.MSR_PAT, PAT_RESET_LO, PAT_RESET_HI);
  c.s.setWords(AT.MISC_ENABLE, MISC_ENABLE_RESET, 0);
}

function answer(c: Core, lo: number, hi = 0): void {
  c.msrLo = lo >>> 0;
  c.msrHi = hi >>> 0;
}

function answerAt(c: Core, at: number): void {
  answer(c, c.s.word(at), c.s.word(at + 4));
}

/** Reads the guest's time-stamp counter into `msrLo`, `msrHi`. */
export function readTsc(c: Core): void {
  const t = c.hooks.tsc(), lo = (t >>> 0) + c.s.word(AT.TSC_OFFSET);
  const hi = Math.floor(t / 0x1_0000_0000) + c.s.word(AT.TSC_OFFSET + 4) + (lo > 0xffff_ffff ? 1 : 0);
  answer(c, lo, hi % 0x1_0000_0000);
}

/** Adds a 64-bit value to one kept in the state. */
function addTo(c: Core, at: number, lo: number, hi: number): void {
  const sum = c.s.word(at) + lo;
  c.s.setWords(at, sum, (c.s.word(at + 4) + hi + (sum > 0xffff_ffff ? 1 : 0)) % 0x1_0000_0000);
}

/** Moves the TSC by a difference of 64-bit values; `TSC_ADJUST` moves with it (SDM volume 3, 18.17.3). */
function shiftTsc(c: Core, toLo: number, toHi: number, fromLo: number, fromHi: number): void {
  const lo = toLo - fromLo, hi = (toHi - fromHi - (lo < 0 ? 1 : 0)) >>> 0;
  addTo(c, AT.TSC_OFFSET, lo >>> 0, hi);
  addTo(c, AT.TSC_ADJUST, lo >>> 0, hi);
}

/** State word of the MSRs that are plain storage, or -1. */
function plainStorage(c: Core, msr: number): number {
  switch (msr) {
    case Msr.SYSENTER_CS:
      return c.policy.has("sep") ? L.MSR_SYSENTER_CS : -1;
    case Msr.SYSENTER_ESP:
      return c.policy.has("sep") ? L.MSR_SYSENTER_ESP : -1;
    case Msr.SYSENTER_EIP:
      return c.policy.has("sep") ? L.MSR_SYSENTER_EIP : -1;
    case Msr.STAR:
      return c.policy.has("syscall") ? L.MSR_STAR : -1;
    case Msr.LSTAR:
      return c.policy.has("lm") ? L.MSR_LSTAR : -1;
    case Msr.CSTAR:
      return c.policy.has("lm") ? L.MSR_CSTAR : -1;
    case Msr.SFMASK:
      return c.policy.has("lm") ? L.MSR_SFMASK : -1;
    case Msr.FS_BASE:
      return c.policy.has("lm") ? L.SEG + Seg.FS * L.SEG_SIZE + L.SEG_BASE : -1;
    case Msr.GS_BASE:
      return c.policy.has("lm") ? L.SEG + Seg.GS * L.SEG_SIZE + L.SEG_BASE : -1;
    case Msr.KERNEL_GS_BASE:
      return c.policy.has("lm") ? L.MSR_KERNEL_GS_BASE : -1;
    case Msr.TSC_AUX:
      return c.policy.has("rdtscp") ? L.MSR_TSC_AUX : -1;
    case Msr.PAT:
      return c.policy.has("pat") ? L.MSR_PAT : -1;
    case Msr.EFER:
      return c.policy.has("lm") || c.policy.has("nx") || c.policy.has("syscall") ? L.EFER : -1;
    case Msr.DEBUGCTL:
      return c.policy.preset.family >= 6 ? L.MSR_DEBUGCTL : -1;
    case Msr.TSC_ADJUST:
      return c.policy.amd || c.policy.has("tsc_adjust") ? AT.TSC_ADJUST : -1;
    case Msr.MCG_STATUS:
      return c.policy.has("mca") ? AT.MCG_STATUS : -1;
  }
  if (msr >= Msr.LAST_BRANCH_FIRST && msr <= Msr.LAST_BRANCH_LAST) {
    return c.policy.preset.family >= 6 ? AT.LAST_BRANCH + (msr - Msr.LAST_BRANCH_FIRST) * 8 : -1;
  }
  return -1;
}

/** Reads an MSR into `msrLo`, `msrHi`. Raises #GP(0) for one that is not there. */
export function readMsr(c: Core, msr: number): void {
  const at = plainStorage(c, msr);
  if (at >= 0) answerAt(c, at);
  else if (msr === Msr.TSC) {
    if (!c.policy.has("tsc")) raise(Vec.GP, 0);
    readTsc(c);
  } else if (readMachineCheck(c, msr)) return;
  else if (c.policy.has("mtrr") && readMtrr(c, msr)) return;
  else if (readCommon(c, msr)) return;
  else if (c.policy.amd ? readAmd(c, msr) : readIntel(c, msr)) return;
  else raise(Vec.GP, 0);
}

/** Two banks that never saw an error. */
function readMachineCheck(c: Core, msr: number): boolean {
  answer(c, 0);
  if (msr === Msr.P5_MC_ADDR || msr === Msr.P5_MC_TYPE) return c.policy.has("mce");
  if (!c.policy.has("mca")) return false;
  if (msr === Msr.MCG_CAP) answer(c, 2);
  else if (msr === Msr.MCG_CTL || (msr >= Msr.MC0_CTL2 && msr <= Msr.MC31_CTL2)) return true;
  else if (msr >= Msr.MC0_CTL && msr <= Msr.MC31_MISC) {
    if ((msr & 3) === 0) answer(c, 0xffff_ffff, 0xffff_ffff);
    else if (c.policy.amd && msr === Msr.MC0_CTL + 4 * 4 + 3) answer(c, 0, 0x2000_0000); // MC4_MISC: locked
  } else return false;
  return true;
}

function readCommon(c: Core, msr: number): boolean {
  answer(c, 0);
  switch (msr) {
    case Msr.PLATFORM_INFO:
    case Msr.MISC_FEATURES_ENABLES:
    case Msr.EBC_FREQUENCY_ID:
    case Msr.BIOS_SIGN_ID:
    case Msr.TSC_DEADLINE:
      return c.policy.preset.family >= 6;
  }
  return false;
}

function readAmd(c: Core, msr: number): boolean {
  answer(c, 0);
  if (msr >= Msr.MC4_MISC1 && msr <= Msr.MC4_MISC3) answer(c, 0, 0x2000_0000); // locked by the BIOS
  else if (msr >= Msr.K7_EVNTSEL0 && msr <= Msr.K7_PERFCTR3) return true;
  else if (msr >= Msr.F15H_EVNTSEL0 && msr <= Msr.F15H_PERFCTR5) return true;
  else {
    switch (msr) {
      case Msr.TSC_RATIO:
        answer(c, 0, 1);
        return true;
      case Msr.DE_CFG:
        answer(c, 2); // LFENCE is serialising
        return true;
      case Msr.SYSCFG:
      case Msr.HWCR:
      case Msr.TOP_MEM:
      case Msr.TOP_MEM2:
      case Msr.NB_CFG:
      case Msr.INT_PENDING:
      case Msr.VM_CR:
      case Msr.EX_CFG:
        return true;
    }
    return false;
  }
  return true;
}

function readIntel(c: Core, msr: number): boolean {
  answer(c, 0);
  if (c.policy.preset.family < 6) return false;
  switch (msr) {
    case Msr.ARCH_CAPABILITIES:
      if (!c.policy.has("arch_capabilities")) return false;
      answer(c, ARCH_CAPABILITIES_LO, ARCH_CAPABILITIES_HI);
      return true;
    case Msr.MISC_ENABLE:
      answerAt(c, AT.MISC_ENABLE);
      return true;
    case Msr.FEATURE_CONTROL:
      answer(c, 1); // locked: no VMX, no SMX
      return true;
    case Msr.PLATFORM_ID:
    case Msr.PERF_STATUS:
    case Msr.PERF_CTL:
    case Msr.THERM_STATUS:
      return true;
  }
  return false;
}

/** Writes an MSR. Raises #GP(0) for one that is not there, is read-only, or a value that is not allowed. */
export function writeMsr(c: Core, msr: number, lo: number, hi: number): void {
  if (msr === Msr.EFER) return writeEfer(c, lo, hi);
  const at = plainStorage(c, msr);
  if (at >= 0) writePlain(c, msr, at, lo, hi);
  else if (msr === Msr.TSC) {
    if (!c.policy.has("tsc")) raise(Vec.GP, 0);
    readTsc(c);
    shiftTsc(c, lo, hi, c.msrLo, c.msrHi);
  } else if (c.policy.has("mca") && writeMachineCheck(msr, lo, hi)) return;
  else if (c.policy.has("mtrr") && writeMtrr(c, msr, lo, hi)) return;
  else if (msr === Msr.TSC_DEADLINE && c.policy.preset.family >= 6) return; // not armed: that is the local APIC's
  else if (c.policy.amd ? ignoredByAmd(msr) : writeIntel(c, msr, lo, hi)) return;
  else raise(Vec.GP, 0);
}

function writePlain(c: Core, msr: number, at: number, lo: number, hi: number): void {
  switch (msr) {
    case Msr.LSTAR:
    case Msr.CSTAR:
    case Msr.FS_BASE:
    case Msr.GS_BASE:
    case Msr.KERNEL_GS_BASE:
      requireCanonical(hi);
      break;
    case Msr.SYSENTER_ESP:
    case Msr.SYSENTER_EIP:
      if (c.policy.has("lm")) requireCanonical(hi);
      break;
    case Msr.TSC_AUX:
      if (hi !== 0) raise(Vec.GP, 0);
      break;
    case Msr.PAT:
      for (let i = 0; i < 64; i += 8) {
        const type = (i < 32 ? lo >>> i : hi >>> (i - 32)) & 0xff;
        if (type !== 7 && !validMemoryType(type)) raise(Vec.GP, 0);
      }
      break;
    case Msr.TSC_ADJUST:
      shiftTsc(c, lo, hi, c.s.word(at), c.s.word(at + 4));
      return;
    case Msr.SFMASK:
      if (!c.policy.amd && hi !== 0) raise(Vec.GP, 0);
      break;
    case Msr.DEBUGCTL:
      if (hi !== 0 || lo & ~(c.policy.amd ? 0x3f : 0xdfc3)) raise(Vec.GP, 0);
      break;
  }
  c.s.setWords(at, lo, hi);
}

/** Raises #GP(0) for an address that is not canonical (48 bits), given its high word. */
function requireCanonical(hi: number): void {
  if ((hi | 0) >> 15 !== (hi | 0) >> 31) raise(Vec.GP, 0);
}

/** Banks take only zeros; their control registers stay all ones. */
function writeMachineCheck(msr: number, lo: number, hi: number): boolean {
  if (msr === Msr.MCG_CTL || (msr >= Msr.MC0_CTL2 && msr <= Msr.MC31_CTL2)) return true;
  if (msr < Msr.MC0_CTL || msr > Msr.MC31_MISC) return false;
  const locked = msr === Msr.MC0_CTL + 4 * 4 + 3;
  return (msr & 3) === 0 || locked || (lo === 0 && hi === 0);
}

function ignoredByAmd(msr: number): boolean {
  if (msr >= Msr.MC4_MISC1 && msr <= Msr.MC4_MISC3) return true;
  if (msr >= Msr.K7_EVNTSEL0 && msr <= Msr.K7_PERFCTR3) return true;
  if (msr >= Msr.F15H_EVNTSEL0 && msr <= Msr.F15H_PERFCTR5) return true;
  switch (msr) {
    case Msr.SYSCFG:
    case Msr.TOP_MEM:
    case Msr.TOP_MEM2:
    case Msr.NB_CFG:
    case Msr.VM_CR:
    case Msr.DE_CFG:
    case Msr.EX_CFG:
    case Msr.PATCH_LOADER:
      return true;
  }
  return false;
}

function writeIntel(c: Core, msr: number, lo: number, hi: number): boolean {
  if (c.policy.preset.family < 6) return false;
  switch (msr) {
    case Msr.BIOS_SIGN_ID:
      return lo === 0 && hi === 0;
    case Msr.BIOS_UPDT_TRIG:
    case Msr.PERF_CTL:
      return true;
    case Msr.MISC_ENABLE:
      c.s.setWords(AT.MISC_ENABLE, lo, hi);
      return true;
  }
  return false;
}
