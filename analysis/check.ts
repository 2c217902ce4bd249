/**
 * Holding a recording against a baseline, exactly.
 *
 * @module
 */
import type { Baseline } from "./baseline.ts";
import { breach, budgetFor, type Budgets } from "./budgets.ts";
import { type Subject, SUBJECTS } from "./diff.ts";

/** One count that was checked. */
export interface Verdict {
  subject: Subject | "total" | "outcome";
  name: string;
  /** Count in the baseline; for the outcome, its kind. */
  before: number | string;
  now: number | string;
  /** Why it fails; null when it holds. */
  failure: string | null;
}

/**
 * Checks the outcome, the total of exits (only when it has a budget: the reasons imply it), and every count of the
 * subjects that the baseline has. Ordered as the subjects are, largest change first.
 */
export function checkAgainst(before: Baseline, now: Baseline, budgets: Budgets): Verdict[] {
  const verdicts: Verdict[] = [outcomeVerdict(before, now)];
  const total = budgetFor(budgets, "total", "exits");
  if (total !== undefined) {
    const [was, is] = [sum(before), sum(now)];
    verdicts.push({
      subject: "total",
      name: "exits",
      before: was,
      now: is,
      failure: breach(was, is, total),
    });
  }
  for (const subject of SUBJECTS) {
    const old = before.counts.get(subject), fresh = now.counts.get(subject);
    if (old === undefined || fresh === undefined) continue;
    const names = [...new Set([...old.keys(), ...fresh.keys()])];
    const of = names.map((name) => {
      const [was, is] = [old.get(name) ?? 0, fresh.get(name) ?? 0];
      const failure = breach(was, is, budgetFor(budgets, subject, name));
      return { subject, name, before: was, now: is, failure };
    });
    const moved = (v: { before: number; now: number }) => Math.abs(v.now - v.before);
    verdicts.push(...of.sort((a, b) => moved(b) - moved(a) || (a.name < b.name ? -1 : 1)));
  }
  return verdicts;
}

function outcomeVerdict(before: Baseline, now: Baseline): Verdict {
  const [was, is] = [before.outcome ?? "cut", now.outcome ?? "cut"];
  return {
    subject: "outcome",
    name: "outcome",
    before: was,
    now: is,
    failure: was === is ? null : "changed",
  };
}

function sum(b: Baseline): number {
  let n = 0;
  for (const count of b.counts.get("reason")?.values() ?? []) n += count;
  return n;
}
