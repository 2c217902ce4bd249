/**
 * Command line of the host differential test.
 *
 * @module
 */
import { type Group, GROUPS } from "./forms.ts";
import { GuestExec } from "./guestexec.ts";
import { type Campaign, minimise, report, runCampaign, summary } from "./hostdiff.ts";
import { hostAvailable, HostExec } from "./protocol.ts";

/** Options as parsed. */
export interface HostOptions {
  seconds: number;
  seed: number;
  /** Index of the one case to run, or -1. */
  only: number;
  groups: string;
  show: number;
  strict: boolean;
  loops: boolean;
  /** How often a block runs before it is compiled; 0: everything is interpreted. */
  jit: number;
}

/** Runs a campaign and prints what it found; returns the exit code. */
export async function hostMain(o: HostOptions): Promise<number> {
  const names = o.groups.split(",");
  const unknown = names.find((n) => !(GROUPS as readonly string[]).includes(n));
  if (unknown !== undefined) {
    console.error(`Cannot run group ${unknown}: there are ${GROUPS.join(", ")}`);
    return 2;
  }
  if (!hostAvailable()) {
    console.error("Cannot run the host differential test: it needs Linux on x86-64 and gcc");
    return 2;
  }
  const host = new HostExec(), engine = new GuestExec(undefined, o.jit);
  try {
    const one = o.only >= 0;
    const campaign = await runCampaign(engine, host, {
      seed: o.seed,
      groups: new Set(names as Group[]),
      first: one ? o.only : 0,
      maxCases: one ? 1 : Infinity,
      maxMs: o.seconds * 1000,
      maxMismatches: Infinity,
      strict: o.strict,
      loops: o.loops,
    });
    await print(campaign, engine, host, o.show);
    if (o.jit) console.log(`${engine.regions} regions compiled`);
    return campaign.mismatches.length ? 1 : 0;
  } finally {
    await host.close();
  }
}

/** The summary, and the smallest form of one mismatch of each mnemonic. */
async function print(campaign: Campaign, engine: GuestExec, host: HostExec, show: number): Promise<void> {
  const seen = new Set<string>();
  for (const m of campaign.mismatches) {
    const key = `${m.made.mnemonic} ${m.differences[0].replace(/[0-9a-f]{3,}/g, "")}`.slice(0, 40);
    if (seen.has(key) || seen.size >= show) continue;
    seen.add(key);
    console.log(report(campaign.seed, await minimise(engine, host, m)) + "\n");
  }
  console.log(`seed ${campaign.seed}: ${summary(campaign)}`);
}
