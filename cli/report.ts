/**
 * `retrovisor report`: a recording summarized, on the terminal or as a page.
 *
 * @module
 */
import { report } from "../analysis/report.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { byteSize, harmless } from "../analysis/text.ts";
import type { TraceSource } from "../analysis/loader.ts";
import type { Bundle } from "../traces/bundle.ts";
import { PageError } from "../web/page/assets.ts";
import { carriedPage } from "../web/page/carried_page.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { writeWhole } from "./files.ts";
import { note, print } from "./io.ts";
import { TextLine } from "./progress.ts";
import { limitArgs, openBundle, SYMBOLS_OPTION, symbolsOption, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** The verb. */
export const reportVerb: Verb = {
  name: "report",
  summary: "Summarize a recording, on the terminal or as a page.",
  usage: "TRACE",
  options: [
    { name: "sql", help: "Print the SQL behind each section." },
    {
      name: "html",
      value: "FILE",
      help: "Write a page instead: one file with the recording and DuckDB inside.",
    },
    SYMBOLS_OPTION,
  ],
  examples: [
    ["report demo-1.trace", "Exits, hypercalls, rates, ports, MSRs, interrupts, hot addresses."],
    ["report demo-1.trace --sql", "The same with the SQL to start your own questions from."],
    ["report demo-1.trace --html demo.html", "A page to open from disk, to brush over and to ask in SQL."],
  ],
  run: printReport,
};

async function printReport(given: Given): Promise<number> {
  const path = tracePath(given, "report");
  limitArgs(given, "report", 1);
  const symbols = symbolsOption(given), { html } = given.values;
  if (html !== undefined && given.flags.sql) {
    throw new UsageError("--sql is for the report on the terminal, not for --html.");
  }
  const bundle = openBundle(path);
  const summary = traceSummary(bundle);
  if (bundle.recovered) note(`retrovisor: the recording was cut; it is read up to icount ${bundle.icount}.`);
  if (html !== undefined) return await writePage(bundle, bundleSource(bundle, symbols), html);
  const session = await Session.open(bundleSource(bundle, symbols));
  try {
    for (const line of report(session, summary, { sql: given.flags.sql === true, trace: path })) {
      print(line + "\n");
    }
  } finally {
    session.close();
    bundle.close();
  }
  return ExitCode.OK;
}

async function writePage(bundle: Bundle, source: TraceSource, file: string): Promise<number> {
  const progress = new TextLine();
  try {
    const pieces = await carriedPage(
      bundle,
      source,
      traceSummary(bundle),
      (what) => progress.update(() => what),
    );
    writeWhole(file, pieces);
  } catch (error) {
    if (error instanceof PageError) throw new UsageError(error.message);
    throw error;
  } finally {
    progress.clear();
    bundle.close();
  }
  note(`retrovisor: wrote ${harmless(file)}, ${byteSize(Deno.statSync(file).size)}; open it in a browser.`);
  return ExitCode.OK;
}
