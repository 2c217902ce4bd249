/**
 * Processor generations a guest may be shown.
 *
 * @module
 */

/** What a preset says before overrides. */
export interface CpuidPreset {
  readonly vendor: "GenuineIntel" | "AuthenticAMD";
  /** Displayed family, model, stepping (extended fields already added in). */
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** Highest basic and extended leaf; 0: there are no extended leaves. */
  readonly maxBasic: number;
  readonly maxExtended: number;
  readonly physAddrBits: number;
  /** Feature names, blank-separated. */
  readonly features: string;
}

const P5 = "fpu de pse tsc msr mce cx8";
const P6 = `${P5} apic sep pge mca cmov mmx fxsr`;
const PAE = `${P6} pae mtrr pat pse36 clflush sse sse2`;
const X64 = `${PAE} lm nx syscall cx16 lahf_lm`;
const MODERN =
  `${X64} pni ssse3 sse4_1 sse4_2 popcnt x2apic rdtscp pdpe1gb fsgsbase smep smap umip nonstop_tsc arat`;

/** Presets by name. */
export const PRESETS: Readonly<Record<string, CpuidPreset>> = {
  "486": {
    vendor: "GenuineIntel",
    family: 4,
    model: 8,
    stepping: 0,
    maxBasic: 1,
    maxExtended: 0,
    physAddrBits: 32,
    features: "fpu",
  },
  pentium: {
    vendor: "GenuineIntel",
    family: 5,
    model: 2,
    stepping: 12,
    maxBasic: 1,
    maxExtended: 0,
    physAddrBits: 32,
    features: P5,
  },
  "pentium-cmov": {
    vendor: "GenuineIntel",
    family: 6,
    model: 9,
    stepping: 5,
    maxBasic: 2,
    maxExtended: 0x8000_0004,
    physAddrBits: 32,
    features: P6,
  },
  i686: {
    vendor: "GenuineIntel",
    family: 6,
    model: 13,
    stepping: 8,
    maxBasic: 2,
    maxExtended: 0x8000_0008,
    physAddrBits: 36,
    features: PAE,
  },
  "x86-64": {
    vendor: "AuthenticAMD",
    family: 15,
    model: 107,
    stepping: 1,
    maxBasic: 1,
    maxExtended: 0x8000_0008,
    physAddrBits: 40,
    features: X64,
  },
  default: {
    vendor: "AuthenticAMD",
    family: 0x17,
    model: 1,
    stepping: 2,
    maxBasic: 0xd,
    maxExtended: 0x8000_0008,
    physAddrBits: 40,
    features: `${MODERN} ssb_no btc_no 3dnowprefetch`,
  },
  intel: {
    vendor: "GenuineIntel",
    family: 6,
    model: 58,
    stepping: 9,
    maxBasic: 0xd,
    maxExtended: 0x8000_0008,
    physAddrBits: 40,
    features: `${MODERN} arch_capabilities`,
  },
};
