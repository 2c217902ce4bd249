/**
 * Two recordings as one flame graph: which stacks exit more often than before, and which less.
 *
 * @module
 */
import { DIFF_ALIAS } from "./diff.ts";
import type { Session } from "./session.ts";
import { harmless, jsonString } from "./text.ts";

/** A stack and how often each recording exits there. */
export interface StackPair {
  /** Functions, outermost first, then the reason. */
  frames: string[];
  a: number;
  b: number;
}

/**
 * Stacks of the first recording of a session and of that under `DIFF_ALIAS`, vCPUs taken together, largest change first.
 * Each side's counts add up to its exits. Errors: `QueryError`, `TraceError`.
 */
export function stackPairs(session: Session): StackPair[] {
  const side = (schema: string) =>
    `SELECT stack || ';' || reason AS path, sum(exits)::BIGINT AS n FROM ${schema}stacks GROUP BY 1`;
  const { rows } = session.query(`
SELECT path, coalesce(a.n, 0)::DOUBLE, coalesce(b.n, 0)::DOUBLE
FROM (${side("")}) a FULL JOIN (${side(`${DIFF_ALIAS}.`)}) b USING (path)
ORDER BY abs(coalesce(b.n, 0) - coalesce(a.n, 0)) DESC, path`);
  return Array.from(rows, ([path, a, b]) => ({
    frames: harmless(String(path)).split(";"),
    a: Number(a),
    b: Number(b),
  }));
}

/** Folded stacks with two counts, as difffolded.pl writes and flamegraph.pl and inferno read them. */
export function* foldedDiff(pairs: readonly StackPair[]): Generator<string> {
  for (const { frames, a, b } of pairs) yield `${frames.join(";")} ${a} ${b}\n`;
}

/** speedscope's format with four profiles: what b has more, what it has less, b, a. */
export function* speedscopeDiff(
  pairs: readonly StackPair[],
  names: readonly [a: string, b: string],
): Generator<string> {
  const frames = new Map<string, number>();
  const samples = pairs.map((p) =>
    p.frames.map((f) => {
      if (!frames.has(f)) frames.set(f, frames.size);
      return frames.get(f) ?? 0;
    })
  );
  yield `{"$schema": "https://www.speedscope.app/file-format-schema.json", "exporter": "retrovisor",\n`;
  yield `"name": ${jsonString(`${names[0]} → ${names[1]}`)}, "activeProfileIndex": 0,\n`;
  yield `"shared": {"frames": [${
    [...frames.keys()].map((n) => `{"name": ${jsonString(n)}}`).join(",\n")
  }]},\n`;
  const weights: [string, (p: StackPair) => number][] = [
    ["more in b", (p) => Math.max(0, p.b - p.a)],
    ["less in b", (p) => Math.max(0, p.a - p.b)],
    [`b: ${names[1]}`, (p) => p.b],
    [`a: ${names[0]}`, (p) => p.a],
  ];
  yield `"profiles": [`;
  for (const [i, [name, weight]] of weights.entries()) {
    const kept = pairs.map((p, k) => ({ sample: samples[k], weight: weight(p) })).filter((s) => s.weight > 0);
    const total = kept.reduce((n, s) => n + s.weight, 0);
    yield `${i === 0 ? "" : ","}\n{"type": "sampled", "name": ${jsonString(name)}, "unit": "none", ` +
      `"startValue": 0, "endValue": ${total},\n"samples": ${JSON.stringify(kept.map((s) => s.sample))},\n` +
      `"weights": ${JSON.stringify(kept.map((s) => s.weight))}}`;
  }
  yield `]}\n`;
}
