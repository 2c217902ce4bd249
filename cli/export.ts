/**
 * `retrovisor export`: a recording in other tools' formats.
 *
 * @module
 */
import { type Format, FORMATS } from "../analysis/export/formats.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { TABLE_COLUMNS } from "../analysis/tables.ts";
import { alignColumns, byteSize, harmless } from "../analysis/text.ts";
import { loadViews } from "../analysis/views.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { writePieces } from "./files.ts";
import { BufferedOut, note, out } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { limitArgs, openBundle, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** The verb. */
export const exportVerb: Verb = {
  name: "export",
  summary: "Write a recording in another tool's format.",
  usage: "TRACE --to FORMAT -o FILE",
  options: [
    { name: "to", value: "FORMAT", help: "The format (see below)." },
    { name: "output", alias: "o", value: "FILE", help: "Where to; - is standard output." },
    { name: "table", value: "NAME", help: "Table or view, for csv (default exits)." },
  ],
  notes: `
Formats:
${
    alignColumns(FORMATS.map((f) => [`  ${f.name}`, f.oneTable ? "one table or view" : "", f.readBy]), [
      false,
      false,
      false,
    ]).join("\n")
  }

folded, speedscope and pprof hold stacks of exits: what the guest asked for, and where. Callers are there when the recording
was made with sampling (sample=N). An unfinished file is not left behind.`,
  examples: [
    ["export boot.trace --to chrome -o boot.json", "Open it in ui.perfetto.dev."],
    ["export boot.trace --to speedscope -o boot.speedscope.json", "Where exits come from, as a flame graph."],
    [
      "export boot.trace --to xentrace -o boot.xentrace",
      "For xenalyze --svm-mode --cpu-hz=1G -s boot.xentrace.",
    ],
    ["export boot.trace --to csv --table io_ports -o -", "A view on standard output."],
  ],
  run: exportTrace,
};

async function exportTrace(given: Given): Promise<number> {
  const path = tracePath(given, "export");
  limitArgs(given, "export", 1);
  const format = formatOption(given.values.to);
  const table = tableOption(given.values.table, format);
  const { output } = given.values;
  if (output === undefined) {
    throw new UsageError(
      `export needs a file: retrovisor export TRACE --to ${format.name} -o trace${format.suffix}`,
    );
  }
  if (output === "-" && format.binary && Deno.stdout.isTerminal()) {
    throw new UsageError(`${format.name} is binary: send it to a file with -o trace${format.suffix}`);
  }
  const bundle = openBundle(path);
  try {
    if (bundle.recovered) {
      note(`retrovisor: the recording was cut; it is read up to icount ${bundle.icount}.`);
    }
    const session = await Session.open(bundleSource(bundle));
    try {
      const warn = (sentence: string) => note(`retrovisor: ${sentence}.`);
      const pieces = format.write({ session, summary: traceSummary(bundle), table, warn });
      if (output === "-") toStdout(pieces);
      else toFile(output, pieces);
    } finally {
      session.close();
    }
  } finally {
    bundle.close();
  }
  if (output !== "-") {
    note(
      `retrovisor: wrote ${harmless(output)}, ${byteSize(Deno.statSync(output).size)}, for ${format.readBy}.`,
    );
  }
  return ExitCode.OK;
}

function formatOption(text: string | undefined): Format {
  const names = FORMATS.map((f) => f.name);
  if (text === undefined) throw new UsageError(`export needs a format: --to ${names.join(", ")}.`);
  const format = FORMATS.find((f) => f.name === text);
  if (format === undefined) throw new UsageError(`There is no format "${text}"${suggestion(text, names)}`);
  return format;
}

/** Only names that are known become part of SQL. */
function tableOption(text: string | undefined, format: Format): string {
  if (text === undefined) return "exits";
  if (!format.oneTable) {
    throw new UsageError(`${format.name} holds the whole recording; --table is for csv.`);
  }
  const views = [...loadViews().values()].filter((v) => !v.signature.includes("(")).map((v) => v.name);
  const names = [...TABLE_COLUMNS.keys(), ...views];
  if (!names.includes(text)) throw new UsageError(`There is no table "${text}"${suggestion(text, names)}`);
  return text;
}

function toStdout(pieces: Iterable<string | Uint8Array>): void {
  const buffer = new BufferedOut();
  for (const piece of pieces) {
    if (typeof piece === "string") buffer.write(piece);
    else out(piece);
  }
  buffer.flush();
}

/** Written under another name first, so that the file is whole or not there. */
function toFile(path: string, pieces: Iterable<string | Uint8Array>): void {
  const draft = `${path}.partial`;
  try {
    writePieces(draft, pieces);
    Deno.renameSync(draft, path);
  } catch (error) {
    try {
      Deno.removeSync(draft);
    } catch {
      // It was never made.
    }
    throw error;
  }
}
