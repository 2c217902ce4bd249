/**
 * `deno task fidelity --seconds N --seed S`: comparisons in random order until the time is over.
 *
 * @module
 */
import { EVERYDAY_GROUPS, type Group } from "./forms.ts";
import { GuestExec } from "./guestexec.ts";
import { type Campaign, report, runCampaign } from "./hostdiff.ts";
import { hostAvailable, HostExec } from "./protocol.ts";
import { Random } from "./random.ts";

/** Cases of one round of single instructions, and of small loops. */
const CASES = 5000, LOOPS = 500;
const LOOP_GROUPS: readonly Group[] = ["int", "x87", "mmx"];

/** Runs rounds of random kinds; prints each and stops at the first mismatch. Returns the exit code. */
export async function campaignMain(seconds: number, seed: number): Promise<number> {
  if (!hostAvailable()) {
    console.error("Cannot run the campaign: it needs Linux on x86-64 and gcc");
    return 2;
  }
  const r = new Random(seed), host = new HostExec(), end = performance.now() + seconds * 1000;
  let cases = 0, rounds = 0;
  try {
    while (performance.now() < end) {
      const loops = r.chance(0.4), jit = r.pick([0, 1, 2, 7, 20]), own = r.u32() >>> 1;
      const groups = loops ? LOOP_GROUPS : [r.pick(EVERYDAY_GROUPS)];
      const c: Campaign = await runCampaign(new GuestExec(undefined, jit), host, {
        seed: own,
        groups: new Set(groups),
        loops,
        maxCases: loops ? LOOPS : CASES,
        maxMs: Math.max(1, end - performance.now()),
        maxMismatches: 1,
      });
      cases += c.cases;
      rounds++;
      const what = `--groups ${groups.join(",")} --seed ${own} --jit ${jit}${loops ? " --loops" : ""}`;
      console.log(`${c.cases} cases, ${c.mismatches.length} mismatches: --host ${what}`);
      for (const m of c.mismatches) console.log(report(own, m));
      if (c.mismatches.length) return 1;
    }
    console.log(`seed ${seed}: ${rounds} rounds, ${cases} cases, no mismatch`);
    return 0;
  } finally {
    await host.close();
  }
}
