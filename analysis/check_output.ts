/**
 * Verdicts for people and for the systems that run checks: a table, JUnit XML, GitHub's workflow commands.
 *
 * @module
 */
import type { Verdict } from "./check.ts";
import { alignColumns, grouped, harmless } from "./text.ts";

/** Failures that GitHub shows of one step; the last of them says how many more there are. */
const ANNOTATIONS_MAX = 10;

/** The failures as a table, line by line; nothing when there are none. */
export function failureTable(verdicts: readonly Verdict[], rowsMax: number): string[] {
  const failed = verdicts.filter((v) => v.failure !== null);
  if (failed.length === 0) return [];
  const rows = failed.slice(0, rowsMax).map((v) => [
    v.subject,
    harmless(v.name),
    shown(v.before),
    shown(v.now),
    change(v),
    percent(v),
    v.failure ?? "",
  ]);
  const lines = alignColumns(
    [["subject", "name", "baseline", "now", "change", "", "why"], ...rows],
    [false, false, true, true, true, true, false],
  );
  if (failed.length > rowsMax) lines.push(`... and ${failed.length - rowsMax} more`);
  return lines;
}

function shown(v: number | string): string {
  return typeof v === "number" ? grouped(v) : harmless(v);
}

function change(v: Verdict): string {
  if (typeof v.before !== "number" || typeof v.now !== "number") return "";
  const n = v.now - v.before;
  return `${n > 0 ? "+" : n < 0 ? "-" : ""}${grouped(Math.abs(n))}`;
}

function percent(v: Verdict): string {
  if (typeof v.before !== "number" || typeof v.now !== "number") return "";
  if (v.before === 0) return v.now === 0 ? "0.00%" : "new";
  const p = 100 * (v.now - v.before) / v.before;
  return `${p > 0 ? "+" : ""}${p.toFixed(2)}%`;
}

/** One sentence about a failure, e.g. "reason VMEXIT_CPUID: 45 -> 48 (+3), changed". */
export function failureSentence(v: Verdict): string {
  const by = change(v);
  const name = v.subject === v.name ? v.subject : `${v.subject} ${harmless(v.name)}`;
  return `${name}: ${shown(v.before)} -> ${shown(v.now)}${by === "" ? "" : ` (${by})`}, ${v.failure}`;
}

/** JUnit XML: a suite for each subject, a case for each name. */
export function* junit(trace: string, verdicts: readonly Verdict[]): Generator<string> {
  const failures = (of: readonly Verdict[]) => of.filter((v) => v.failure !== null).length;
  const counts = (of: readonly Verdict[]) => `tests="${of.length}" failures="${failures(of)}" errors="0"`;
  yield `<?xml version="1.0" encoding="UTF-8"?>\n`;
  yield `<testsuites name="retrovisor check ${xml(trace)}" ${counts(verdicts)}>\n`;
  for (const subject of new Set(verdicts.map((v) => v.subject))) {
    const of = verdicts.filter((v) => v.subject === subject);
    yield `  <testsuite name="${subject}" ${counts(of)}>\n`;
    for (const v of of) {
      const open = `    <testcase classname="${subject}" name="${xml(v.name)}"`;
      yield v.failure === null
        ? `${open}/>\n`
        : `${open}>\n      <failure message="${xml(failureSentence(v))}"/>\n    </testcase>\n`;
    }
    yield "  </testsuite>\n";
  }
  yield "</testsuites>\n";
}

const XML_NAMES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

/** Text for an XML attribute; characters that XML cannot hold are escaped as `harmless` does. */
function xml(text: string): string {
  return harmless(text).replace(/[\ufffe\uffff]/g, "?").replace(/[&<>"']/g, (c) => XML_NAMES[c] ?? c);
}

/** GitHub workflow commands, one a failure, as many as GitHub shows. */
export function annotations(verdicts: readonly Verdict[]): string[] {
  const failed = verdicts.filter((v) => v.failure !== null);
  const few = failed.length <= ANNOTATIONS_MAX ? failed : failed.slice(0, ANNOTATIONS_MAX - 1);
  const lines = few.map((v) => `::error title=retrovisor check::${command(failureSentence(v))}`);
  if (few.length < failed.length) {
    lines.push(`::error title=retrovisor check::and ${failed.length - few.length} more counts`);
  }
  return lines;
}

/** The data of a workflow command: a percent sign would start an escape. */
function command(text: string): string {
  return harmless(text).replaceAll("%", "%25");
}
