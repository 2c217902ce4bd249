/**
 * `retrovisor diff`: two recordings compared by what they count.
 *
 * @module
 */
import { DIFF_ALIAS, diffRows, SUBJECTS } from "../analysis/diff.ts";
import { foldedDiff, speedscopeDiff, stackPairs } from "../analysis/flame_diff.ts";
import { formatRows, type TextFormat } from "../analysis/format.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import type { RowStream, Value } from "../analysis/rows.ts";
import { harmless } from "../analysis/text.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { writePieces } from "./files.ts";
import { diffExecutions } from "./diff_execution.ts";
import { BufferedOut, note, print } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { subjectsOption } from "./subjects.ts";
import { limitArgs, openBundle, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

const FORMATS: readonly TextFormat[] = ["table", "json", "csv"];

/** The verb. */
export const diffVerb: Verb = {
  name: "diff",
  summary: "Compare two recordings by what they count, or as executions.",
  usage: "A B",
  options: [
    { name: "by", value: "LIST", help: `What to compare (default all): ${SUBJECTS.join(",")}.` },
    {
      name: "execution",
      help: "Find where the executions part: first different input, exit and instruction.",
    },
    { name: "all", help: "Show equal counts, too." },
    { name: "format", value: "FORMAT", help: "table (default), json or csv." },
    {
      name: "flame",
      value: "FILE",
      help: "Also write stacks with both counts: for speedscope (FILE.json), or folded for flamegraph.pl.",
    },
    { name: "exit-code", help: "Exit with 1 when anything differs." },
  ],
  notes: `
Columns: subject, name, a and b (how often in each recording), change (b - a), change_pct (percent of a; empty when a has
none). With --execution both recordings, of one guest on one machine, are executed again side by side to the first
instruction that leaves a different register or byte of memory; the format is table (text) or json. Runs are deterministic: a difference is one between guests, machines or inputs, never noise.`,
  examples: [
    ["diff before.trace after.trace", "What changed, largest change first."],
    ["diff one.trace two.trace --by reason --all", "Exits by reason side by side."],
    ["diff good.trace bad.trace --execution", "The first instruction that did something else."],
    ["diff a.trace b.trace --by function --format csv", "For a spreadsheet."],
    [
      "diff a.trace b.trace --flame change.speedscope.json",
      "What exits more, and what less, as flame graphs.",
    ],
  ],
  run: diff,
};

async function diff(given: Given): Promise<number> {
  limitArgs(given, "diff", 2);
  if (given.args.length === 1) throw new UsageError("diff needs two recordings: retrovisor diff A B.");
  const paths = [tracePath(given, "diff"), tracePath({ ...given, args: given.args.slice(1) }, "diff")];
  const subjects = subjectsOption(given.values.by, SUBJECTS);
  const name = given.values.format ?? "table";
  const format = FORMATS.find((f) => f === name);
  if (format === undefined) throw new UsageError(`There is no format "${name}"${suggestion(name, FORMATS)}`);
  const bundles = [openBundle(paths[0])];
  try {
    bundles.push(openBundle(paths[1]));
    bundles.forEach((b, i) => {
      if (b.recovered) note(`retrovisor: ${paths[i]} was cut; it is read up to icount ${b.icount}.`);
    });
    if (given.flags.execution) {
      if (format === "csv" || given.values.by !== undefined || given.flags.all) {
        throw new UsageError(
          "With --execution the format is table or json, and --by and --all mean nothing.",
        );
      }
      const { text, different } = await diffExecutions(
        [bundles[0], bundles[1]],
        format === "json" ? "json" : "text",
      );
      print(text);
      return different && given.flags["exit-code"] ? ExitCode.FAILED : ExitCode.OK;
    }
    const session = await Session.open(
      new Map([["main", bundleSource(bundles[0])], [DIFF_ALIAS, bundleSource(bundles[1])]]),
    );
    try {
      if (given.values.flame !== undefined) writeFlame(given.values.flame, session, paths);
      const counted = new CountedRows(diffRows(session, { subjects, all: given.flags.all === true }));
      const buffer = new BufferedOut();
      for (const text of formatRows(counted.stream, format)) buffer.write(text);
      buffer.flush();
      if (counted.different === 0) note("retrovisor: no count differs.");
      return counted.different > 0 && given.flags["exit-code"] ? ExitCode.FAILED : ExitCode.OK;
    } finally {
      session.close();
    }
  } finally {
    for (const b of bundles) b.close();
  }
}

function writeFlame(file: string, session: Session, [a, b]: string[]): void {
  const pairs = stackPairs(session);
  writePieces(file, file.endsWith(".json") ? speedscopeDiff(pairs, [a, b]) : foldedDiff(pairs));
  note(`retrovisor: wrote ${harmless(file)}.`);
}

/** Passes rows through and counts those that differ. */
class CountedRows {
  different = 0;
  readonly stream: RowStream;

  constructor({ columns, rows }: RowStream) {
    const change = columns.findIndex((c) => c.name === "change");
    this.stream = { columns, rows: this.#count(rows, change) };
  }

  *#count(rows: Iterable<Value[]>, change: number): Generator<Value[]> {
    for (const row of rows) {
      if (Number(row[change]) !== 0) this.different++;
      yield row;
    }
  }
}
