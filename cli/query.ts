/**
 * `retrovisor query`: SQL over one or more recordings.
 *
 * @module
 */
import { REPLAY_FUNCTIONS, signatureOf } from "../analysis/replay/functions.ts";
import { formatRows, type TextFormat } from "../analysis/format.ts";
import { Session, type TraceSource } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { loadViews, type View } from "../analysis/views.ts";
import { TABLES } from "../traces/schema.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { BufferedOut, note, out, print } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { CachedComputer, withReplay } from "./replay_tables.ts";
import { limitArgs, openBundle, SYMBOLS_OPTION, symbolsOption, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

const FORMATS = ["table", "json", "csv", "arrow"] as const;
/** Longest SQL text. */
const SQL_BYTES_MAX = 1 << 20;

/** The verb. */
export const queryVerb: Verb = {
  name: "query",
  summary: "Ask a recording in SQL.",
  usage: "TRACE SQL | TRACE -f FILE | TRACE - | --views",
  options: [
    { name: "file", alias: "f", value: "FILE", help: "Read the SQL from a file." },
    { name: "format", value: "FORMAT", help: "table (default), json, csv or arrow (an Arrow IPC stream)." },
    { name: "with", value: "TRACE", help: "A second recording, its tables under the schema b: b.exits." },
    SYMBOLS_OPTION,
    {
      name: "cache",
      negatable: true,
      help: "Keep tables computed by replaying in the recording's folder (default on).",
    },
    { name: "views", help: "List the views and tables that SQL can name." },
  ],
  notes: `
The tables are those of the recording (exits, hypercalls, inputs, interrupts, console, ...); the dialect is DuckDB's.
Integers are exact up to 64 bits in every format; in json they are written out as JSON numbers of any length. table and
csv show control characters of guest text as \\xNN; blobs are hexadecimal.`,
  examples: [
    ["query demo-1.trace 'FROM exit_summary'", "Exits by reason, as perf kvm stat prints them."],
    [
      "query demo-1.trace 'SELECT name, count(*) FROM hypercalls GROUP BY name' --format csv",
      "Hypercalls, as CSV.",
    ],
    ["query demo-1.trace 'FROM exit_rate(1000000)'", "Exits per virtual millisecond."],
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
  const path = tracePath(given, "query");
  const format = formatOption(given.values.format);
  if (format === "arrow" && Deno.stdout.isTerminal()) {
    throw new UsageError(
      "An Arrow stream is binary: send it to a file, retrovisor query ... --format arrow > FILE.",
    );
  }
  const sql = await sqlText(given);
  const symbols = symbolsOption(given);
  const bundles = [openBundle(path)];
  const sources = new Map<string, TraceSource>([["main", bundleSource(bundles[0], symbols)]]);
  if (given.values.with !== undefined) {
    bundles.push(openBundle(tracePath({ ...given, args: [given.values.with] }, "query")));
    sources.set("b", bundleSource(bundles[1]));
  }
  for (const b of bundles) {
    if (b.recovered) note(`retrovisor: the recording was cut; it is read up to icount ${b.icount}.`);
  }
  const session = await Session.open(sources);
  try {
    const cached = given.flags.cache !== false;
    const full = await withReplay(session, sql, () => new CachedComputer(bundles[0], path, cached));
    if (format === "arrow") { for (const piece of session.arrow(full)) out(piece); }
    else printRows(session, full, format);
  } finally {
    session.close();
    for (const b of bundles) b.close();
  }
  return ExitCode.OK;
}

function printRows(session: Session, sql: string, format: TextFormat): void {
  const buffer = new BufferedOut();
  for (const text of formatRows(session.query(sql), format)) buffer.write(text);
  buffer.flush();
}

function formatOption(text: string | undefined): typeof FORMATS[number] {
  const format = FORMATS.find((f) => f === (text ?? "table"));
  if (format !== undefined) return format;
  throw new UsageError(`There is no format "${text}"${suggestion(text ?? "", FORMATS)}`);
}

async function sqlText(given: Given): Promise<string> {
  const { file } = given.values;
  limitArgs(given, "query", file === undefined ? 2 : 1);
  const arg = given.args[1];
  if (file === undefined && arg === undefined) {
    throw new UsageError(
      `query needs SQL: retrovisor query TRACE "FROM exit_summary"; --views lists what there is.`,
    );
  }
  const text = file !== undefined ? await readSql(file) : arg === "-" ? await readStdin() : arg;
  if (text.trim() === "") throw new UsageError('The SQL is empty; try "FROM exit_summary".');
  return text;
}

async function readSql(file: string): Promise<string> {
  if (file === "-") return await readStdin();
  try {
    const { size } = await Deno.stat(file);
    if (size > SQL_BYTES_MAX) {
      throw new UsageError(`Cannot use ${file}: SQL is at most ${SQL_BYTES_MAX} bytes.`);
    }
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot read ${file}: there is no such file.`);
    }
    throw error;
  }
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
