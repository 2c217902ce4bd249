/**
 * SQL over one or more trace bundles. Tables are loaded when a statement first names them, views created when first
 * used, results read piece by piece.
 *
 * @module
 */
import { Engine } from "./engine.ts";
import { Loader, type TraceSource, type Wanted } from "./loader.ts";
import { Planner } from "./planner.ts";
import { type Column, readRecords, readRows, type Row, type RowStream, type Value } from "./rows.ts";
import { type ColumnType, createTable, identifier, TABLE_COLUMNS } from "./tables.ts";
import { TOGETHER, togetherSql } from "./together.ts";
import { createView, loadViews, needs, type View, wordsOf } from "./views.ts";

export type { Column, Row, RowStream, TraceSource, Value };
export { QueryError } from "./engine.ts";

/** Statements about the database itself: they get to see every table and view, the heavy ones empty. */
const CATALOG = /\b(show|describe|summarize|information_schema|pragma\w*|duckdb_\w+|sqlite_master)\b/i;
/** Tables too heavy to load without being named. */
const HEAVY = new Set(["pages", "checkpoints", "images"]);
/** Tables with more rows are loaded with the columns that a statement reads, not whole. */
const WHOLE_ROWS_MAX = 1_000_000;

/** What a caller may choose about a session. */
export interface SessionOptions {
  /** Tables with more rows than this are loaded column by column as they are needed; default a million. */
  wholeRowsMax?: number;
  /**
   * What each source is called: plain names are then those of all sources together, with a column `trace` in front.
   * By alias; left out: plain names are those of the first source.
   */
  labels?: ReadonlyMap<string, string>;
}

/** An open SQL session. */
export class Session {
  readonly #engine: Engine;
  readonly #loader: Loader;
  readonly #sources: Map<string, TraceSource>;
  readonly #known: ReadonlySet<string>;
  readonly #created = new Set<string>();
  readonly #wholeRowsMax: number;
  readonly #labels: ReadonlyMap<string, string> | null;
  #planner: Planner | null = null;

  private constructor(engine: Engine, sources: Map<string, TraceSource>, options: SessionOptions) {
    this.#engine = engine;
    this.#loader = new Loader(engine);
    this.#sources = sources;
    this.#wholeRowsMax = options.wholeRowsMax ?? WHOLE_ROWS_MAX;
    this.#labels = options.labels ?? null;
    const names = [...sources.values()].flatMap((s) => [...s.tables]);
    this.#known = new Set([...TABLE_COLUMNS.keys(), ...names]);
  }

  /**
   * Opens a session. The first source's tables are named plainly (`exits`); every source's tables are also reached
   * under its alias as schema (`b.exits`). Nothing is loaded yet.
   */
  static async open(
    sources: TraceSource | ReadonlyMap<string, TraceSource>,
    options: SessionOptions = {},
  ): Promise<Session> {
    const map = sources instanceof Map
      ? new Map<string, TraceSource>(sources)
      : new Map([["main", sources as TraceSource]]);
    const session = new Session(await Engine.open(), map, options);
    for (const alias of map.keys()) session.#loader.open(alias);
    if (session.#labels !== null) session.#engine.run(`CREATE SCHEMA ${TOGETHER}`);
    session.#use(session.#plain);
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

  /** Like `query`, and refuses a text of several statements before anything of it is run. Errors: `QueryError`. */
  queryOne(sql: string): RowStream {
    this.#engine.requireOne(sql);
    return this.query(sql);
  }

  /** Ends all access to files and networks from SQL, for good. */
  forbidOutside(): void {
    this.#engine.run("SET enable_external_access = false");
  }

  /** Runs one statement; its result as pieces of one Arrow IPC stream. Errors: `QueryError`, also while iterating. */
  arrow(sql: string): Iterable<Uint8Array> {
    this.#prepare(sql);
    return this.#engine.stream(sql);
  }

  /** Adds a table that is not a recording's, from complete Arrow IPC streams. Errors: `QueryError`. */
  addTable(
    schema: string,
    table: string,
    columns: readonly ColumnType[],
    streams: Iterable<Uint8Array>,
  ): void {
    this.#engine.run(`CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}`);
    this.#engine.run(createTable(identifier(schema), table, columns));
    for (const ipc of streams) this.#engine.insert(schema, table, ipc);
  }

  /** Goes on with other recordings in place of the present ones, under the same aliases, without starting a database anew. */
  replace(sources: TraceSource | ReadonlyMap<string, TraceSource>): void {
    const map = sources instanceof Map ? sources : new Map([["main", sources as TraceSource]]);
    for (const alias of this.#sources.keys()) {
      const source = map.get(alias);
      if (source === undefined) throw new RangeError(`Cannot go on without a recording for ${alias}`);
      this.#sources.set(alias, source);
    }
    this.#loader.reset();
  }

  /** Ends the session and frees what it holds. */
  close(): void {
    this.#engine.close();
  }

  /** Schema of plain names. */
  get #plain(): string {
    return this.#labels === null ? this.#sources.keys().next().value ?? "main" : TOGETHER;
  }

  #use(alias: string): void {
    this.#engine.run(`USE memory.${identifier(alias)}`);
  }

