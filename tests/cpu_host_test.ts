import { assert, assertEquals } from "@std/assert";
import { compareResults } from "./fidelity/compare.ts";
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
