/**
 * Brings tables of trace bundles into DuckDB, whole or with the columns that are asked for.
 *
 * @module
 */
import { type Engine, QueryError } from "./engine.ts";
import {
  type ColumnType,
  createTable,
  hasEnums,
  identifier,
  streamColumns,
  TABLE_COLUMNS,
  tableView,
} from "./tables.ts";

/** What a session reads tables from. */
export interface TraceSource {
  /** Names of the tables that are there. */
  readonly tables: readonly string[];
  /**
   * A table as complete Arrow IPC streams, each of a bounded number of batches.
   * @param columns those that are wanted; left out: all. More may come
   */
  segments(table: string, columns?: ReadonlySet<string>): Iterable<Uint8Array>;
  /** Rows of a table, where that is known without reading it. */
  rows?(table: string): number;
}

/** Columns to load; "all" for a table whose use is not known. */
export type Wanted = ReadonlySet<string> | "all";

/** Values of one table that are kept when a statement asks for further columns: some 800 MB. */
const KEPT_VALUES_MAX = 100_000_000;

/** Loads each table once, and again when more of its columns are wanted. */
export class Loader {
  readonly #loaded = new Map<string, Wanted>();

  constructor(readonly engine: Engine) {}

  /** Makes the schemas of a source: `ALIAS` with views, `ALIAS_coded` with what they show. */
  open(alias: string): void {
    for (const schema of [alias, codedSchema(alias)]) {
      this.engine.run(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`);
    }
  }

  /** Loads columns of a table. Errors: `QueryError`, `TraceError`. */
  load(alias: string, source: TraceSource, table: string, columns: Wanted): void {
    const key = `${alias}.${table}`, have = this.#loaded.get(key);
    if (have === "all" || (have !== undefined && columns !== "all" && columns.isSubsetOf(have))) return;
    const wanted = columns === "all" || have === undefined
      ? columns
      : this.#together(source, table, columns, have);
    try {
      this.#fill(alias, source, table, wanted, true);
    } catch (error) {
      // A word outside the vocabulary (a newer recording): plain text columns take it.
      if (!hasEnums(table) || !String(error).includes("Could not convert")) throw outOfMemory(table, error);
      this.#fill(alias, source, table, wanted, false);
    }
    this.#loaded.set(key, wanted);
  }

  /** What is there already stays, unless that were too much: memory is for the statement at hand. */
  #together(
    source: TraceSource,
    table: string,
    columns: ReadonlySet<string>,
    have: ReadonlySet<string>,
  ): Wanted {
    const both = columns.union(have);
    return (source.rows?.(table) ?? 0) * both.size > KEPT_VALUES_MAX ? columns : both;
  }

  /** Forgets what was loaded: the next statement loads anew. */
  reset(): void {
    this.#loaded.clear();
  }

  /** Makes a table that can be named and has no rows, unless it is loaded. */
  empty(alias: string, table: string): void {
    if (!this.#loaded.has(`${alias}.${table}`)) this.#create(alias, table, documented(table), []);
  }

  /**
   * Columns with a fixed vocabulary are stored as ENUMs (a third of the memory, and filters run on codes) in a table of
   * the same name in schema `ALIAS_coded`; the table's own name is a view that gives them as text. Streamed results cannot
   * carry ENUMs: their dictionaries are left out of the stream.
   */
  #fill(alias: string, source: TraceSource, table: string, wanted: Wanted, enums: boolean): void {
    const only = wanted === "all" ? undefined : wanted;
    let columns: readonly ColumnType[] | null = null;
    for (const ipc of source.tables.includes(table) ? source.segments(table, only) : []) {
      if (columns === null) {
        columns = streamColumns(table, ipc, enums);
        this.#create(alias, table, columns, columns);
      }
      this.engine.insert(codedSchema(alias), table, ipc);
    }
    if (columns === null) this.#create(alias, table, documented(table), []);
  }

  #create(alias: string, table: string, stored: readonly ColumnType[], present: readonly ColumnType[]): void {
    const schema = codedSchema(alias);
    this.engine.run(createTable(identifier(schema), table, stored));
    this.engine.run(tableView(alias, schema, table, present));
  }
}

function documented(table: string): readonly ColumnType[] {
  return TABLE_COLUMNS.get(table) ?? [["icount", "UBIGINT"]];
}

/** Running out of memory while loading, as a sentence that says what to do. */
function outOfMemory(table: string, error: unknown): unknown {
  if (
    !(error instanceof QueryError) || !/out of memory|could not allocate|memory access/i.test(error.message)
  ) {
    return error;
  }
  return new QueryError(
    `The columns of table ${table} that this asks for do not fit into memory; name fewer columns than *, or ` +
      `ask a native DuckDB (deno task query:native TRACE SQL).`,
  );
}

function codedSchema(alias: string): string {
  return `${alias}_coded`;
}
