/**
 * The host differential test: the same cases on the host processor and on ours.
 *
 * @module
 */
import { compareResults, describeCase } from "./compare.ts";
import type { Group } from "./forms.ts";
import { type GeneratedCase, makeCase } from "./generate.ts";
import { makeLoop } from "./loops.ts";
import { DID_NOT_END, HostExec, type TestCase, type TestResult } from "./protocol.ts";

/** Whatever runs a case like hostexec does. */
export interface Engine {
  /** Instructions after which a case counts as endless. */
  limit: number;
  run(test: TestCase): TestResult;
}

/** The same for a case that ends on the host, which runs it for 20 ms. */
const LONG = 100e6;

/** Runs a case; one that ended on the host is given as long as that takes. */
function runAgainst(engine: Engine, test: TestCase, expected: TestResult): TestResult {
  const actual = engine.run(test);
  if (actual.vector !== DID_NOT_END || expected.vector === DID_NOT_END) return actual;
  const { limit } = engine;
  engine.limit = LONG;
  try {
    return engine.run(test);
  } finally {
    engine.limit = limit;
  }
}

/** A case on which the two disagree. */
export interface Mismatch {
  index: number;
  made: GeneratedCase;
  differences: string[];
}

/** What a campaign found. */
export interface Campaign {
  seed: number;
  cases: number;
  /** Cases by form that ended at the INT3 behind the code, i.e. without a fault. */
  completed: Map<string, number>;
  mismatches: Mismatch[];
  /** Cases whose differences a rule of `vendor_rules.ts` explains, by rule. */
  explained: Map<string, number>;
}

/** What to run. */
export interface CampaignOptions {
  seed: number;
  groups: ReadonlySet<Group>;
  /** Index of the first case. */
  first?: number;
  /** Stop after this many cases, milliseconds, or mismatches, whichever comes first. */
  maxCases: number;
  maxMs: number;
  maxMismatches: number;
  /** Small loops instead of single instructions: for engines that compile what is hot. */
  loops?: boolean;
  /** Compare flags that the manual leaves undefined, too. */
  strict?: boolean;
  /** Called now and then. */
  onProgress?: (cases: number, mismatches: number) => void;
}

const BATCH = 1000;

/** Runs cases until a limit is reached. */
export async function runCampaign(engine: Engine, host: HostExec, o: CampaignOptions): Promise<Campaign> {
  const campaign: Campaign = {
    seed: o.seed,
    cases: 0,
    completed: new Map(),
    mismatches: [],
    explained: new Map(),
  };
  const end = performance.now() + o.maxMs, first = o.first ?? 0;
  while (
    campaign.cases < o.maxCases && campaign.mismatches.length < o.maxMismatches && performance.now() < end
  ) {
    const batch: GeneratedCase[] = [];
    const size = Math.min(BATCH, o.maxCases - campaign.cases);
    const make = o.loops ? makeLoop : makeCase;
    for (let i = 0; i < size; i++) batch.push(make(o.seed, first + campaign.cases + i, o.groups));
    const expected = await host.run(batch.map((c) => c.test));
    for (let i = 0; i < size; i++) {
      const made = o.strict ? { ...batch[i], undefinedFlags: 0 } : batch[i];
      if (expected[i].vector === 3) {
        campaign.completed.set(made.form.name, (campaign.completed.get(made.form.name) ?? 0) + 1);
      }
      const differences = compareResults(
        made,
        expected[i],
        runAgainst(engine, made.test, expected[i]),
        host.vendor,
        campaign.explained,
      );
      if (differences.length) {
        campaign.mismatches.push({ index: first + campaign.cases + i, made, differences });
      }
    }
    campaign.cases += size;
    o.onProgress?.(campaign.cases, campaign.mismatches.length);
  }
  return campaign;
}

/** Makes a failing case smaller while it keeps failing. */
export async function minimise(engine: Engine, host: HostExec, m: Mismatch): Promise<Mismatch> {
  let best = m;
  const attempt = async (change: (t: TestCase) => void) => {
    const t = best.made.test;
    const test: TestCase = { ...t, gpr: t.gpr.slice(), fx: t.fx.slice(), patches: [...t.patches] };
    change(test);
    const made = { ...best.made, test };
    const [expected] = await host.run([test]);
    if (expected.vector === DID_NOT_END) return;
    const differences = compareResults(made, expected, runAgainst(engine, test, expected), host.vendor);
    if (differences.length) best = { ...best, made, differences };
  };
  for (let i = 0; i < 16; i++) if (best.made.test.gpr[i]) await attempt((t) => void (t.gpr[i] = 0n));
  for (let i = best.made.test.patches.length - 1; i >= 0; i--) {
    await attempt((t) => void t.patches.splice(i, 1));
  }
  for (const flag of [1, 4, 0x10, 0x40, 0x80, 0x100, 0x400, 0x800, 0x40000]) {
    if (best.made.test.rflags & flag) await attempt((t) => void (t.rflags &= ~flag));
  }
  for (let i = 0; i < 24; i++) await attempt((t) => void t.fx.fill(0, 32 + i * 16, 48 + i * 16));
  return best;
}

/** The text of one mismatch. */
export function report(seed: number, m: Mismatch): string {
  const groups = m.made.form.group;
  return [
    `case ${m.index} of seed ${seed} (${groups}: ${m.made.form.name})`,
    ...describeCase(m.made.test).map((l) => `    ${l}`),
    ...m.differences.map((d) => `  * ${d}`),
  ].join("\n");
}

/** Numbers of mismatches by mnemonic, most first. */
export function summary(campaign: Campaign): string {
  const by = new Map<string, number>();
  for (const m of campaign.mismatches) by.set(m.made.mnemonic, (by.get(m.made.mnemonic) ?? 0) + 1);
  const list = [...by].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${n}`);
  return `${campaign.cases} cases, ${campaign.completed.size} forms completed, ${campaign.mismatches.length} mismatches` +
    (list.length ? `: ${list.join(", ")}` : "") +
    [...campaign.explained].sort().map(([rule, n]) => `\n  explained by ${rule}: ${n}`).join("");
}
