/**
 * `deno task fidelity --seconds N --seed S`: comparisons of every kind in random order until the time is over.
 *
 * @module
 */
import { DecodeComparison } from "./decodediff.ts";
import { decodeReport, WIDTHS } from "./decoder_main.ts";
import { EVERYDAY_GROUPS, type Group } from "./forms.ts";
import { GuestExec } from "./guestexec.ts";
import { type Campaign, report, runCampaign } from "./hostdiff.ts";
import { runHostile } from "./hypercalls.ts";
import { hostAvailable, HostExec } from "./protocol.ts";
import { Random } from "./random.ts";

/** Cases of one round of single instructions, of small loops, and of strings to decode. */
const CASES = 5000, LOOPS = 500, STRINGS = 100_000;
const LOOP_GROUPS: readonly Group[] = ["int", "x87", "mmx"];

/** What one round did: what was counted, how it is run again, and what it found. */
interface Round {
  kind: "host" | "decoder" | "hypercalls";
  cases: number;
  again: string;
  findings: string[];
}

type RunRound = (r: Random, msLeft: number) => Promise<Round>;

const hostRound = (host: HostExec): RunRound => async (r, msLeft) => {
  const loops = r.chance(0.4), jit = r.pick([0, 1, 2, 7, 20]), own = r.u32() >>> 1;
  const groups = loops ? LOOP_GROUPS : [r.pick(EVERYDAY_GROUPS)];
  const c: Campaign = await runCampaign(new GuestExec(undefined, jit), host, {
    seed: own,
    groups: new Set(groups),
    loops,
    maxCases: loops ? LOOPS : CASES,
    maxMs: Math.max(1, msLeft),
    maxMismatches: 1,
  });
  const again = `--host --groups ${groups.join(",")} --seed ${own} --jit ${jit}${loops ? " --loops" : ""}`;
  return { kind: "host", cases: c.cases, again, findings: c.mismatches.map((m) => report(own, m)) };
};

const decoderRound: RunRound = (r) => {
  const own = r.u32() >>> 1, bits = r.pick(WIDTHS), result = new DecodeComparison(bits, own).run(STRINGS);
  const again = `--decoder --strings ${STRINGS * WIDTHS.length} --seed ${own}`;
  const findings = result.unexplained.length > 0 ? decodeReport(bits, result) : [];
  return Promise.resolve({ kind: "decoder", cases: STRINGS, again, findings });
};

const hypercallRound: RunRound = async (r) => {
  const own = r.u32() >>> 1, again = `--hypercalls --seconds 1 --seed ${own}`;
  const run = await runHostile(own).catch((e) => {
    throw new Error(`The machine fails: ${again}`, { cause: e });
  });
  return {
    kind: "hypercalls",
    cases: run.hypercalls,
    again,
    findings: run.wrong === null ? [] : [run.wrong],
  };
};

/** Runs rounds of random kinds; prints each and stops at the first that finds something. Returns the exit code. */
export async function campaignMain(seconds: number, seed: number): Promise<number> {
  const host = hostAvailable() ? new HostExec() : null;
  if (host === null) console.error("Without the host's processor: that needs Linux on x86-64 and gcc.");
  const kinds = [...host === null ? [] : [hostRound(host)], decoderRound, hypercallRound];
  const r = new Random(seed), end = performance.now() + seconds * 1000, cases = new Map<string, number>();
  let rounds = 0;
  try {
    while (performance.now() < end) {
      const round = await r.pick(kinds)(r, end - performance.now());
      cases.set(round.kind, (cases.get(round.kind) ?? 0) + round.cases);
      rounds++;
      console.log(`${round.cases} cases, ${round.findings.length} findings: ${round.again}`);
      for (const finding of round.findings) console.log(finding);
      if (round.findings.length > 0) return 1;
    }
    const counts = [...cases].map(([kind, n]) => `${n} ${kind}`).join(", ");
    console.log(`seed ${seed}: ${rounds} rounds, ${counts}, nothing found`);
    return 0;
  } finally {
    await host?.close();
  }
}
