/**
 * What `run` says at its end.
 *
 * @module
 */
import { type Count, countHypercalls, countReasons } from "../analysis/counts.ts";
import { quoted } from "../analysis/report.ts";
import { alignColumns, bar, duration, grouped, harmless, short } from "../analysis/text.ts";
import type { RunResult } from "../replay/runner.ts";
import { Bundle } from "../traces/bundle.ts";

/** Rows of each table. */
const TOP = 8;

/** The lines: how it ended, how much there was, what exits most, where the recording is, what to try next. */
export function runSummary(result: RunResult, folder: string | null): string[] {
  const seconds = result.hostMs / 1000;
  const lines = [
    "",
    `${result.outcome.kind}: ${harmless(result.outcome.message)}`,
    `${grouped(result.icount)} instructions in ${short(seconds)} s (${
      short(result.icount / 1e6 / Math.max(seconds, 1e-6))
    } M/s), ${duration(result.timeNs)} of virtual time, ${grouped(result.exits)} exits, ` +
    `${grouped(result.hypercalls)} hypercalls.`,
  ];
  if (result.recordingStopped !== null) {
    lines.push(harmless(result.recordingStopped));
  }
  return folder === null ? lines : [...lines, ...exitTables(folder), ...whatNext(folder)];
}

function exitTables(folder: string): string[] {
  const bundle = Bundle.open(folder, { verify: false });
  try {
    return [
      ...countTable("Exits by reason", countReasons(bundle)),
      ...countTable("Hypercalls", countHypercalls(bundle)),
    ];
  } finally {
    bundle.close();
  }
}

function countTable(title: string, counts: readonly Count[]): string[] {
  if (counts.length === 0) return [];
  const total = counts.reduce((n, c) => n + c.count, 0);
  const rows = counts.slice(0, TOP).map((c) => [
    harmless(c.name),
    grouped(c.count),
    `${(100 * c.count / total).toFixed(1)}%`,
    bar(c.count, counts[0].count, 24),
  ]);
  const more = counts.length > TOP ? [`  and ${counts.length - TOP} more kinds`] : [];
  return ["", title, ...alignColumns(rows, [false, true, true, false]).map((l) => `  ${l}`), ...more];
}

function whatNext(folder: string): string[] {
  const trace = quoted(folder);
  return [
    "",
    `Recorded in ${folder}`,
    "Try next:",
    `  deno task report ${trace}`,
    `  deno task replay ${trace}`,
    `  deno task query ${trace} "SELECT * FROM exit_summary"`,
  ];
}
