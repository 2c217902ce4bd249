/**
 * Asking a recording again and again: statements with line editing, history and completion.
 *
 * @module
 */
import { createInterface } from "node:readline";
import { splitStatements } from "../analysis/statements.ts";
import { TABLE_COLUMNS } from "../analysis/tables.ts";
import { loadViews } from "../analysis/views.ts";
import { OutputClosed } from "./io.ts";

/** What the loop needs of the verb. */
export interface ReplHost {
  /** Runs a statement and prints its result; errors are printed, too. */
  run(sql: string): Promise<void>;
  /** Changes the format. @returns false when there is none of that name */
  format(name: string): boolean;
  /** Prints a line. */
  print(line: string): void;
  /** The list of views. */
  views(): string;
}

const PROMPT = "retrovisor> ", CONTINUED = "         -> ";
/** Longest statement, characters. */
const STATEMENT_MAX = 1 << 20;
const HELP = `Statements end with a semicolon and may take several lines. The dialect is DuckDB's.
  .views          what can be asked by name
  .format NAME    table, json or csv
  .help           this
  .quit           or Ctrl+D; Ctrl+C forgets what was typed`;
const COMMANDS = [".views", ".format", ".help", ".quit"];
const KEYWORDS = [
  "SELECT",
  "FROM",
  "WHERE",
  "GROUP BY",
  "ORDER BY",
  "LIMIT",
  "JOIN",
  "USING",
  "DESC",
  "count(*)",
];

/** Words that complete the last one of a line, and that last word: keywords, tables, views, columns. */
export function complete(line: string): [string[], string] {
  const word = /[.\w]*$/.exec(line)?.[0] ?? "";
  if (line === word && word.startsWith(".")) return [COMMANDS.filter((c) => c.startsWith(word)), word];
  const views = [...loadViews().values()];
  const columns = [...TABLE_COLUMNS.values()].flatMap((c) => c.map(([name]) => name));
  const words = [
    ...KEYWORDS,
    ...TABLE_COLUMNS.keys(),
    ...views.map((v) => v.signature.replace(/\(.*/, "(")),
    ...columns,
    ...views.flatMap((v) => v.columns.map((c) => c.name)),
  ];
  const start = word.replace(/^.*\./, "").toLowerCase();
  if (start === "") return [[], word];
  const hits = [...new Set(words)].filter((w) => w.toLowerCase().startsWith(start)).sort();
  return [hits, word.replace(/^.*\./, "")];
}

/** Reads statements from the terminal until it ends. */
export async function repl(host: ReplHost): Promise<void> {
  const { default: process } = await import("node:process");
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    completer: complete,
    historySize: 1000,
    removeHistoryDuplicates: true,
    prompt: PROMPT,
  });
  let waiting = "";
  const ask = () => {
    lines.setPrompt(waiting === "" ? PROMPT : CONTINUED);
    lines.prompt();
  };
  lines.on("SIGINT", () => {
    waiting = "";
    host.print("");
    ask();
  });
  host.print("SQL over the recording; .help explains, .views lists what can be asked by name.");
  ask();
  for await (const line of lines) {
    if (waiting === "" && line.trim().startsWith(".")) {
      if (!command(host, line.trim())) break;
    } else waiting = await statements(host, `${waiting}${line}\n`);
    ask();
  }
  lines.close();
}

/** Runs what is complete. @returns what is not */
async function statements(host: ReplHost, text: string): Promise<string> {
  const { complete, rest } = splitStatements(text);
  for (const sql of complete) await host.run(sql);
  if (rest.length > STATEMENT_MAX) {
    host.print(`A statement is at most ${STATEMENT_MAX} characters; this one was dropped.`);
    return "";
  }
  return rest === "" ? "" : `${rest}\n`;
}

/** @returns false to end */
function command(host: ReplHost, line: string): boolean {
  const [name, argument = ""] = line.split(/\s+/);
  try {
    if (name === ".quit" || name === ".exit") return false;
    if (name === ".views") host.print(host.views().trimEnd());
    else if (name === ".format" && host.format(argument)) host.print(`format ${argument}`);
    else if (name === ".help") host.print(HELP);
    else host.print(`There is no "${line}"; .help lists what there is.`);
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
    return false;
  }
  return true;
}
