/**
 * Exported runs on one or more ClickHouse servers: tables, views, and the rows of runs, over ClickHouse's HTTP interface.
 *
 * A run lies whole on one server. `NAME_local` has a server's own rows, `NAME` those of all servers (`Distributed`, over the
 * cluster of the servers' configuration). A run's row in `runs` is written last: a load that was cut is seen by its rows
 * without one, and they are removed before anything is loaded.
 *
 * @module
 */
import type { Value } from "../rows.ts";
import { fleetViews } from "./views.ts";
import { FLEET_TABLES, type FleetTable } from "./tables.ts";

/** Database that everything is in. */
export const DATABASE = "retrovisor";
/** Longest answer that is read, bytes, and how much of an error is shown, characters. */
const ANSWER_BYTES_MAX = 1 << 28, ERROR_LENGTH_MAX = 400;
/** How often, and how many times, a removal is asked whether it is done. */
const POLL_MS = 200, POLLS_MAX = 600;

/** A server that refuses, or is not there: one sentence with its address. */
export class ClickHouseError extends Error {
  /** Always "ClickHouseError". */
  override name = "ClickHouseError";
}

/** One server. */
export class ClickHouse {
  readonly #url: URL;
  readonly #headers: Record<string, string> = {};

  /** @param url `http://[user[:password]@]host:port` @throws ClickHouseError when it is none */
  constructor(url: string) {
    try {
      this.#url = new URL(url);
    } catch {
      throw new ClickHouseError(`Cannot use "${url}": a server is named http://HOST:8123.`);
    }
    if (this.#url.protocol !== "http:" && this.#url.protocol !== "https:") {
      throw new ClickHouseError(`Cannot use "${url}": a server is named http://HOST:8123.`);
    }
    const { username, password } = this.#url;
    if (username !== "") {
      this.#headers["X-ClickHouse-User"] = decodeURIComponent(username);
      this.#headers["X-ClickHouse-Key"] = decodeURIComponent(password);
      this.#url.username = this.#url.password = "";
    }
  }

  /** Address without user and password. */
  get name(): string {
    return this.#url.origin;
  }

  /** Runs one statement, `data` being what it inserts. @throws ClickHouseError */
  async run(sql: string, data?: string): Promise<string> {
    const url = new URL(this.#url);
    const body = data === undefined ? sql : data;
    if (data !== undefined) url.searchParams.set("query", sql);
    let text: string, ok: boolean;
    try {
      const response = await fetch(url, { method: "POST", body, headers: this.#headers });
      ok = response.ok;
      text = await bounded(response);
    } catch (error) {
      if (error instanceof ClickHouseError || error instanceof Deno.errors.NotCapable) throw error;
      const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
      const why = (error instanceof Error ? error.message : String(error)) + cause;
      throw new ClickHouseError(`Cannot reach ClickHouse at ${this.name}: ${why}`);
    }
    if (ok) return text;
    throw new ClickHouseError(
      `ClickHouse at ${this.name} refuses: ${text.trim().replace(/\s+/g, " ").slice(0, ERROR_LENGTH_MAX)}`,
    );
  }

  /** Rows of a SELECT, as text. @throws ClickHouseError */
  async rows(sql: string): Promise<string[][]> {
    const text = await this.run(`${sql} FORMAT JSONCompact`);
    return (JSON.parse(text) as { data: unknown[][] }).data.map((row) =>
      row.map((v) => v === null ? "\\N" : String(v))
    );
  }
}

async function bounded(response: Response): Promise<string> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > ANSWER_BYTES_MAX) {
      throw new ClickHouseError(`The answer is longer than ${ANSWER_BYTES_MAX} bytes.`);
    }
    pieces.push(piece as Uint8Array<ArrayBuffer>);
  }
  return await new Blob(pieces).text();
}

/** Text as a ClickHouse literal. */
export function clickhouseLiteral(text: string): string {
  return `'${escaped(text).replaceAll("'", "\\'")}'`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\0": "\\0",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function escaped(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\\\u0000\b\f\n\r\t]/g, (c) => ESCAPES[c]);
}

/** A row of format TabSeparated. */
export function tabSeparated(row: readonly Value[]): string {
  return row.map((v) => v === null ? "\\N" : escaped(String(v))).join("\t") + "\n";
}

/** Creates database, tables and views on every server. @param cluster its name in the servers' configuration @throws ClickHouseError */
export async function createSchema(servers: readonly ClickHouse[], cluster: string): Promise<void> {
  for (const server of servers) {
    await server.run(`CREATE DATABASE IF NOT EXISTS ${DATABASE}`);
    for (const table of FLEET_TABLES) await server.run(localTable(table));
  }
  for (const server of servers) {
    for (const { name } of FLEET_TABLES) {
      const everywhere = servers.length > 1
        ? `Distributed(${cluster}, ${DATABASE}, ${name}_local)`
        : `Merge(${DATABASE}, '^${name}_local$')`;
      await server.run(`DROP TABLE IF EXISTS ${DATABASE}.${name}`);
      await server.run(
        `CREATE TABLE ${DATABASE}.${name} AS ${DATABASE}.${name}_local ENGINE = ${everywhere}`,
      );
    }
    // ClickHouse runs parts of a view's text when it is made: by now every server has its tables.
    for (const view of fleetViews()) {
      await server.run(`DROP TABLE IF EXISTS ${DATABASE}.${view.name}`);
      await server.run(`CREATE VIEW ${DATABASE}.${view.name} AS ${qualified(view.sql)}`);
    }
  }
}

function localTable({ name, columns, order }: FleetTable): string {
  const list = ["run String", ...columns.map((c) => `${c.name} ${c.clickhouse}`)].join(", ");
  return `CREATE TABLE IF NOT EXISTS ${DATABASE}.${name}_local (${list}) ENGINE = MergeTree ORDER BY (${order})`;
}

/** The text of a view with its tables' database: ClickHouse keeps a view's text as it is. */
export function qualified(sql: string): string {
  const names = FLEET_TABLES.map((t) => t.name).join("|");
  return sql.replace(new RegExp(`\\bFROM (${names})\\b`, "g"), `FROM ${DATABASE}.$1`);
}

/** Removes rows of runs whose load was cut. @returns how many such runs there were @throws ClickHouseError */
export async function removeUnfinished(server: ClickHouse): Promise<number> {
  const runs = new Set<string>();
  for (const { name } of FLEET_TABLES.filter((t) => t.name !== "runs")) {
    const rows = await server.rows(
      `SELECT DISTINCT run FROM ${DATABASE}.${name}_local WHERE run NOT IN (SELECT run FROM ${DATABASE}.runs_local)`,
    );
    for (const [run] of rows) {
      runs.add(run);
      await server.run(`ALTER TABLE ${DATABASE}.${name}_local DELETE WHERE run = ${clickhouseLiteral(run)}`);
    }
  }
  for (let i = 0; runs.size > 0 && i < POLLS_MAX; i++) {
    const [[waiting]] = await server.rows(
      `SELECT count() FROM system.mutations WHERE database = '${DATABASE}' AND is_done = 0`,
    );
    if (waiting === "0") break;
    await new Promise((r) => setTimeout(r, POLL_MS));
  }
  return runs.size;
}

/** The server that a run lies on: the same for the same servers in the same order (FNV-1a of its name). */
export function shardOf(run: string, servers: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(run)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % servers;
}
