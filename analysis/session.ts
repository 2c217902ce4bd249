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
  literal,
  streamColumns,
  TABLE_COLUMNS,
  textView,
} from "./tables.ts";
import { loadViews, needs } from "./views.ts";

export type { Column, Row, RowStream, Value };
export { QueryError } from "./engine.ts";

/** What a session reads tables from. */
export interface TraceSource {
  /** Names of the tables that are there. */
  readonly tables: readonly string[];
  /** A table as complete Arrow IPC streams, each of a bounded number of batches. */
  segments(table: string): Iterable<Uint8Array>;
}

/** Statements about the database itself: they get to see every table and view, the heavy ones empty. */
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
    for (const alias of map.keys()) {
      for (const schema of [alias, codedSchema(alias)]) {
        engine.run(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`);
      }
    }
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
    const catalog = CATALOG.test(sql);
    const { tables, views } = needs(catalog ? [sql, ...loadViews().keys()].join(" ") : sql, this.#known);
    if (catalog) { for (const name of this.#known) if (!HEAVY.has(name)) tables.push(name); }
    const first = this.#sources.keys().next().value ?? "main";
    for (const [alias, source] of this.#sources) {
      for (const table of tables) this.#load(alias, source, table);
      for (const table of catalog ? HEAVY : []) {
        if (!this.#loaded.has(`${alias}.${table}`)) this.#createEmpty(alias, table);
      }
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
   * Columns with a fixed vocabulary are stored as ENUMs (a third of the memory, and filters run on codes) in a table of
   * the same name in schema `ALIAS_coded`; the table's own name is a view that gives them as text. Streamed results cannot
   * carry ENUMs: their dictionaries are left out of the stream.
   */
  #fill(alias: string, source: TraceSource, table: string, enums: boolean): void {
    let columns: ReturnType<typeof streamColumns> | null = null;
    let schema = alias;
    for (const ipc of source.tables.includes(table) ? source.segments(table) : []) {
      if (columns === null) {
        columns = streamColumns(table, ipc, enums);
        if (columns.some(isEnum)) schema = codedSchema(alias);
        this.#drop(alias, table);
        this.#engine.run(createTable(schema, table, columns));
      }
      this.#engine.insert(schema, table, ipc);
    }
    if (columns === null) return this.#createEmpty(alias, table);
    for (const sql of addMissing(schema, table, columns)) this.#engine.run(sql);
    if (schema !== alias) this.#engine.run(textView(alias, schema, table, columns));
  }

  #createEmpty(alias: string, table: string): void {
    this.#drop(alias, table);
    this.#engine.run(createTable(alias, table, TABLE_COLUMNS.get(table) ?? [["icount", "UBIGINT"]]));
  }

  /** The name may be that of an empty table made for the catalog, or of a half-filled one. */
  #drop(alias: string, table: string): void {
    const rows = readRecords([
      this.#engine.run(
        `SELECT table_type FROM information_schema.tables WHERE table_schema = ${
          literal(alias)
        } AND table_name = ${literal(table)}`,
      ),
    ]);
    for (const r of rows) {
      const kind = r.table_type === "VIEW" ? "VIEW" : "TABLE";
      this.#engine.run(`DROP ${kind} ${identifier(alias)}.${identifier(table)}`);
    }
  }
}

function codedSchema(alias: string): string {
  return `${alias}_coded`;
}
