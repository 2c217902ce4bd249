/**
 * Reads a table row by row, one batch in memory at a time.
 *
 * @module
 */
import type { Batch } from "./batch.ts";
import type { TableFile } from "./table_file.ts";

/** A place in a table. */
export class RowCursor {
  /** Batch of the current row; null before the first row and after the last one. */
  batch: Batch | null = null;
  /** Row inside `batch`. */
  row = 0;
  /** Row inside the table. */
  index = 0;
  /** Called when `batch` changes. */
  onBatch: ((b: Batch) => void) | null = null;
  #next = 0;

  constructor(readonly file: TableFile) {
    this.#load();
  }

  #load(): void {
    this.batch = null;
    this.row = 0;
    while (this.#next < this.file.batchCount && this.batch === null) {
      const b = this.file.batch(this.#next++);
      if (b.rows > 0) this.batch = b;
    }
    if (this.batch !== null) this.onBatch?.(this.batch);
  }

  /** Goes to the next row; `batch` is null when there is none. */
  advance(): void {
    this.index++;
    if (this.batch !== null && ++this.row === this.batch.rows) this.#load();
  }

  /** Goes to a row of the table, or behind its last one. */
  seek(index: number): void {
    let before = 0, n = 0;
    while (n < this.file.batchCount && before + this.file.batchRows(n) <= index) {
      before += this.file.batchRows(n++);
    }
    this.#next = n;
    this.index = Math.min(index, this.file.rows);
    this.#load();
    if (this.batch !== null) this.row = index - before;
  }
}
