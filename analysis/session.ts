/**
 * SQL over one or more trace bundles. Tables are loaded when a statement first names them, views created when first
 * used, results read piece by piece.
 *
 * @module
 */
import { Engine } from "./engine.ts";
import { type Column, readRecords, readRows, type Row, type RowStream, type Value } from "./rows.ts";
import {
  addMissing,
  createTable,
  hasEnums,
  identifier,
  isEnum,
  streamColumns,
  TABLE_COLUMNS,
  textView,
} from "./tables.ts";
import { needs } from "./views.ts";

export type { Column, Row, RowStream, Value };
export { QueryError } from "./engine.ts";

/** What a session reads tables from. */
export interface TraceSource {
  /** Names of the tables that are there. */
  readonly tables: readonly string[];
  /** A table as complete Arrow IPC streams, each of a bounded number of batches. */
  segments(table: string): Iterable<Uint8Array>;
}

/** Statements about the database itself: they get to see every table. */
const CATALOG = /\b(show|describe|summarize|information_schema|pragma\w*|duckdb_\w+|sqlite_master)\b/i;
/** Tables too heavy to load without being named. */
const HEAVY = new Set(["pages", "checkpoints", "images"]);

/** An open SQL session. */
export class Session {
  readonly #engine: Engine;
  readonly #sources: Map<string, TraceSource>;
  readonly #known: ReadonlySet<string>;
  readonly #loaded = new Set<string>();
  readonly #created = new Set<string>();

  private constructor(engine: Engine, sources: Map<string, TraceSource>) {
    this.#engine = engine;
    this.#sources = sources;
    const names = [...sources.values()].flatMap((s) => [...s.tables]);
    this.#known = new Set([...TABLE_COLUMNS.keys(), ...names]);
  }

  /**
   * Opens a session. The first source's tables are named plainly (`exits`); every source's tables are also reached
   * under its alias as schema (`b.exits`). Nothing is loaded yet.
   */
  static async open(sources: TraceSource | ReadonlyMap<string, TraceSource>): Promise<Session> {
    const map = sources instanceof Map
      ? new Map<string, TraceSource>(sources)
      : new Map([["main", sources as TraceSource]]);
    const engine = await Engine.open();
    for (const alias of map.keys()) engine.run(`CREATE SCHEMA IF NOT EXISTS ${identifier(alias)}`);
    const session = new Session(engine, map);
    session.#use(map.keys().next().value ?? "main");
    return session;
  }

  /** Runs one statement; rows come piece by piece. Errors: `QueryError`, also while iterating. */
  query(sql: string): RowStream {
    return readRows(this.arrow(sql));
  }

  /** Runs one statement and keeps its rows (at most `limit`) as records. Errors: `QueryError`. */
  records(sql: string, limit = Infinity): Row[] {
    return readRecords(this.arrow(sql), limit);
  }

  /** Runs one statement; its result as pieces of one Arrow IPC stream. Errors: `QueryError`, also while iterating. */
  arrow(sql: string): Iterable<Uint8Array> {
    this.#prepare(sql);
    return this.#engine.stream(sql);
  }

  /** Ends the session and frees what it holds. */
  close(): void {
    this.#engine.close();
  }

  #use(alias: string): void {
    this.#engine.run(`USE memory.${identifier(alias)}`);
  }

  /** Loads the tables and creates the views that a statement names, in every source. */
  #prepare(sql: string): void {
    const { tables, views } = needs(sql, this.#known);
    const wanted = new Set(tables);
    if (CATALOG.test(sql)) { for (const name of this.#known) if (!HEAVY.has(name)) wanted.add(name); }
    const first = this.#sources.keys().next().value ?? "main";
    for (const [alias, source] of this.#sources) {
      for (const table of wanted) this.#load(alias, source, table);
      const missing = views.filter((v) => !this.#created.has(`${alias}.${v.name}`));
      if (missing.length === 0) continue;
      if (alias !== first) this.#use(alias);
      for (const view of missing) {
        this.#engine.run(view.sql);
        this.#created.add(`${alias}.${view.name}`);
      }
      if (alias !== first) this.#use(first);
    }
  }

  #load(alias: string, source: TraceSource, table: string): void {
    const key = `${alias}.${table}`;
    if (this.#loaded.has(key)) return;
    try {
      this.#fill(alias, source, table, true);
    } catch (error) {
      // A word outside the vocabulary (a newer recording): plain text columns take it.
      if (!hasEnums(table) || !String(error).includes("Could not convert")) throw error;
      this.#fill(alias, source, table, false);
    }
    this.#loaded.add(key);
  }

  /**
   * Columns with a fixed vocabulary are stored as ENUMs (a third of the memory, and filters run on codes) in a table
   * beside, `NAME_coded`; the table's own name is a view that gives them as text. Streamed results cannot carry ENUMs:
   * their dictionaries are left out of the stream.
   */
  #fill(alias: string, source: TraceSource, table: string, enums: boolean): void {
    let columns: ReturnType<typeof streamColumns> | null = null;
    let stored = table;
    for (const ipc of source.tables.includes(table) ? source.segments(table) : []) {
      if (columns === null) {
        columns = streamColumns(table, ipc, enums);
        if (columns.some(isEnum)) stored = `${table}_coded`;
        this.#engine.run(createTable(alias, stored, columns));
      }
      this.#engine.insert(alias, stored, ipc);
    }
    if (columns === null) {
      this.#engine.run(createTable(alias, table, TABLE_COLUMNS.get(table) ?? [["icount", "UBIGINT"]]));
      return;
    }
    for (const sql of addMissing(alias, table, stored, columns)) this.#engine.run(sql);
    if (stored !== table) this.#engine.run(textView(alias, table, stored, columns));
  }
}
