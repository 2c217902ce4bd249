import { Decoded, Decoder } from "../../core/cpu/decode/decoder.ts";
import { SYS_OPS } from "../../core/cpu/system/ops.ts";
import { compareDecoders } from "./decodediff.ts";
const FEATURES = new Set([
  "INTEL8086",
  "INTEL186",
  "INTEL286",
  "INTEL386",
  "INTEL486",
  "X64",
  "CMOV",
  "CX8",
  "CMPXCHG16B",
  "MOVBE",
  "POPCNT",
  "MULTIBYTENOP",
  "PAUSE",
  "PREFETCHW",
  "CLFSH",
  "MSR",
  "FPU",
  "FPU287",
  "FPU387",
  "FXSR",
  "CPUID",
  "TSC",
  "RDTSCP",
  "SYSCALL",
  "SEP",
  "MONITOR",
  "FSGSBASE",
  "SMAP",
  "INVPCID",
  "SVM",
  "XSAVE",
  "RDRAND",
  "RDSEED",
  "INTEL8086_ONLY",
]);
const NOT = new Set(["bmi1", "abm", "avx"]);
const d = new Decoder((f) => !NOT.has(f));
const UD = SYS_OPS.indexOf("ud");
const buf = new Uint8Array(32);
const by: Record<string, [number, string]> = {};
for (const bits of [16, 32, 64] as const) {
  const ms = compareDecoders(
    (bytes, b) => {
      const r = d.decode(bytes, 0, 15, b === 16 ? 0 : b === 32 ? 1 | 4 | 8 : 2 | 4 | 8);
      if (r === Decoded.TOO_LONG) return 0;
      if (d.name === "sys" && d.entry.sys === UD) return 0;
      return d.length;
    },
    bits,
    77,
    1000000,
    FEATURES,
  );
  console.log(bits, ms.length);
  for (const m of ms) {
    if (
      / (0f 2[0-3]|8[ce]|d[89a-f]|4. 0f 2|4. 8e|4. 8c|4. d)/.test(
        " " + m.text.replace(/^0 */, "").replace(/((26|2e|36|3e|64|65|66|67|f0|f2|f3) )*/, ""),
      ) && m.theirs === 0
    ) continue;
    const k = bits + " " + m.ours + "/" + m.theirs + " " +
      m.text.slice(36).trim().split(" ").slice(0, 3).join(" ");
    by[k] ??= [0, m.text];
    by[k][0]++;
  }
}
for (const [k, v] of Object.entries(by).sort((a, b) => b[1][0] - a[1][0]).slice(0, 70)) {
  console.log(v[0], k, "|", v[1]);
}
