/**
 * `retrovisor check`: a recording held against a baseline.
 *
 * @module
 */
import {
  type Baseline,
  BASELINE_BYTES_MAX,
  baselineOf,
  formatBaseline,
  madeDifferently,
  parseBaseline,
} from "../analysis/baseline.ts";
import { type Budgets, BUDGETS_BYTES_MAX, parseBudgets } from "../analysis/budgets.ts";
import { checkAgainst, type Verdict } from "../analysis/check.ts";
import { annotations, failureTable, junit } from "../analysis/check_output.ts";
import { countAll, type Subject } from "../analysis/diff.ts";
import { quoted } from "../analysis/report.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { harmless, plural } from "../analysis/text.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { readText, writePieces } from "./files.ts";
import { note, print } from "./io.ts";
import { subjectsOption } from "./subjects.ts";
import { limitArgs, openBundle, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** What is gated unless asked otherwise. */
const GATED: readonly Subject[] = ["reason", "hypercall", "function"];
/** Failures shown as a table. */
const ROWS_MAX = 100;

/** The verb. */
export const checkVerb: Verb = {
  name: "check",
  summary: "Hold a recording's counts against a baseline, exactly.",
  usage: "TRACE --baseline FILE",
  options: [
    {
      name: "baseline",
      alias: "b",
      value: "FILE",
      help: "The baseline: counts of an earlier recording, as JSON.",
    },
    { name: "write-baseline", help: "Write the baseline from TRACE instead of checking." },
    { name: "budgets", value: "FILE", help: "What may change, as TOML (see below). Without it: nothing." },
    { name: "by", value: "LIST", help: `What is checked (default ${GATED.join(",")}); port can be added.` },
    { name: "junit", value: "FILE", help: "Also write the verdicts as JUnit XML." },
    { name: "github", help: "Also print failures as GitHub annotations." },
  ],
  notes: `
Runs are deterministic, so the gate is exact: any change in how often the guest exits, by reason, hypercall and function, or
in how it ends, fails with a table and exit code 1. Budgets name what may change:

  [total]
  max = 110_000               all exits together
  [reason.VMEXIT_CPUID]
  delta = 4                   4 more or fewer than the baseline
  [hypercall."xen_version version"]
  delta = "5%"
  [function."*"]
  max = 5_000                 every function without a budget of its own; max alone replaces the baseline`,
  examples: [
    [
      "check boot.trace --baseline boot.json --write-baseline",
      "Make the baseline; keep it with your sources.",
    ],
    ["check boot.trace --baseline boot.json", "Does the boot still exit exactly as it did?"],
    ["check boot.trace -b boot.json --budgets budgets.toml --junit check.xml --github", "In CI."],
  ],
  run: check,
};

async function check(given: Given): Promise<number> {
  const path = tracePath(given, "check");
  limitArgs(given, "check", 1);
  const { baseline: file, budgets: budgetFile } = given.values;
  if (file === undefined) {
    throw new UsageError(
      "check needs a baseline: retrovisor check TRACE --baseline FILE [--write-baseline].",
    );
  }
  const subjects = subjectsOption(given.values.by, GATED);
  const write = given.flags["write-baseline"] === true;
  const before = write ? null : parseBaseline(file, readText(file, "a baseline", BASELINE_BYTES_MAX));
  const budgets: Budgets = budgetFile === undefined
    ? new Map()
    : parseBudgets(budgetFile, readText(budgetFile, "a file of budgets", BUDGETS_BYTES_MAX));
  // A total needs the reasons, whatever else is checked.
  const counted = budgets.has("total") ? [...new Set([...subjects, "reason" as const])] : subjects;
  const now = await countTrace(path, counted);
  if (before === null) return writeBaseline(file, path, now);
  refuseUncounted(file, before, counted);
  const verdicts = checkAgainst(before, now, budgets).filter((v) =>
    v.subject === "total" || v.subject === "outcome" || subjects.includes(v.subject)
  );
  if (given.values.junit !== undefined) writePieces(given.values.junit, junit(path, verdicts));
  return verdict(given, path, file, verdicts, madeDifferently(before, now));
}

async function countTrace(path: string, subjects: readonly Subject[]): Promise<Baseline> {
  const bundle = openBundle(path);
  try {
    const session = await Session.open(bundleSource(bundle));
    try {
      return baselineOf(traceSummary(bundle), countAll(session, subjects));
    } finally {
      session.close();
    }
  } finally {
    bundle.close();
  }
}

function writeBaseline(file: string, path: string, now: Baseline): number {
  if (now.outcome === null) {
    throw new UsageError(`Cannot make a baseline from ${path}: the recording was cut before its end.`);
  }
  writePieces(file, [formatBaseline(now)]);
  note(`retrovisor: wrote ${file}; next: retrovisor check ${quoted(path)} --baseline ${quoted(file)}`);
  return ExitCode.OK;
}

/** A subject that is to be checked and that the baseline does not have would pass unseen. */
function refuseUncounted(file: string, before: Baseline, subjects: readonly Subject[]): void {
  const missing = subjects.find((s) => !before.counts.has(s));
  if (missing !== undefined) {
    throw new UsageError(
      `Cannot check by ${missing}: ${file} does not count it; write it again with --write-baseline.`,
    );
  }
}

function verdict(
  given: Given,
  path: string,
  file: string,
  verdicts: readonly Verdict[],
  made: readonly string[],
): number {
  const failed = verdicts.filter((v) => v.failure !== null).length;
  if (failed === 0) {
    print(`${harmless(path)} holds: ${plural(verdicts.length, "count")} as ${harmless(file)} allows.\n`);
    return ExitCode.OK;
  }
  for (const line of failureTable(verdicts, ROWS_MAX)) print(line + "\n");
  for (const line of made) note(`retrovisor: ${harmless(line)}`);
  if (given.flags.github) { for (const line of annotations(verdicts)) print(line + "\n"); }
  note(`retrovisor: ${path} fails: ${plural(failed, "count")} of ${verdicts.length} broke ${file}.`);
  return ExitCode.FAILED;
}
