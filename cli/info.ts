/**
 * `retrovisor info`: what a recording is.
 *
 * @module
 */
import { heading } from "../analysis/report.ts";
import { type TraceSummary, traceSummary } from "../analysis/summary.ts";
import { alignColumns, byteSize, grouped, harmless } from "../analysis/text.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { print } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { limitArgs, openBundle, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** The verb. */
export const infoVerb: Verb = {
  name: "info",
  summary: "Say what a recording is.",
  usage: "TRACE",
  options: [{ name: "format", value: "FORMAT", help: "text (default) or json." }],
  notes: `
json has at least: guest, outcome, outcome_message, icount, time_ns, exits, hypercalls, inputs, state_hash, state_icount,
recovered, version, config, images, tables, bytes. Of a recording that was cut, outcome is null and state_hash is that of
its last checkpoint (at state_icount).`,
  examples: [
    ["info demo-1.trace", "Guest, outcome, counts, state hash, sizes."],
    ["info demo-1.trace --format json", "The same for programs."],
  ],
  run: info,
};

function info(given: Given): Promise<number> {
  const path = tracePath(given, "info");
  limitArgs(given, "info", 1);
  const format = given.values.format ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`There is no format "${format}"${suggestion(format, ["text", "json"])}`);
  }
  const bundle = openBundle(path);
  try {
    const summary = traceSummary(bundle);
    print(format === "json" ? JSON.stringify(summary, null, 2) + "\n" : infoText(summary));
  } finally {
    bundle.close();
  }
  return Promise.resolve(ExitCode.OK);
}

function infoText(s: TraceSummary): string {
  const state = s.state_hash === null ? "none" : `${s.state_hash} at icount ${grouped(s.state_icount ?? 0)}`;
  const tables = alignColumns(
    s.tables.map((t) => [t.name, `${grouped(t.rows)} rows`, byteSize(t.bytes)]),
    [false, true, true],
  );
  const images = alignColumns(
    s.images.map((i) => [i.role, harmless(i.name), byteSize(i.bytes), i.sha256]),
    [false, false, true, false],
  );
  return [
    ...heading(s),
    `State     ${state}`,
    `Written   by retrovisor ${harmless(s.retrovisor)}, format version ${s.version}, ${byteSize(s.bytes)}` +
    (s.recovered ? ", cut before its end" : ""),
    "",
    "Images",
    ...images.map((l) => `  ${l}`),
    "",
    "Tables",
    ...tables.map((l) => `  ${l}`),
    "",
  ].join("\n");
}
