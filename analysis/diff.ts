/**
 * Two recordings compared by what they count: exits by reason, function and port, and hypercalls. Because runs are
 * deterministic, every difference is one between the guests or their machines, never noise.
 *
 * @module
 */
import type { RowStream } from "./rows.ts";
import type { Session } from "./session.ts";
import { literal } from "./tables.ts";

/** What can be counted and compared, in the order in which it is printed; see view `exit_counts`. */
export const SUBJECTS = ["reason", "hypercall", "function", "port"] as const;
/** One of `SUBJECTS`. */
export type Subject = typeof SUBJECTS[number];

/** Which rows a comparison has. */
export interface DiffOptions {
  /** What is compared. */
  subjects: readonly Subject[];
  /** Rows whose counts are equal, too. */
  all: boolean;
}

/** Name of the second recording's schema in the session that `diffRows` takes. */
export const DIFF_ALIAS = "b";

/**
 * Compares the first recording of a session with the one under alias `DIFF_ALIAS`. Columns: `subject`, `name`, `a`, `b` (counts),
 * `change` (b - a), `change_pct` (percent of a; null when a is 0). Largest change first within a subject.
 * Errors: `QueryError`, `TraceError`, also while iterating.
 */
export function diffRows(session: Session, options: DiffOptions): RowStream {
  const wanted = options.subjects.map(literal).join(", ");
  const order = SUBJECTS.map((s, i) => `WHEN ${literal(s)} THEN ${i}`).join(" ");
  return session.query(`
WITH a AS (SELECT * FROM exit_counts WHERE subject IN (${wanted})),
  b AS (SELECT * FROM ${DIFF_ALIAS}.exit_counts WHERE subject IN (${wanted})),
  both_sides AS (
    SELECT subject, name, coalesce(a.count, 0) AS a, coalesce(b.count, 0) AS b
    FROM a FULL JOIN b USING (subject, name)
  )
SELECT subject, name, a, b, b - a AS change, round(100.0 * (b - a) / nullif(a, 0), 2)::DOUBLE AS change_pct
FROM both_sides ${options.all ? "" : "WHERE a <> b"}
ORDER BY CASE subject ${order} END, abs(b - a) DESC, name`);
}

/** Counts of one recording: subject, name, count. */
export type Counts = ReadonlyMap<Subject, ReadonlyMap<string, number>>;

/** Counts everything of the given subjects in a session's first recording. Errors: `QueryError`, `TraceError`. */
export function countAll(session: Session, subjects: readonly Subject[]): Counts {
  const counts = new Map<Subject, Map<string, number>>(subjects.map((s) => [s, new Map()]));
  const { rows } = session.query(
    `SELECT subject, name, count FROM exit_counts WHERE subject IN (${
      subjects.map(literal).join(", ")
    }) ORDER BY subject, name`,
  );
  for (const [subject, name, count] of rows) {
    counts.get(subject as Subject)?.set(String(name), Number(count));
  }
  return counts;
}
