/**
 * Baselines: the counts of a recording in a file that a project keeps with its sources, and that later recordings are
 * held against. The file is JSON, sorted and one count a line, so that a change of it reads well in a review.
 *
 * @module
 */
import { type Counts, type Subject, SUBJECTS } from "./diff.ts";
import type { TraceSummary } from "./summary.ts";
import { jsonString } from "./text.ts";

/** First field of every baseline. */
const FORMAT = "retrovisor-baseline";
const VERSION = 1;
/** Largest file that is read, bytes. */
export const BASELINE_BYTES_MAX = 1 << 26;

/** A baseline. */
export interface Baseline {
  /** Where the counts come from; shown when it differs, never a reason to fail by itself. */
  made: { guest: string; cmdline: string; vcpus: number; memoryBytes: number };
  /** Kind of ending, e.g. "poweroff"; null when the recording was cut. */
  outcome: string | null;
  counts: Counts;
}

/** A file that is no baseline, or no set of budgets: one sentence with its name. */
export class BaselineError extends Error {
  /** Always "BaselineError". */
  override name = "BaselineError";
  /** The command line names an unusable file. */
  readonly exitCode = 2;
}

/** The baseline of a recording. */
export function baselineOf(summary: TraceSummary, counts: Counts): Baseline {
  const { config } = summary;
  return {
    made: {
      guest: summary.guest,
      cmdline: config.cmdline,
      vcpus: config.vcpus,
      memoryBytes: config.memoryBytes,
    },
    outcome: summary.outcome,
    counts,
  };
}

/** A baseline as text; `parseBaseline` gives it back. */
export function formatBaseline(b: Baseline): string {
  const subjects = [...b.counts].map(([subject, counts]) => {
    const names = [...counts].sort(([x], [y]) => x < y ? -1 : 1);
    const lines = names.map(([name, count]) => `      ${jsonString(name)}: ${count}`);
    return `    ${jsonString(subject)}: {${lines.length === 0 ? "" : `\n${lines.join(",\n")}\n    `}}`;
  });
  const { made } = b;
  return [
    "{",
    `  "format": ${jsonString(FORMAT)},`,
    `  "version": ${VERSION},`,
    `  "guest": ${jsonString(made.guest)},`,
    `  "cmdline": ${jsonString(made.cmdline)},`,
    `  "vcpus": ${made.vcpus},`,
    `  "memory_bytes": ${made.memoryBytes},`,
    `  "outcome": ${b.outcome === null ? "null" : jsonString(b.outcome)},`,
    `  "counts": {`,
    subjects.join(",\n"),
    "  }",
    "}",
    "",
  ].join("\n");
}

/** Reads a baseline. @param file name for messages @throws BaselineError */
export function parseBaseline(file: string, text: string): Baseline {
  const no = (why: string) =>
    new BaselineError(`Cannot use ${file}: ${why}; \`retrovisor check TRACE --write-baseline\` makes one.`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw no("it is not JSON");
  }
  if (!isRecord(json) || json.format !== FORMAT) throw no("it is not a baseline");
  if (json.version !== VERSION) throw no(`it is a baseline of another version than ${VERSION}`);
  if (!isRecord(json.counts)) throw no("it has no counts");
  const counts = new Map<Subject, Map<string, number>>();
  for (const [subject, names] of Object.entries(json.counts)) {
    const known = SUBJECTS.find((s) => s === subject);
    if (known === undefined || !isRecord(names)) throw no(`it counts what is unknown, "${subject}"`);
    const entries = Object.entries(names).map(([name, n]): [string, number] => {
      if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 0) throw no(`"${name}" is not a count`);
      return [name, n];
    });
    counts.set(known, new Map(entries));
  }
  const word = (v: unknown) => typeof v === "string" ? v : "";
  const number = (v: unknown) => typeof v === "number" ? v : 0;
  return {
    made: {
      guest: word(json.guest),
      cmdline: word(json.cmdline),
      vcpus: number(json.vcpus),
      memoryBytes: number(json.memory_bytes),
    },
    outcome: typeof json.outcome === "string" ? json.outcome : null,
    counts,
  };
}

function isRecord(v: unknown): v is Record<string, unknown> {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}

/** In which facts about the machine a recording differs from the one a baseline was made of. */
export function madeDifferently(before: Baseline, now: Baseline): string[] {
  const facts: [string, (b: Baseline) => string | number][] = [
    ["guest", (b) => b.made.guest],
    ["cmdline", (b) => b.made.cmdline],
    ["vcpus", (b) => b.made.vcpus],
    ["memory bytes", (b) => b.made.memoryBytes],
  ];
  return facts.filter(([, f]) => f(before) !== f(now)).map(([name, f]) =>
    `${name} was "${f(before)}", is "${f(now)}"`
  );
}
