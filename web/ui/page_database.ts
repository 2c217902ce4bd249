/// <reference lib="dom" />
/**
 * DuckDB inside the page: its worker and its WebAssembly come from the page, tables are loaded when they are first named.
 *
 * @module
 */
import { AsyncDuckDB, VoidLogger } from "@duckdb/duckdb-wasm";
import { engineMessage } from "../../analysis/engine_message.ts";
import { readRows } from "../../analysis/rows.ts";
import { ANSWER_BYTES_MAX, answerOf, asSelect, explainRefusal, type SqlAnswer } from "../model/sql_answer.ts";
import {
  BLOCKS,
  type CarriedSql,
  type CarriedTable,
  type CarriedView,
  tableBlock,
} from "../model/payload.ts";
import { takeBlock } from "./blocks.ts";

/**
 * Runs before DuckDB's worker: the first message brings the WebAssembly, which the worker believes to fetch. Nothing else
 * can be fetched: extensions are refused at once.
 */
const PRELUDE = `
let give;
const wasm = new Promise((resolve) => give = resolve);
self.addEventListener("message", (e) => {
  if (e.data && e.data.retrovisorWasm) {
    e.stopImmediatePropagation();
    give(e.data.retrovisorWasm);
  }
});
self.fetch = async () => new Response(await wasm, { headers: { "Content-Type": "application/wasm" } });
self.XMLHttpRequest = class {
  status = 404; readyState = 4; response = new ArrayBuffer(0); responseText = "";
  open() {} send() {} setRequestHeader() {} overrideMimeType() {} getResponseHeader() { return null; }
};
`;

type Connection = Awaited<ReturnType<AsyncDuckDB["connect"]>>;

/** The database. */
export class PageDatabase {
  readonly #loaded = new Set<string>();
  readonly #created = new Set<string>();
  readonly #tables: ReadonlyMap<string, CarriedTable>;
  readonly #views: ReadonlyMap<string, CarriedView>;

  private constructor(readonly carried: CarriedSql, readonly connection: Connection) {
    this.#tables = new Map(carried.tables.map((t) => [t.name, t]));
    this.#views = new Map(carried.views.map((v) => [v.name, v]));
  }

  /** Starts DuckDB. @throws Error where the browser cannot */
  static async start(carried: CarriedSql): Promise<PageDatabase> {
    const [script, wasm] = await Promise.all([takeBlock(BLOCKS.worker), takeBlock(BLOCKS.wasm)]);
    const url = URL.createObjectURL(new Blob([PRELUDE, script], { type: "text/javascript" }));
    const worker = new Worker(url);
    worker.postMessage({ retrovisorWasm: wasm.buffer }, [wasm.buffer]);
    const db = new AsyncDuckDB(new VoidLogger(), worker);
    await db.instantiate("https://in.page.invalid/duckdb.wasm");
    URL.revokeObjectURL(url);
    await db.open({ query: { castBigIntToDouble: false, castDecimalToDouble: false } });
    const database = new PageDatabase(carried, await db.connect());
    for (const sql of carried.setup) await database.#run(sql);
    return database;
  }

  /** Answers a question. @throws Error in a sentence for people */
  async ask(sql: string): Promise<SqlAnswer> {
    const text = asSelect(sql);
    try {
      await this.#prepare(text);
      return await this.#rows(text);
    } catch (error) {
      throw new Error(explainRefusal(sql, engineMessage(error)));
    }
  }

  async #rows(sql: string): Promise<SqlAnswer> {
    // Preparing takes one statement only; what `asSelect` wrapped is then a SELECT and nothing else.
    const statement = await this.connection.useUnsafe((db, id) => db.createPrepared(id, sql));
    await this.connection.useUnsafe((db, id) => db.closePrepared(id, statement));
    const pieces: Uint8Array[] = [];
    let first = await this.connection.useUnsafe((db, id) => db.startPendingQuery(id, sql, true));
    while (first === null) first = await this.connection.useUnsafe((db, id) => db.pollPendingQuery(id));
    pieces.push(first);
    for (let bytes = 0; bytes < ANSWER_BYTES_MAX;) {
      const next = await this.connection.useUnsafe((db, id) => db.fetchQueryResults(id));
      if (next === null) continue;
      if (next.length === 0) break;
      pieces.push(next);
      bytes += next.length;
    }
    return answerOf(readRows(pieces));
  }

  async #prepare(sql: string): Promise<void> {
    const visited = new Set<string>(), tables: CarriedTable[] = [], views: CarriedView[] = [];
    const visit = (text: string) => {
      for (const word of text.toLowerCase().match(/[a-z_][a-z_0-9]*/g) ?? []) {
        if (visited.has(word)) continue;
        const view = this.#views.get(word), table = this.#tables.get(word);
        if (view === undefined && table === undefined) continue;
        visited.add(word);
        if (table !== undefined) tables.push(table);
        if (view === undefined) continue;
        visit(view.sql);
        views.push(view);
      }
    };
    visit(sql);
    for (const table of tables) if (!this.#loaded.has(table.name)) await this.#load(table);
    for (const view of views) {
      if (this.#created.has(view.name)) continue;
      await this.#run(view.sql);
      this.#created.add(view.name);
    }
  }

  async #load(table: CarriedTable): Promise<void> {
    const bytes = await takeBlock(tableBlock(table.name));
    try {
      await this.#fill(table, table.create, bytes);
    } catch (error) {
      // A word outside the vocabulary (a newer recording): plain text columns take it.
      if (!String(error).includes("Could not convert")) throw error;
      await this.#fill(table, table.createPlain, bytes);
    }
    this.#loaded.add(table.name);
  }

  async #fill(table: CarriedTable, create: readonly string[], bytes: Uint8Array): Promise<void> {
    for (const sql of create) await this.#run(sql);
    let at = 0;
    for (const length of table.streams) {
      const ipc = bytes.slice(at, at += length),
        target = { schema: table.schema, name: table.table, create: false };
      await this.connection.useUnsafe((db, id) => db.insertArrowFromIPCStream(id, ipc, target));
    }
  }

  async #run(sql: string): Promise<void> {
    await this.connection.useUnsafe((db, id) => db.runQuery(id, sql));
  }
}
