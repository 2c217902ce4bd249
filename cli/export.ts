/**
 * `retrovisor export`: a recording in other tools' formats.
 *
 * @module
 */
import type { ExportInput, Pieces } from "../analysis/export/exporter.ts";
import { type Format, FORMATS } from "../analysis/export/formats.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { TABLE_COLUMNS } from "../analysis/tables.ts";
import { alignColumns, byteSize, harmless } from "../analysis/text.ts";
import { loadViews } from "../analysis/views.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { exportRuns } from "./export_runs.ts";
import { removeQuietly, writeAsync } from "./files.ts";
import { BufferedOut, note, out } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { limitArgs, openBundle, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** What a format is for, when it is not the whole recording in one file. */
function shape(f: Format): string {
  return f.oneTable ? "one table or view" : f.files === undefined ? "" : "a folder";
}

/** The verb. */
export const exportVerb: Verb = {
  name: "export",
  summary: "Write a recording in another tool's format.",
  usage: "TRACE --to FORMAT -o FILE | TRACE ... --to parquet --partition -o FOLDER",
  options: [
    { name: "to", value: "FORMAT", help: "The format (see below)." },
    { name: "output", alias: "o", value: "FILE", help: "Where to; - is standard output." },
    { name: "table", value: "NAME", help: "Table or view, for csv and parquet (default exits)." },
    {
      name: "partition",
      help: "With parquet: whole recordings, one folder run=NAME for each, many as one table.",
    },
    { name: "run", value: "NAME", help: "With --partition: name of the run (default: that of its folder)." },
  ],
  notes: `
Formats:
${
    alignColumns(FORMATS.map((f) => [`  ${f.name}`, shape(f), f.readBy]), [
      false,
      false,
      false,
    ]).join("\n")
  }

folded, speedscope and pprof hold stacks of exits: what the guest asked for, and where. Callers are there when the recording
was made with sampling (sample=N). An unfinished file or folder is not left behind.`,
  examples: [
    ["export boot.trace --to perfetto -o boot.pftrace", "Open it in ui.perfetto.dev."],
    ["export boot.trace --to speedscope -o boot.speedscope.json", "Where exits come from, as a flame graph."],
    [
      "export boot.trace --to xentrace -o boot.xentrace",
      "For xenalyze --svm-mode --cpu-hz=1G -s boot.xentrace.",
    ],
    ["export boot.trace --to csv --table io_ports -o -", "A view on standard output."],
    ["export *.trace --to parquet --partition -o runs", "Many recordings as one table; see docs/fleet.md."],
  ],
  run: exportTrace,
};

async function exportTrace(given: Given): Promise<number> {
  const format = formatOption(given.values.to);
  const { output } = given.values;
  if (output === undefined) {
    throw new UsageError(
      `export needs a file: retrovisor export TRACE --to ${format.name} -o trace${format.suffix}`,
    );
  }
  if (given.flags.partition) return await exportRuns(given, format, output);
  const path = tracePath(given, "export");
  limitArgs(given, "export", 1);
  if (given.values.run !== undefined) throw new UsageError("--run names the folder of --partition.");
  const table = tableOption(given.values.table, format);
  if (output === "-" && format.write === undefined) {
    throw new UsageError(`${format.name} is a folder, not for standard output: -o trace${format.suffix}`);
  }
  if (output === "-" && format.binary && Deno.stdout.isTerminal()) {
    throw new UsageError(`${format.name} is binary: send it to a file with -o trace${format.suffix}`);
  }
  await write(path, table, format, output);
  if (output !== "-") {
    const { size } = Deno.statSync(output);
    const bytes = format.write === undefined ? "a folder" : byteSize(size);
    note(`retrovisor: wrote ${harmless(output)}, ${bytes}, for ${format.readBy}.`);
  }
  return ExitCode.OK;
}

async function write(path: string, table: string, format: Format, output: string): Promise<void> {
  const bundle = openBundle(path);
  try {
    if (bundle.recovered) {
      note(`retrovisor: the recording was cut; it is read up to icount ${bundle.icount}.`);
    }
    const session = await Session.open(bundleSource(bundle));
    try {
      const warn = (sentence: string) => note(`retrovisor: ${sentence}.`);
      const input = { session, summary: traceSummary(bundle), table, warn };
      if (format.write === undefined) await toFolder(output, format, input);
      else if (output === "-") await toStdout(format.write(input));
      else await toFile(output, format.write(input));
    } finally {
      session.close();
    }
  } finally {
    bundle.close();
  }
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
    throw new UsageError(`${format.name} holds the whole recording; --table is for csv and parquet.`);
  }
  const views = [...loadViews().values()].filter((v) => !v.signature.includes("(")).map((v) => v.name);
  const names = [...TABLE_COLUMNS.keys(), ...views];
  if (!names.includes(text)) throw new UsageError(`There is no table "${text}"${suggestion(text, names)}`);
  return text;
}

async function toStdout(pieces: Pieces): Promise<void> {
  const buffer = new BufferedOut();
  for await (const piece of pieces) {
    if (typeof piece === "string") buffer.write(piece);
    else out(piece);
  }
  buffer.flush();
}

/** Written under another name first, so that the file is whole or not there. */
async function toFile(path: string, pieces: Pieces): Promise<void> {
  const draft = `${path}.partial`;
  try {
    await writeAsync(draft, pieces);
    Deno.renameSync(draft, path);
  } catch (error) {
    removeQuietly(draft);
    throw error;
  }
}

async function toFolder(path: string, format: Format, input: ExportInput): Promise<void> {
  const draft = `${path}.partial`;
  makeDraft(path, draft);
  try {
    for (const { name, pieces } of format.files?.(input) ?? []) await writeAsync(`${draft}/${name}`, pieces);
    Deno.renameSync(draft, path);
  } catch (error) {
    removeQuietly(draft);
    throw error;
  }
}

function makeDraft(path: string, draft: string): void {
  let there = true;
  try {
    Deno.statSync(path);
  } catch {
    there = false;
  }
  if (there) throw new UsageError(`Cannot write ${path}: it is there already.`);
  try {
    Deno.mkdirSync(draft);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot write ${path}: its folder does not exist.`);
    }
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new UsageError(`Cannot write ${path}: ${draft} is left from an export that was cut; remove it.`);
    }
    throw error;
  }
}
