/**
 * Where the tables of two recordings first differ.
 *
 * @module
 */
import type { Batch } from "../../traces/batch.ts";
import type { Bundle } from "../../traces/bundle.ts";
import { RowCursor } from "../../traces/cursor.ts";
import { ASKED } from "../inputs.ts";

/** The first row of a table that is not the same in both. */
export interface RowDifference {
  table: string;
  row: number;
  /** icount of the row, of whichever recording has it earlier. */
  icount: number;
  /** First column that differs; "row" when one recording has no more rows. */
  column: string;
  /** The rows: columns that are not null, as text; null: there is none. */
  a: Record<string, string> | null;
  b: Record<string, string> | null;
}

/** The first difference in a table; null: it is the same in both. @throws TraceError */
export function firstDifference(a: Bundle, b: Bundle, table: string): RowDifference | null {
  const one = new RowCursor(a.table(table)), two = new RowCursor(b.table(table));
  for (;; one.advance(), two.advance()) {
    let x = one.batch, y = two.batch;
    while (x !== null && y !== null && one.row === 0 && two.row === 0 && sameBatch(x, y)) {
      for (const cursor of [one, two]) cursor.seek(cursor.index + x.rows);
      x = one.batch;
      y = two.batch;
    }
    if (x === null && y === null) return null;
    const column = x === null || y === null ? "row" : differingColumn(x, one.row, y, two.row);
    if (column === null) continue;
    const counts = [x?.number("icount", one.row), y?.number("icount", two.row)].filter((n) =>
      n !== undefined
    );
    return {
      table,
      row: one.index,
      icount: Math.min(...counts),
      column,
      a: x === null ? null : shown(x, one.row),
      b: y === null ? null : shown(y, two.row),
    };
  }
}

/**
 * icount at which the last different input has been taken.
 * @param first row of the first different one  @throws TraceError
 */
export function inputsAlikeFrom(a: Bundle, b: Bundle, first: number): number {
  const files = [a.table("inputs"), b.table("inputs")], least = Math.min(...files.map((f) => f.rows));
  // What the machine asks for is answered while an instruction executes; all else comes in front of one.
  const taken = ({ batch, row }: RowCursor): number => {
    if (batch === null) return 0;
    const kind = batch.showAt(batch.spec.columns.findIndex((c) => c.name === "kind"), row);
    return batch.number("icount", row) + (ASKED.has(kind) ? 1 : 0);
  };
  let last = 0;
  // Aligned at their ends: one row more there is no difference of all that follow.
  const [one, two] = files.map((file) => {
    const cursor = new RowCursor(file), more = file.rows - least;
    cursor.seek(first + Math.max(0, more - 1));
    if (more > 0) {
      last = taken(cursor);
      cursor.advance();
    }
    return cursor;
  });
  for (; one.batch !== null && two.batch !== null; one.advance(), two.advance()) {
    if (differingColumn(one.batch, one.row, two.batch, two.row, "seq") === null) continue;
    last = Math.max(last, taken(one), taken(two));
  }
  return last;
}

/** True when two batches hold the same bytes: most do, and rows need not be looked at. */
function sameBatch(x: Batch, y: Batch): boolean {
  if (x.rows !== y.rows) return false;
  const same = (p: ArrayLike<number> | null, q: ArrayLike<number> | null): boolean => {
    if (p === null || q === null) return p === q;
    if (p.length !== q.length) return false;
    for (let i = 0; i < p.length; i++) if (p[i] !== q[i]) return false;
    return true;
  };
  return x.columns.every((c, n) => {
    const d = y.columns[n], words = x.dictionaries[n], others = y.dictionaries[n];
    if (words !== null && words.some((w, i) => w !== others?.[i])) return false;
    if (c.items.length > 0) return false;
    return same(c.validity, d.validity) && same(c.offsets, d.offsets) && same(c.bytes, d.bytes);
  });
}

function differingColumn(x: Batch, i: number, y: Batch, j: number, but = ""): string | null {
  const at = x.spec.columns.findIndex((c, n) => c.name !== but && x.showAt(n, i) !== y.showAt(n, j));
  return at < 0 ? null : x.spec.columns[at].name;
}

function shown(b: Batch, row: number): Record<string, string> {
  const out: Record<string, string> = {};
  b.spec.columns.forEach((c, n) => {
    const text = b.showAt(n, row);
    if (text !== "null") out[c.name] = text;
  });
  return out;
}