  /** Loads the tables and creates the views that a statement names, in every source. */
  #prepare(sql: string): void {
    const catalog = CATALOG.test(sql);
    const { tables, views } = needs(catalog ? [sql, ...loadViews().keys()].join(" ") : sql, this.#known);
    if (catalog) { for (const name of this.#known) if (!HEAVY.has(name)) tables.push(name); }
    const wanted = catalog ? () => "all" as const : this.#wanted(sql, tables, views);
    const plain = this.#plain;
    for (const [alias, source] of this.#sources) {
      for (const table of tables) {
        const columns = wanted(table);
        if (columns === null) this.#loader.empty(alias, table);
        else this.#loader.load(alias, source, table, columns);
      }
      for (const table of catalog ? HEAVY : []) this.#loader.empty(alias, table);
      const missing = views.filter((v) => !this.#created.has(`${alias}.${v.name}`));
      if (missing.length === 0) continue;
      if (alias !== plain) this.#use(alias);
      for (const view of missing) {
        this.#engine.run(createView(view, identifier(alias)));
        this.#created.add(`${alias}.${view.name}`);
      }
      if (alias !== plain) this.#use(plain);
    }
    for (const [name, union] of this.#unions(sql, catalog)) {
      if (this.#created.has(`${TOGETHER}.${name}`)) continue;
      this.#engine.run(union);
      this.#created.add(`${TOGETHER}.${name}`);
    }
  }

  /** Statements that make what a statement itself names a union over all sources, where plain names are that. */
  #unions(sql: string, catalog: boolean): Map<string, string> {
    const unions = new Map<string, string>();
    if (this.#labels === null) return unions;
    const views = loadViews();
    for (const name of catalog ? [...this.#known, ...views.keys()] : wordsOf(sql)) {
      if (!this.#known.has(name) && !views.has(name)) continue;
      unions.set(name, togetherSql(name, views.get(name), this.#labels));
    }
    return unions;
  }

  /**
   * Which columns of each table a statement needs: all, unless a table is large and the statement can be planned; null for
   * one that is only mentioned.
   */
  #wanted(sql: string, tables: readonly string[], views: readonly View[]): (table: string) => Wanted | null {
    const rows = (table: string) =>
      Math.max(
        ...[...this.#sources.values()].map((s) => s.tables.includes(table) ? s.rows?.(table) ?? 0 : 0),
      );
    const large = new Set(tables.filter((t) => rows(t) > this.#wholeRowsMax));
    if (large.size === 0) return () => "all";
    this.#planner ??= new Planner(this.#engine, [...this.#sources.keys()], this.#plain);
    const columns = this.#planner.columns(sql, views, this.#unions(sql, false));
    if (columns === null) return () => "all";
    return (table) => columns.has(table) && !large.has(table) ? "all" : columns.get(table) ?? null;
  }
}
