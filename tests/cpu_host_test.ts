import { assert, assertEquals } from "@std/assert";
import { Decoded, Decoder, MODE_FLAT, MODE_MMX, MODE_SSE, MODE_STACK32 } from "../core/cpu/decode/decoder.ts";
import { SYS_OPS } from "../core/cpu/system/ops.ts";
import { compareResults } from "./fidelity/compare.ts";
import { compareDecoders, type LengthDecoder } from "./fidelity/decodediff.ts";
import type { Bits } from "./fidelity/disasm.ts";
import { EVERYDAY_GROUPS, type Group } from "./fidelity/forms.ts";
import { makeCase } from "./fidelity/generate.ts";
import { GuestExec } from "./fidelity/guestexec.ts";
import { type Campaign, type CampaignOptions, report, runCampaign, summary } from "./fidelity/hostdiff.ts";
import { hostAvailable, HostExec } from "./fidelity/protocol.ts";

const ignore = !hostAvailable();
const CASES_PER_GROUP = 6000;

/** Runs cases and fails on the first on which the two disagree. */
async function agree(
  engine: GuestExec,
  options: Partial<CampaignOptions> & Pick<CampaignOptions, "groups">,
): Promise<Campaign> {
  const host = new HostExec();
  try {
    const campaign = await runCampaign(engine, host, {
      seed: 20_260_701,
      maxCases: CASES_PER_GROUP,
      maxMs: 60_000,
      maxMismatches: 1,
      ...options,
    });
    const [first] = campaign.mismatches;
    assert(first === undefined, first && report(campaign.seed, first));
    assertEquals(campaign.cases, options.maxCases ?? CASES_PER_GROUP, summary(campaign));
    return campaign;
  } finally {
    await host.close();
  }
}

for (const group of EVERYDAY_GROUPS) {
  Deno.test({
    name: `cpu agrees with the host processor on ${group} instructions`,
    ignore,
    async fn() {
      const campaign = await agree(new GuestExec(), { groups: new Set<Group>([group]) });
      assertEquals(campaign.completed.size > 0, group !== "invalid", summary(campaign));
    },
  });
}

for (const threshold of [1, 7]) {
  Deno.test({
    name: `compiled loops agree with the host processor when blocks are compiled after ${threshold} runs`,
    ignore,
    async fn() {
      const engine = new GuestExec(undefined, threshold);
      await agree(engine, { groups: new Set<Group>(["int", "x87", "mmx"]), loops: true, maxCases: 1000 });
      assert(engine.regions > 500, `only ${engine.regions} regions were compiled`);
    },
  });
}

Deno.test({
  name: "host executor gives the same results twice and sees a fault, a write and a flag",
  ignore,
  async fn() {
    const host = new HostExec();
    try {
      const groups = new Set<Group>(["int", "invalid"]);
      const made = Array.from({ length: 2000 }, (_, i) => makeCase(5, i, groups));
      const cases = made.map((m) => m.test), a = await host.run(cases), b = await host.run(cases);
      made.forEach((m, i) => assertEquals(compareResults({ ...m, undefinedFlags: 0 }, a[i], b[i], null), []));
      const vectors = new Set(a.map((r) => r.vector));
      for (const v of [0, 3, 6, 13, 14]) assert(vectors.has(v), `no case ended with vector ${v}`);
      assert(a.some((r) => r.changes.size > 0));
      assert(a.some((r) => r.rflags & 1) && a.some((r) => !(r.rflags & 1)));
    } finally {
      await host.close();
    }
  },
});

/** Features whose encodings our tables claim to know completely. */
const FEATURES = new Set([
  ..."INTEL8086 INTEL8086_ONLY INTEL186 INTEL286 INTEL386 INTEL486 X64 CMOV CX8 CMPXCHG16B MOVBE POPCNT"
    .split(" "),
  ..."MULTIBYTENOP PAUSE PREFETCHW CLFSH MSR FPU FPU287 FPU387 FXSR CPUID TSC RDTSCP SYSCALL SEP MONITOR"
    .split(" "),
  ..."FSGSBASE SMAP INVPCID SVM XSAVE RDRAND RDSEED".split(" "),
  ..."MMX SSE SSE2 SSE3 SSSE3 SSE4_1 SSE4_2".split(" "),
]);
/** Features of the policy that change which encodings exist. */
const ABSENT = new Set(["bmi1", "abm", "avx", "clflushopt", "clwb"]);

const decoder = new Decoder((feature) => !ABSENT.has(feature));
const UD = SYS_OPS.indexOf("ud");

const ourLength: LengthDecoder = (bytes, bits) => {
  const mode = bits === 16 ? 0 : bits === 32 ? 1 | MODE_FLAT | MODE_STACK32 : 2;
  if (decoder.decode(bytes, 0, 15, mode | MODE_SSE | MODE_MMX) !== Decoded.OK) return 0;
  return decoder.name === "sys" && decoder.entry.sys === UD ? 0 : decoder.length;
};

/** Encodings whose validity ours checks when they are executed: control and segment register numbers, x87. */
function checkedLater(bytes: Uint8Array, bits: Bits): boolean {
  let i = 0;
  while ([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3].includes(bytes[i])) i++;
  if (bits === 64) { while ((bytes[i] & 0xf0) === 0x40) i++; }
  const op = bytes[i];
  return op === 0x8c || op === 0x8e || op >= 0xd8 && op <= 0xdf ||
    op === 0x0f && (bytes[i + 1] & 0xfc) === 0x20;
}

for (const bits of [16, 32, 64] as const) {
  Deno.test(`decoder agrees with iced-x86 on length and validity in ${bits}-bit code`, () => {
    const mismatches = compareDecoders(ourLength, bits, 4, 60_000, FEATURES)
      .filter((m) => m.theirs !== 0 || !checkedLater(m.bytes, bits));
    assertEquals(mismatches.slice(0, 5).map((m) => `${m.text}: ours ${m.ours}, iced ${m.theirs}`), []);
  });
}
