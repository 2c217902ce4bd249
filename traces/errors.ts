/**
 * What is wrong with a recording.
 *
 * @module
 */

/** Where in a recording something is wrong. */
export interface TraceLocation {
  /** Table name, or "manifest". */
  table: string;
  /** Block number inside the table's file (0 is the schema block); null when the whole file is meant. */
  batch: number | null;
  /** Byte offset inside the file; null when the whole file is meant. */
  offset: number | null;
}

/** A recording that cannot be used: corrupt, cut before its start, or of an unknown version. Exit code 4. */
export class TraceError extends Error {
  /** Always "TraceError". */
  override name = "TraceError";
  /** Process exit code that belongs to this error. */
  readonly exitCode = 4;
  /** Table name, or "manifest". */
  readonly table: string;
  /** Block number; null when the whole file is meant. */
  readonly batch: number | null;
  /** Byte offset; null when the whole file is meant. */
  readonly offset: number | null;

  /**
   * Joins what and where into one sentence.
   * @param what one sentence without its full stop
   * @param where table, batch and offset, appended to the sentence
   */
  constructor(what: string, where: TraceLocation) {
    const at = [`table ${where.table}`];
    if (where.batch !== null) at.push(`batch ${where.batch}`);
    if (where.offset !== null) at.push(`offset ${where.offset}`);
    super(`${what} (${at.join(", ")}).`);
    this.table = where.table;
    this.batch = where.batch;
    this.offset = where.offset;
  }
}

/** The place recordings are written to is full or broken. The recording up to the last commit stays readable. */
export class StorageError extends Error {
  /** Always "StorageError". */
  override name = "StorageError";
}
