/**
 * The CPUID feature bits this project knows by name: where each lives, what it needs, and whether this build can
 * honestly offer it.
 *
 * Names are those of Linux's `/proc/cpuinfo`. Sources: Intel SDM volume 2 (CPUID), AMD APM volume 3 appendix E.
 *
 * @module
 */

/** The 32-bit words of CPUID output that hold feature bits; an index into `CpuidPolicy.words`. */
export const Word = {
  L1_EDX: 0,
  L1_ECX: 1,
  L6_EAX: 2,
  L7_EBX: 3,
  L7_ECX: 4,
  L7_EDX: 5,
  LD1_EAX: 6,
  X1_EDX: 7,
  X1_ECX: 8,
  X7_EDX: 9,
  X8_EBX: 10,
} as const;

/** Number of feature words. */
export const WORDS = 11;

/** Where each feature word is: leaf, subleaf (-1: any), register index (EAX 0, EBX 1, ECX 2, EDX 3). */
export const WORD_PLACES: readonly (readonly [leaf: number, sub: number, reg: number])[] = [
  [1, -1, 3],
  [1, -1, 2],
  [6, -1, 0],
  [7, 0, 1],
  [7, 0, 2],
  [7, 0, 3],
  [0xd, 1, 0],
  [0x8000_0001, -1, 3],
  [0x8000_0001, -1, 2],
  [0x8000_0007, -1, 3],
  [0x8000_0008, -1, 1],
];

/** One named feature bit. */
export interface Feature {
  readonly word: number;
  readonly bit: number;
  /** False where claiming the bit would promise something that this build does not do. */
  readonly built: boolean;
}

/** Names by word, in bit order; "" leaves a bit unnamed. A leading "!" marks what this build does not implement. */
const NAMES: Record<keyof typeof Word, string> = {
  L1_EDX:
    "fpu,!vme,de,pse,tsc,msr,pae,mce,cx8,apic,,sep,mtrr,pge,mca,cmov,pat,pse36,!pn,clflush,,!dts,!acpi,mmx," +
    "fxsr,sse,sse2,!ss,ht,!tm,!ia64,!pbe",
  L1_ECX:
    "pni,!pclmulqdq,!dtes64,!monitor,!ds_cpl,!vmx,!smx,!est,!tm2,ssse3,!cid,!sdbg,!fma,cx16,!xtpr,!pdcm,,!pcid," +
    "!dca,sse4_1,sse4_2,x2apic,movbe,popcnt,tsc_deadline_timer,!aes,xsave,,!avx,!f16c,!rdrand,hypervisor",
  L6_EAX: "!dtherm,!ida,arat",
  L7_EBX:
    "fsgsbase,tsc_adjust,!sgx,!bmi1,!hle,!avx2,,smep,!bmi2,erms,!invpcid,!rtm,!cqm,,!mpx,!rdt_a,!avx512f," +
    "!avx512dq,!rdseed,!adx,smap,!avx512ifma,,!clflushopt,!clwb,!intel_pt,!avx512pf,!avx512er,!avx512cd,!sha_ni," +
    "!avx512bw,!avx512vl",
  L7_ECX: "!prefetchwt1,!avx512vbmi,umip,!pku,!ospke,!waitpkg,!avx512_vbmi2,!shstk,!gfni,!vaes,!vpclmulqdq," +
    "!avx512_vnni,!avx512_bitalg,!tme,!avx512_vpopcntdq,,!la57,,,,,,!rdpid",
  L7_EDX:
    ",,,,!fsrm,,,,,,!md_clear,,,,!serialize,,!tsxldtrk,,,,,,,,,,!ibrs_intel,!stibp_intel,,arch_capabilities",
  LD1_EAX: "xsaveopt,xsavec,xgetbv1,!xsaves",
  X1_EDX: ",,,,,,,,,,,syscall,,,,,,,,!mp,nx,,!mmxext,,,!fxsr_opt,pdpe1gb,rdtscp,,lm,!3dnowext,!3dnow",
  X1_ECX:
    "lahf_lm,cmp_legacy,!svm,!extapic,!cr8_legacy,!abm,!sse4a,!misalignsse,3dnowprefetch,!osvw,!ibs,!xop," +
    "!skinit,!wdt,,!lwp,!fma4,!tce,,,,!tbm,!topoext,!perfctr_core,!perfctr_nb,,!bpext,,!perfctr_llc",
  X7_EDX: ",,,,,,,,nonstop_tsc",
  X8_EBX:
    "!clzero,!irperf,!xsaveerptr,,!rdpru,,,,,wbnoinvd,,,!ibpb,,!ibrs,!stibp,,,,,,,,,!amd_ssbd,!virt_ssbd," +
    "ssb_no,,,btc_no",
};

/** Every named feature. */
export const FEATURES: ReadonlyMap<string, Feature> = (() => {
  const map = new Map<string, Feature>();
  for (const [word, names] of Object.entries(NAMES) as [keyof typeof Word, string][]) {
    names.split(",").forEach((raw, bit) => {
      if (raw !== "") map.set(raw.replace("!", ""), { word: Word[word], bit, built: !raw.startsWith("!") });
    });
  }
  return map;
})();

/** Other spellings people use, by the name above. */
export const ALIASES: Readonly<Record<string, string>> = {
  sse3: "pni",
  "sse4.1": "sse4_1",
  "sse4.2": "sse4_2",
  cmpxchg8b: "cx8",
  cmpxchg16b: "cx16",
  long_mode: "lm",
  constant_tsc: "nonstop_tsc",
  tsc_deadline: "tsc_deadline_timer",
};

/** Feature by what it cannot do without. Denying the latter denies the former; claiming the former claims the latter. */
export const NEEDS: Readonly<Record<string, readonly string[]>> = {
  mmx: ["fpu"],
  fxsr: ["fpu"],
  sse: ["fxsr", "mmx"],
  sse2: ["sse"],
  pni: ["sse2"],
  ssse3: ["pni"],
  sse4_1: ["ssse3"],
  sse4_2: ["sse4_1"],
  xsave: ["fxsr"],
  xsaveopt: ["xsave"],
  xsavec: ["xsave"],
  xgetbv1: ["xsave"],
  lm: ["pae", "msr", "cx8", "cmov", "fxsr", "sse2", "pge"],
  nx: ["pae", "msr"],
  syscall: ["msr"],
  sep: ["msr"],
  apic: ["msr"],
  mtrr: ["msr"],
  pat: ["msr"],
  mca: ["mce", "msr"],
  lahf_lm: ["lm"],
  pdpe1gb: ["lm"],
  fsgsbase: ["lm"],
  cx16: ["lm"],
  rdtscp: ["tsc", "msr"],
  x2apic: ["apic"],
  tsc_deadline_timer: ["apic", "tsc"],
  tsc_adjust: ["tsc", "msr"],
  nonstop_tsc: ["tsc"],
  arat: ["apic"],
  arch_capabilities: ["msr"],
};

/** The names closest to a misspelt one, best first, at most three. */
export function suggest(name: string, candidates: Iterable<string>): string[] {
  const scored = [...candidates].map((c) => ({ c, d: distance(name.toLowerCase(), c) }));
  return scored.filter((x) => x.d <= Math.max(2, name.length / 3)).sort((a, b) =>
    a.d - b.d || (a.c < b.c ? -1 : 1)
  )
    .slice(0, 3).map((x) => x.c);
}

/** Edits (insert, delete, replace, swap of neighbours) from one short name to another. */
function distance(a: string, b: string): number {
  if (a.length > 64) return a.length;
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i], above = rows[i - 1];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
