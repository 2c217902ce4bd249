/**
 * The terminal report over one recording.
 *
 * @module
 */
import type { Session } from "./session.ts";
import {
  callerExits,
  cpuid,
  exitRate,
  exitsByReason,
  functionHypercalls,
  functionTime,
  functionTotals,
  hotRips,
  hypercalls,
  interrupts,
  mmio,
  msrs,
  ports,
  type Section,
  topFunctions,
  topRips,
  vcpus,
} from "./sections.ts";
import type { TraceSummary } from "./summary.ts";
import { clip, duration, grouped, harmless, plural } from "./text.ts";

/** How the report is printed. */
export interface ReportOptions {
  /** Print the SQL behind each section. */
  sql?: boolean;
  /** How the reader names the recording, for the line that says what to try next. */
  trace?: string;
}

/** The report, line by line (without line ends). Errors: `QueryError`, `TraceError`. */
export function* report(
  session: Session,
  summary: TraceSummary,
  options: ReportOptions = {},
): Generator<string> {
  yield* heading(summary);
  for (const section of sections(session, summary)) {
    const lines = section.render(session.records(section.sql, 200));
    if (lines.length === 0) continue;
    yield "";
    yield section.title;
    if (options.sql) yield* section.sql.split("\n").map((line) => `  -- ${line}`);
    yield* lines;
  }
  yield "";
  yield `Try next: retrovisor query ${quoted(options.trace ?? "TRACE")} "FROM exit_summary"`;
  yield "          (`retrovisor query --views` lists what can be asked by name; --sql shows the SQL behind this report)";
}

/** Who ran, how it ended, how much there is. */
export function heading(summary: TraceSummary): string[] {
  const { config } = summary;
  const vcpus = `${config.vcpus} vCPU${config.vcpus === 1 ? "" : "s"}`;
  const memory = `${Math.round(config.memoryBytes / 2 ** 20)} MiB`;
  return [
    `Guest     ${harmless(summary.guest)} (${config.type}, ${vcpus}, ${memory}${config.xen ? ", Xen" : ""})`,
    ...(summary.label === null ? [] : [`Label     ${clip(harmless(summary.label), 200)}`]),
    ...(config.cmdline === "" ? [] : [`Cmdline   ${clip(harmless(config.cmdline), 200)}`]),
    `Outcome   ${summary.outcome ?? "cut"}: ${harmless(summary.outcome_message)}`,
    `Ran       ${grouped(summary.icount)} instructions` +
    (summary.time_ns === null ? "" : `, ${duration(summary.time_ns)} of virtual time`),
    `Recorded  ${plural(summary.exits, "exit")}, ${plural(summary.hypercalls, "hypercall")}, ` +
    plural(summary.inputs, "input"),
  ];
}

function sections(session: Session, summary: TraceSummary): Section[] {
  const end = summary.time_ns ??
    Number(session.records("SELECT coalesce(max(time_ns), 0) AS t FROM exits")[0].t);
  return [
    exitsByReason,
    hypercalls,
    exitRate(end),
    ports,
    mmio,
    msrs,
    cpuid,
    interrupts,
    vcpus,
    topRips,
    hotRips,
    functionTime,
    functionTotals,
    topFunctions,
    callerExits,
    functionHypercalls,
  ];
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
