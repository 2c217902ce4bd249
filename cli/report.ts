/**
 * `retrovisor report`: a recording summarized on the terminal.
 *
 * @module
 */
import { report } from "../analysis/report.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { ExitCode } from "./exit_code.ts";
import { note, print } from "./io.ts";
import { limitArgs, openBundle, SYMBOLS_OPTION, symbolsOption, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** The verb. */
export const reportVerb: Verb = {
  name: "report",
  summary: "Summarize a recording on the terminal.",
  usage: "TRACE",
  options: [{ name: "sql", help: "Print the SQL behind each section." }, SYMBOLS_OPTION],
  examples: [
    ["report demo-1.trace", "Exits, hypercalls, rates, ports, MSRs, interrupts, hot addresses."],
    ["report demo-1.trace --sql", "The same with the SQL to start your own questions from."],
  ],
  run: printReport,
};

async function printReport(given: Given): Promise<number> {
  const path = tracePath(given, "report");
  limitArgs(given, "report", 1);
  const symbols = symbolsOption(given);
  const bundle = openBundle(path);
  const summary = traceSummary(bundle);
  if (bundle.recovered) note(`retrovisor: the recording was cut; it is read up to icount ${bundle.icount}.`);
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
