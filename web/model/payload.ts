/**
 * What a page that carries its recording has inside: blocks of compressed bytes by name.
 *
 * @module
 */

/** A table for SQL: how to make it, and its rows as complete Arrow IPC streams, one after another in its block. */
export interface CarriedTable {
  name: string;
  /** Statements that make it; the second list is for recordings with words outside the vocabulary. */
  create: string[];
  createPlain: string[];
  /** Where the rows go: schema and table. */
  schema: string;
  table: string;
  /** Length of each stream. */
  streams: number[];
}

/** A view for SQL. */
export interface CarriedView {
  name: string;
  signature: string;
  summary: string;
  columns: string[];
  sql: string;
}

/** Block "sql". */
export interface CarriedSql {
  /** Statements that make the schemas. */
  setup: string[];
  tables: CarriedTable[];
  views: CarriedView[];
}

/** Id of the element that holds a block. */
export function blockId(name: string): string {
  return `block-${name}`;
}

/** Names of the blocks; tables have theirs. */
export const BLOCKS = { model: "model", sql: "sql", worker: "worker", wasm: "wasm" } as const;

/** Block of a table. */
export function tableBlock(table: string): string {
  return `table-${table}`;
}
