/**
 * One in-process DuckDB (the blocking WebAssembly build): SQL in, Arrow IPC streams in and out.
 *
 * Only IPC bytes cross this boundary: the module bundles its own, older Arrow.
 *
 * @module
 */
import { createDuckDB, NODE_RUNTIME, VoidLogger } from "@duckdb/duckdb-wasm/blocking";
import { fileURLToPath } from "node:url";
import { engineMessage } from "./engine_message.ts";

/** A statement that DuckDB refuses, in one sentence; the details (candidates, position) follow on further lines. */
export class QueryError extends Error {
  /** Always "QueryError". */
  override name = "QueryError";
}

type Bindings = Awaited<ReturnType<typeof createDuckDB>>;
type Connection = ReturnType<Bindings["connect"]>;

/**
 * The module fetches missing extensions (parquet, json, icu) through a synchronous `XMLHttpRequest`, and waits for ever
 * where there is none. This one answers "not found" at once, so that such a statement fails with a message instead.
 */
class OfflineRequest {
  status = 404;
  readyState = 4;
  response: ArrayBuffer = new ArrayBuffer(0);
  responseText = "";
  open(): void {}
  send(): void {}
  setRequestHeader(): void {}
  overrideMimeType(): void {}
  getResponseHeader(): null {
    return null;
  }
}

/** An open database in memory with one connection. */
export class Engine {
  #connection: Connection | null;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Starts DuckDB (about a second) with nothing in it. */
  static async open(): Promise<Engine> {
    const scope = globalThis as unknown as { XMLHttpRequest?: unknown };
    scope.XMLHttpRequest ??= OfflineRequest;
    const wasm = fileURLToPath(import.meta.resolve("@duckdb/duckdb-wasm/dist/duckdb-eh.wasm"));
    const bundle = { mainModule: wasm, mainWorker: "" };
    const db = await createDuckDB({ mvp: bundle, eh: bundle }, new VoidLogger(), NODE_RUNTIME);
    await db.instantiate(() => {});
    db.open({ query: { castBigIntToDouble: false, castDecimalToDouble: false } });
    return new Engine(db.connect());
  }

  /** Runs one or more statements; the Arrow IPC stream of the last one's result. Errors: `QueryError`. */
  run(sql: string): Uint8Array {
    return this.#use((bindings, id) => bindings.runQuery(id, sql));
  }

  /**
   * Runs one statement and yields its result piece by piece; together the pieces are one Arrow IPC stream, and only one
   * of them is in memory at a time. Errors: `QueryError`, also in the middle.
   */
  *stream(sql: string): Generator<Uint8Array> {
    let piece = this.#use((bindings, id) => bindings.startPendingQuery(id, sql, true));
    while (piece === null) piece = this.#use((bindings, id) => bindings.pollPendingQuery(id));
    yield piece;
    for (;;) {
      const next = this.#use((bindings, id) => bindings.fetchQueryResults(id));
      // Null asks for another turn; an empty piece is the end.
      if (next === null) continue;
      if (next.length === 0) return;
      yield next;
    }
  }

  /**
   * Sees to it that a text is exactly one statement, without running it: whether its names mean anything is not looked at.
   * Errors: `QueryError`.
   */
  requireOne(sql: string): void {
    this.#use((bindings, id) => {
      try {
        bindings.closePrepared(id, bindings.createPrepared(id, sql));
      } catch (error) {
        // Names are looked up once the text has been found to be one statement.
        if (
          !/^(\{"exception_type":"(Catalog|Binder)"|(Catalog|Binder) Error)/.test(
            String((error as Error).message),
          )
        ) {
          throw error;
        }
      }
    });
  }

  /** Appends a complete Arrow IPC stream to an existing table; columns are matched by position. */
  insert(schema: string, table: string, ipc: Uint8Array): void {
    this.#use((bindings, id) =>
      bindings.insertArrowFromIPCStream(id, ipc, { schema, name: table, create: false })
    );
  }

  /** Closes the connection; the engine answers nothing afterwards. */
  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  #use<R>(action: (bindings: Pick<Bindings, EngineCalls>, id: number) => R): R {
    if (this.#connection === null) throw new QueryError("Cannot run SQL: the session is closed.");
    try {
      return this.#connection.useUnsafe((bindings, id) => action(bindings as Bindings, id));
    } catch (error) {
      throw new QueryError(engineMessage(error));
    }
  }
}

type EngineCalls =
  | "runQuery"
  | "startPendingQuery"
  | "pollPendingQuery"
  | "fetchQueryResults"
  | "createPrepared"
  | "closePrepared"
  | "insertArrowFromIPCStream";
