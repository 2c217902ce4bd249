/**
 * SQL by a native DuckDB, for recordings that are too large for the one that is built in: the tables that a statement names go
 * through Parquet files, piece by piece, and every view is there. Needs permission to load native code (FFI).
 *
 * @module
 */
import type { DuckDBConnection, DuckDBInstance, DuckDBValue } from "@duckdb/node-api";
import { QueryError } from "./engine.ts";
import { parquetFromStreams } from "./export/parquet.ts";
import type { TraceSource } from "./loader.ts";
import type { RowStream, Value } from "./rows.ts";
import { createTable, identifier, literal, TABLE_COLUMNS } from "./tables.ts";
import { needs } from "./views.ts";

/** Most rows of a result. */
const ROWS_MAX = 1_000_000;

/** One recording in a native DuckDB. */
export class NativeSession {
  readonly #loaded = new Set<string>();
  readonly #created = new Set<string>();

  private constructor(
    readonly source: TraceSource,
    readonly folder: string,
    readonly instance: DuckDBInstance,
    readonly connection: DuckDBConnection,
  ) {}

  /** Starts DuckDB. @param folder for Parquet files and what does not fit into memory; the caller removes it */
  static async open(source: TraceSource, folder: string): Promise<NativeSession> {
    const { DuckDBInstance } = await import("@duckdb/node-api");
    const instance = await DuckDBInstance.create(":memory:", { temp_directory: folder });
    return new NativeSession(source, folder, instance, await instance.connect());
  }

  /** Runs one statement. Errors: `QueryError`, when there are more than a million rows, too; `TraceError`. */
  async query(sql: string): Promise<RowStream> {
    const { tables, views } = needs(sql, new Set(TABLE_COLUMNS.keys()));
    for (const table of tables) await this.#load(table);
    for (const view of views.filter((v) => !this.#created.has(v.name))) {
      await this.#run(view.sql);
      this.#created.add(view.name);
    }
    const reader = await refused(() => this.connection.runAndReadUntil(sql, ROWS_MAX));
    if (!reader.done) {
      throw new QueryError(
        "The result has more than a million rows: ask for fewer, or write it to a file with COPY (SELECT ...) TO 'FILE.parquet'.",
      );
    }
    const types = reader.columnTypes().map(String);
    const columns = reader.columnNames().map((name, i) => ({
      name,
      type: types[i],
      numeric: /INT|DOUBLE|FLOAT|DECIMAL/.test(types[i]) && !types[i].endsWith("[]"),
    }));
    return { columns, rows: reader.getRows().map((row) => row.map(plain)) };
  }

  /** Ends DuckDB. */
  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
  }

  async #run(sql: string): Promise<void> {
    await refused(() => this.connection.run(sql));
  }

  async #load(table: string): Promise<void> {
    if (this.#loaded.has(table)) return;
    const columns = TABLE_COLUMNS.get(table) ?? [];
    if (this.source.tables.includes(table)) {
      const path = `${this.folder}/${table}.parquet`;
      const file = await Deno.open(path, { write: true, create: true, truncate: true });
      try {
        for await (const piece of parquetFromStreams(this.source.segments(table))) {
          for (let at = 0; at < piece.length;) at += await file.write(piece.subarray(at));
        }
      } finally {
        file.close();
      }
      const list = columns.map(([name]) => identifier(name)).join(", ");
      await this.#run(
        `CREATE OR REPLACE VIEW ${identifier(table)} AS SELECT ${list} FROM read_parquet(${literal(path)})`,
      );
    } else await this.#run(createTable("main", table, columns));
    this.#loaded.add(table);
  }
}

async function refused<R>(action: () => Promise<R>): Promise<R> {
  try {
    return await action();
  } catch (error) {
    throw new QueryError(error instanceof Error ? error.message : String(error));
  }
}

/** A value of the native DuckDB as those of results here are. */
function plain(value: DuckDBValue): Value {
  if (value === null || typeof value !== "object") return value;
  if ("items" in value && Array.isArray(value.items)) return value.items.map(plain);
  if ("entries" in value && !Array.isArray(value.entries)) {
    return Object.fromEntries(Object.entries(value.entries).map(([k, v]) => [k, plain(v)]));
  }
  if ("bytes" in value && value.bytes instanceof Uint8Array) return value.bytes;
  if ("scale" in value && "value" in value && typeof value.value === "bigint") {
    return value.scale === 0 ? value.value : Number(value.value) / 10 ** value.scale;
  }
  return String(value);
}
