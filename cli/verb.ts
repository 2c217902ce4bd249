/**
 * What a verb of the program is: its options, its help and its action.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "./exit_code.ts";
import { suggestion } from "./nearest.ts";

/** One option of a verb. */
export interface Option {
  name: string;
  /** One letter. */
  alias?: string;
  /** Placeholder of the value, e.g. "FILE"; left out: a flag. */
  value?: string;
  /** A flag that is on by default and turned off with `--no-NAME`. */
  negatable?: boolean;
  help: string;
}

/** What was given on the command line. */
export interface Given {
  /** Positional arguments, as they were typed. */
  args: string[];
  /** Flags; negatable ones are there only when given. */
  flags: Record<string, boolean | undefined>;
  /** Values of options. */
  values: Record<string, string | undefined>;
}

/** One verb. */
export interface Verb {
  name: string;
  /** One line. */
  summary: string;
  /** After the verb's name, e.g. "[GUEST] [KEY=VALUE ...]". */
  usage: string;
  options: readonly Option[];
  /** Further explanation, below the options. */
  notes?: string;
  /** Command lines after `retrovisor`, with what they do. */
  examples: readonly (readonly [command: string, what: string])[];
  /** Does it. @returns the process exit code */
  run(given: Given): Promise<number>;
}

const HELP: Option = { name: "help", alias: "h", help: "Print this help." };

/** Parses a verb's arguments. @throws UsageError for what the verb does not know */
export function parseVerbArgs(verb: Verb, argv: readonly string[]): Given {
  const options = [...verb.options, HELP];
  const flags = options.filter((o) => o.value === undefined),
    values = options.filter((o) => o.value !== undefined);
  const parsed = parseArgs(argv, {
    boolean: flags.map((o) => o.name),
    string: ["_", ...values.map((o) => o.name)],
    negatable: flags.filter((o) => o.negatable).map((o) => o.name),
    alias: Object.fromEntries(options.filter((o) => o.alias).map((o) => [o.name, o.alias ?? ""])),
    collect: values.map((o) => o.name),
    "--": true,
    unknown: (arg, key) => {
      if (key !== undefined) throw unknownOption(verb, options, arg);
      return true;
    },
  });
  const given: Given = {
    args: [...parsed._, ...(parsed["--"] ?? [])].map(String),
    flags: Object.fromEntries(
      flags.map((o) => [o.name, flagGiven(o, argv) ? parsed[o.name] === true : undefined]),
    ),
    values: {},
  };
  for (const o of values) {
    const all = parsed[o.name] as string[];
    if (all.length === 0) continue;
    if (all.length > 1) {
      throw new UsageError(`Option --${o.name} was given ${all.length} times; give it once.`);
    }
    if (all[0] === "") throw new UsageError(`Option --${o.name} needs a value: --${o.name} ${o.value}.`);
    given.values[o.name] = all[0];
  }
  return given;
}

/** `parseArgs` reports absent flags as false: whether a flag was given is seen in the words themselves. */
function flagGiven(o: Option, argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).some((a) =>
    a === `--${o.name}` || a === `--no-${o.name}` || a.startsWith(`--${o.name}=`) ||
    (o.alias !== undefined && /^-[a-zA-Z]+$/.test(a) && a.includes(o.alias))
  );
}

function unknownOption(verb: Verb, options: readonly Option[], arg: string): UsageError {
  const name = arg.replace(/^-+/, "").replace(/=.*$/s, "");
  const known = options.flatMap((o) => o.negatable ? [o.name, `no-${o.name}`] : [o.name]);
  const shown = arg.replace(/=.*$/s, "");
  return new UsageError(`${verb.name} has no option ${shown}${suggestion(name, known, "--")}`);
}

/** The help text of a verb. */
export function verbHelp(verb: Verb): string {
  const left = (o: Option) =>
    `${o.alias ? `-${o.alias}, ` : "    "}--${o.negatable ? "[no-]" : ""}${o.name}${
      o.value ? ` ${o.value}` : ""
    }`;
  const options = [...verb.options, HELP];
  const width = Math.max(...options.map((o) => left(o).length)) + 2;
  const lines = [
    `retrovisor ${verb.name}: ${verb.summary}`,
    "",
    `Usage: retrovisor ${verb.name} ${verb.usage}`.trimEnd(),
    "",
    "Options:",
    ...options.map((o) => `  ${left(o).padEnd(width)}${o.help}`),
  ];
  if (verb.notes) lines.push("", ...verb.notes.trim().split("\n"));
  lines.push("", "Examples:");
  for (const [command, what] of verb.examples) lines.push(`  retrovisor ${command}`, `      ${what}`);
  return lines.join("\n") + "\n";
}

/** A count given as an option: decimal or 0x, with `_` between digits and the suffixes k, M, G (powers of ten). */
export function countOption(name: string, text: string): number {
  const m = /^(0x[0-9a-f_]+|[0-9][0-9_]*(?:\.[0-9]+)?(?:e[0-9]{1,2})?)([kMG]?)$/i.exec(text);
  const scale = { k: 1e3, m: 1e6, g: 1e9 }[m?.[2]?.toLowerCase() ?? ""] ?? 1;
  const n = m ? Number(m[1].replaceAll("_", "")) * scale : NaN;
  if (!Number.isSafeInteger(n) || n < 0) {
    throw new UsageError(`Option --${name} takes a count such as 1000000, 1M or 0x100, not "${text}".`);
  }
  return n;
}
