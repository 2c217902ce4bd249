/**
 * `retrovisor query`: SQL over one or more recordings.
 *
 * @module
 */
import { REPLAY_FUNCTIONS, signatureOf } from "../analysis/replay/functions.ts";
import { COSTS_BYTES_MAX, parseCosts } from "../analysis/costs.ts";
import { parquetFile } from "../analysis/export/parquet.ts";
import { formatRows, type TextFormat } from "../analysis/format.ts";
import { Session, type SessionOptions, type TraceSource } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { splitStatements } from "../analysis/statements.ts";
import { loadViews, type View } from "../analysis/views.ts";
import type { Bundle } from "../traces/bundle.ts";
import { TABLES } from "../traces/schema.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { explain } from "./explain.ts";
import { readText } from "./files.ts";
import { BufferedOut, note, out, OutputClosed, print } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { queryNative } from "./query_native.ts";
import { repl } from "./repl.ts";
import { CachedComputer, withReplay } from "./replay_tables.ts";
import { openBundle, SYMBOLS_OPTION, symbolsOption, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

const FORMATS = ["table", "json", "csv", "arrow", "parquet"] as const;
/** One of them. */
export type Format = typeof FORMATS[number];
/** Longest SQL text. */
const SQL_BYTES_MAX = 1 << 20;

/** The verb. */
export const queryVerb: Verb = {
  name: "query",
  summary: "Ask a recording in SQL.",
  usage: "TRACE [TRACE ...] [SQL | -f FILE | -] | --views",
  options: [
    { name: "file", alias: "f", value: "FILE", help: "Read the SQL from a file." },
    {
      name: "format",
      value: "FORMAT",
      help: "table (default), json, csv, arrow (an IPC stream) or parquet.",
    },
    { name: "with", value: "TRACE", help: "A second recording, its tables under the schema b: b.exits." },
    { name: "costs", value: "FILE", help: "Prices of exits for view cost, as TOML (see docs/questions.md)." },
    {
      name: "native",
      help: "Ask a native DuckDB: for what does not fit into memory (deno task query:native).",
    },
    SYMBOLS_OPTION,
    {
      name: "cache",
      negatable: true,
      help: "Keep tables computed by replaying in the recording's folder (default on).",
    },
    { name: "views", help: "List the views and tables that SQL can name." },
  ],
  notes: `
The tables are those of the recording (exits, hypercalls, inputs, interrupts, console, ...); the dialect is DuckDB's. Without
SQL, statements are read from the terminal, with history and completion, or from standard input. A text may hold several
statements with semicolons between them.

Several recordings are asked side by side: every table and view then has a column trace in front, the recording's name;
each is also a schema of its own, t1, t2, ... (t2.exits).

Integers are exact up to 64 bits in every format; in json they are written out as JSON numbers of any length. table and
csv show control characters of guest text as \\xNN; blobs are hexadecimal. Results are streamed. Of a recording with more than
a million exits only the columns that a statement reads are loaded.`,
  examples: [
    ["query demo-1.trace 'FROM exit_summary'", "Exits by reason, as perf kvm stat prints them."],
    ["query demo-1.trace", "Statement after statement, with history and completion."],
    [
      "query demo-1.trace 'SELECT name, count(*) FROM hypercalls GROUP BY name' --format csv",
      "Hypercalls, as CSV.",
    ],
    ["query demo-1.trace 'FROM exit_rate(1000000)'", "Exits per virtual millisecond."],
    [
      "query a.trace b.trace 'SELECT trace, vm_exit, samples FROM exit_summary ORDER BY ALL'",
      "Recordings side by side.",
    ],
    [
      "query a.trace --with b.trace 'SELECT * FROM exits JOIN b.exits b USING (seq) WHERE exits.rip <> b.rip LIMIT 1'",
      "Where two recordings part.",
    ],
    [
      "query boot.trace \"SELECT icount, function, value FROM last_write('jiffies', 500000000)\"",
      "Who last wrote it before icount 500,000,000: found by replaying.",
    ],
    [
      "query boot.trace 'SELECT icount, function, text FROM instructions(1000000, 1000020)'",
      "Twenty instructions, disassembled.",
    ],
    ["query --views", "What can be asked by name."],
  ],
  run: query,
};

async function query(given: Given): Promise<number> {
  if (given.flags.views) {
    print(viewList());
    return ExitCode.OK;
  }
  const { traces, sql } = splitArgs(given);
  const format = formatOption(given.values.format);
  const interactive = sql === null && Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  if ((format === "arrow" || format === "parquet") && Deno.stdout.isTerminal()) {
    throw new UsageError(
      `${format} is binary: send it to a file, retrovisor query ... --format ${format} > FILE.`,
    );
  }
  const text = interactive ? "" : sql ?? await readStdin();
  if (!interactive && text.trim() === "") throw new UsageError('The SQL is empty; try "FROM exit_summary".');
  const bundles: Bundle[] = [];
  try {
    const [sources, options] = openSources(given, traces, bundles);
    if (given.flags.native) return await queryNative(sources, text, format);
    const session = await Session.open(sources, options);
    try {
      const cached = given.flags.cache !== false;
      const expand = (sql: string) =>
        withReplay(session, sql, () => new CachedComputer(bundles[0], traces[0], cached));
      if (interactive) await interact(session, format, expand);
      else await runAll(session, text, format, expand);
    } finally {
      session.close();
    }
  } finally {
    for (const b of bundles) b.close();
  }
  return ExitCode.OK;
}

/** Which arguments are recordings, and the SQL: the last argument, unless it is a recording, too. */
function splitArgs(given: Given): { traces: string[]; sql: string | null } {
  const { args } = given;
  const last = args.length > 1 ? args[args.length - 1] : undefined;
  const fromFile = given.values.file === undefined ? null : readSql(given.values.file);
  const isSql = last !== undefined && !isRecording(last);
  if (isSql && fromFile !== null) {
    throw new UsageError(`There is SQL in "${given.values.file}" and on the command line; give one of them.`);
  }
  const traces = (isSql ? args.slice(0, -1) : args).map((arg) =>
    tracePath({ ...given, args: [arg] }, "query")
  );
  if (traces.length === 0) tracePath(given, "query");
  if (traces.length > 1 && given.values.with !== undefined) {
    throw new UsageError("--with is for one recording; several are already side by side.");
  }
  return { traces, sql: fromFile ?? (isSql && last !== "-" ? last : null) };
}

function isRecording(path: string): boolean {
  if (path.replace(/\/+$/, "").endsWith(".trace")) return true;
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Opens everything that is named. @param bundles takes what has to be closed */
function openSources(
  given: Given,
  traces: readonly string[],
  bundles: Bundle[],
): [Map<string, TraceSource>, SessionOptions] {
  const symbols = symbolsOption(given), { costs } = given.values;
  const prices = costs === undefined
    ? []
    : parseCosts(costs, readText(costs, "a file of prices", COSTS_BYTES_MAX));
  const open = (path: string) => {
    const bundle = openBundle(path);
    bundles.push(bundle);
    if (bundle.recovered) note(`retrovisor: ${path} was cut; it is read up to icount ${bundle.icount}.`);
    return bundle;
  };
  if (traces.length > 1) {
    const sources = new Map(traces.map((t, i) => [`t${i + 1}`, bundleSource(open(t), symbols, prices)]));
    return [sources, { labels: labelsOf(traces) }];
  }
  const sources = new Map([["main", bundleSource(open(traces[0]), symbols, prices)]]);
  if (given.values.with !== undefined) {
    sources.set("b", bundleSource(open(tracePath({ ...given, args: [given.values.with] }, "query"))));
  }
  return [sources, {}];
}

/** Names of recordings by schema: of their folders, numbered where two are alike. */
function labelsOf(traces: readonly string[]): Map<string, string> {
  const names = traces.map((t) => t.replace(/\/+$/, "").replace(/^.*\//, "").replace(/\.trace$/, ""));
  return new Map(
    names.map((
      name,
      i,
    ) => [`t${i + 1}`, names.indexOf(name) === names.lastIndexOf(name) ? name : `${name}#${i + 1}`]),
  );
}

/** Computes what a statement takes from replaying. @returns the statement over what was computed */
type Expand = (sql: string) => Promise<string>;

/** Runs the statements of a text one after the other. */
async function runAll(session: Session, text: string, format: Format, expand: Expand): Promise<void> {
  const { complete, rest } = splitStatements(text);
  const statements = rest === "" ? complete : [...complete, rest];
  if (statements.length === 0) throw new UsageError('The SQL is empty; try "FROM exit_summary".');
  if (statements.length > 1 && (format === "arrow" || format === "parquet")) {
    throw new UsageError(`${format} holds one result, and there are ${statements.length} statements.`);
  }
  for (const [i, statement] of statements.entries()) {
    const sql = await expand(statement);
    if (format === "arrow") { for (const piece of session.arrow(sql)) out(piece); }
    else if (format === "parquet") { for await (const piece of parquetFile(session.arrow(sql))) out(piece); }
    else {
      if (i > 0 && format === "table") print("\n");
      printRows(session, sql, format);
    }
  }
}

async function interact(session: Session, initial: Format, expand: Expand): Promise<void> {
  let format = initial === "json" || initial === "csv" ? initial : "table" as TextFormat;
  await repl({
    async run(sql) {
      try {
        printRows(session, await expand(sql), format);
      } catch (error) {
        if (error instanceof OutputClosed) throw error;
        explain(error);
      }
    },
    format(name) {
      const known = (["table", "json", "csv"] as const).find((f) => f === name);
      format = known ?? format;
      return known !== undefined;
    },
    print: (line) => print(line + "\n"),
    views: viewList,
  });
}

function printRows(session: Session, sql: string, format: TextFormat): void {
  const buffer = new BufferedOut();
  for (const text of formatRows(session.query(sql), format)) buffer.write(text);
  buffer.flush();
}

function formatOption(text: string | undefined): Format {
  const format = FORMATS.find((f) => f === (text ?? "table"));
  if (format !== undefined) return format;
  throw new UsageError(`There is no format "${text}"${suggestion(text ?? "", FORMATS)}`);
}

/** SQL of a file; null for "-", standard input. */
function readSql(file: string): string | null {
  return file === "-" ? null : readText(file, "SQL", SQL_BYTES_MAX);
}

async function readStdin(): Promise<string> {
  let text = "";
  for await (const piece of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.length > SQL_BYTES_MAX) {
      throw new UsageError(`Cannot use the input: SQL is at most ${SQL_BYTES_MAX} bytes.`);
    }
  }
  return text;
}

/** The list that `--views` prints. */
export function viewList(): string {
  const views = [...loadViews().values()];
  const width = Math.max(...views.map((v) => v.signature.length)) + 2;
  const columns = (v: View) => `${" ".repeat(width + 2)}${v.columns.map((c) => c.name).join(", ")}`;
  return [
    "Views:",
    ...views.flatMap((v) => [`  ${v.signature.padEnd(width)}${v.summary}`, columns(v)]),
    "",
    "Tables computed by replaying the window that is asked for (icounts [from, to)):",
    ...REPLAY_FUNCTIONS.flatMap((f) => [
      `  ${signatureOf(f)}`,
      `${" ".repeat(width + 2)}${f.summary}`,
      `${" ".repeat(width + 2)}${f.columns.map((c) => c.name).join(", ")}`,
    ]),
    "",
    "Tables:",
    ...TABLES.map((t) => `  ${t.name.padEnd(width)}${t.columns.map((c) => c.name).join(", ")}`),
    "",
  ].join("\n");
}
