/**
 * Rows of a table that re-execution makes, as growing typed arrays.
 *
 * @module
 */

/** Width of a column in bits; 64-bit values are two words, low first. */
export type Width = 8 | 32 | 64;

/** Most rows of one table: what the SQL engine's memory holds with room to work. */
export const ROWS_MAX = 8_000_000;

/** A table would have more rows than fit. */
export class TooManyRows extends Error {
  override name = "TooManyRows";
}

/** A table in columns. */
export class Rows<C extends string> {
  count = 0;
  readonly columns: Record<C, Uint8Array | Uint32Array>;
  #capacity = 1024;

  constructor(readonly widths: Readonly<Record<C, Width>>, readonly most: number = ROWS_MAX) {
    this.columns = this.#make(this.#capacity);
  }

  #make(capacity: number): Record<C, Uint8Array | Uint32Array> {
    const made = Object.entries<Width>(this.widths).map(([name, width]) => [
      name,
      width === 8 ? new Uint8Array(capacity) : new Uint32Array(width === 64 ? capacity * 2 : capacity),
    ]);
    return Object.fromEntries(made);
  }

  /** Begins a row. @returns its number @throws TooManyRows */
  add(): number {
    if (this.count >= this.most) throw new TooManyRows();
    if (this.count === this.#capacity) {
      this.#capacity *= 2;
      const grown = this.#make(this.#capacity);
      for (const name of Object.keys(grown) as C[]) {
        grown[name].set(this.columns[name]);
        this.columns[name] = grown[name];
      }
    }
    return this.count++;
  }

  /** Stores a non-negative safe integer in a 64-bit column. */
  setNumber(name: C, row: number, value: number): void {
    const c = this.columns[name];
    c[row * 2] = value;
    c[row * 2 + 1] = Math.floor(value / 0x1_0000_0000);
  }

  /** The number in a 64-bit column. */
  number(name: C, row: number): number {
    const c = this.columns[name];
    return c[row * 2 + 1] * 0x1_0000_0000 + c[row * 2];
  }

  /** Stores two words in a 64-bit column. */
  setWords(name: C, row: number, lo: number, hi: number): void {
    const c = this.columns[name];
    c[row * 2] = lo;
    c[row * 2 + 1] = hi;
  }
}

/** A finished table, as it is sent between threads and given to SQL. */
export interface ScanTable {
  rows: number;
  columns: { name: string; width: Width; data: Uint8Array | Uint32Array }[];
  /** What the numbers of column `code` stand for; empty when there is none. */
  codes: string[];
}

/** Cuts the columns to their length. */
export function finished(rows: Rows<string>, codes: string[] = []): ScanTable {
  const columns = Object.entries(rows.widths).map(([name, width]) => {
    const c = rows.columns[name], end = width === 64 ? rows.count * 2 : rows.count;
    return { name, width, data: c.slice(0, end) };
  });
  return { rows: rows.count, columns, codes };
}

/** Puts tables of the same columns one behind the other. */
export function joined(parts: readonly ScanTable[]): ScanTable {
  if (parts.length === 1) return parts[0];
  const codes: string[] = [], ids = new Map<string, number>();
  const columns = parts[0].columns.map(({ name, width }, n) => {
    const length = parts.reduce((sum, p) => sum + p.columns[n].data.length, 0);
    const data = width === 8 ? new Uint8Array(length) : new Uint32Array(length);
    let at = 0;
    for (const p of parts) {
      const from = p.columns[n].data;
      data.set(name === "code" ? from.map((c) => idOf(p.codes[c], codes, ids)) : from, at);
      at += from.length;
    }
    return { name, width, data };
  });
  return { rows: parts.reduce((sum, p) => sum + p.rows, 0), columns, codes };
}

function idOf(code: string, codes: string[], ids: Map<string, number>): number {
  let id = ids.get(code);
  if (id === undefined) {
    ids.set(code, id = codes.length);
    codes.push(code);
  }
  return id;
}
