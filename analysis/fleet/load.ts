/**
 * Ships exported runs to ClickHouse servers.
 *
 * @module
 */
import { readParquet } from "parquet-wasm";
import { readRows } from "../rows.ts";
import {
  ClickHouse,
  ClickHouseError,
  createSchema,
  DATABASE,
  removeUnfinished,
  shardOf,
  tabSeparated,
} from "./clickhouse.ts";
import { FLEET_TABLES, type FleetTable, isRunName } from "./tables.ts";

/** Characters that wait for a server before they are sent. */
const WAITING_MAX = 1 << 24;
/** Largest file of a run, bytes. */
const FILE_BYTES_MAX = 2 ** 30;

/** What was done. */
export interface LoadResult {
  loaded: number;
  /** Runs that were there already. */
  present: number;
  /** Runs whose earlier load was cut, and whose rows were removed. */
  removed: number;
  rows: number;
}

/** What may be chosen. */
export interface LoadOptions {
  /** Name of the cluster in the servers' configuration. */
  cluster: string;
  /** Called before each run. */
  onRun?: (done: number, all: number) => void;
}

/** Names of the runs in a folder, sorted. @throws ClickHouseError when it holds none */
export function runsIn(folder: string): string[] {
  let names: string[];
  try {
    names = [...Deno.readDirSync(folder)].filter((e) => e.isDirectory).map((e) => e.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new ClickHouseError(`Cannot load ${folder}: there is no such folder.`);
    }
    if (error instanceof Deno.errors.NotADirectory) {
      throw new ClickHouseError(`Cannot load ${folder}: it is a file.`);
    }
    throw error;
  }
  const runs = names.filter((n) => n.startsWith("run=")).map((n) => n.slice(4)).filter(isRunName).sort();
  if (runs.length === 0) {
    throw new ClickHouseError(
      `Cannot load ${folder}: it holds no runs; \`retrovisor export TRACE --to parquet --partition -o ${folder}\` makes them.`,
    );
  }
  return runs;
}

/** Loads every run of a folder that is not there yet. @throws ClickHouseError */
export async function loadRuns(
  folder: string,
  servers: readonly ClickHouse[],
  options: LoadOptions,
): Promise<LoadResult> {
  const runs = runsIn(folder);
  await createSchema(servers, options.cluster);
  const result: LoadResult = { loaded: 0, present: 0, removed: 0, rows: 0 };
  for (const server of servers) result.removed += await removeUnfinished(server);
  const present = new Set((await servers[0].rows(`SELECT run FROM ${DATABASE}.runs`)).map(([run]) => run));
  const outboxes = servers.map((s) => new Outbox(s));
  for (const [i, run] of runs.entries()) {
    options.onRun?.(i, runs.length);
    if (present.has(run)) {
      result.present++;
      continue;
    }
    const outbox = outboxes[shardOf(run, servers.length)];
    for (const table of FLEET_TABLES) {
      for (const text of rowsOf(folder, run, table)) {
        outbox.add(table, text);
        result.rows++;
      }
    }
    result.loaded++;
    if (outbox.waiting > WAITING_MAX) await outbox.send();
  }
  for (const outbox of outboxes) await outbox.send();
  return result;
}

/** Rows of a table of a run, each as a line. */
function* rowsOf(folder: string, run: string, table: FleetTable): Generator<string> {
  const path = `${folder}/run=${run}/${table.name}.parquet`;
  const { size } = Deno.statSync(path);
  if (size > FILE_BYTES_MAX) throw new ClickHouseError(`Cannot load ${path}: it is larger than 1 GiB.`);
  let ipc: Uint8Array;
  try {
    ipc = readParquet(Deno.readFileSync(path)).intoIPCStream();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw error;
    throw new ClickHouseError(`Cannot load ${path}: it is no whole Parquet file.`);
  }
  const { columns, rows } = readRows([ipc]);
  const expected = ["run", ...table.columns.map((c) => c.name)];
  if (columns.map((c) => c.name).join() !== expected.join()) {
    throw new ClickHouseError(
      `Cannot load ${path}: its columns are not those of ${table.name}; export the run again.`,
    );
  }
  for (const row of rows) {
    if (row[0] !== run) {
      throw new ClickHouseError(`Cannot load ${path}: it has rows of another run, "${row[0]}".`);
    }
    yield tabSeparated(row);
  }
}

/** Rows that wait for one server. */
class Outbox {
  readonly #text = new Map<FleetTable, string[]>();
  waiting = 0;

  constructor(readonly server: ClickHouse) {}

  add(table: FleetTable, line: string): void {
    const lines = this.#text.get(table);
    if (lines === undefined) this.#text.set(table, [line]);
    else lines.push(line);
    this.waiting += line.length;
  }

  /** Sends everything; table `runs`, which says that a run is there, comes last. */
  async send(): Promise<void> {
    const tables = [...this.#text.keys()].sort((a, b) =>
      Number(a.name === "runs") - Number(b.name === "runs")
    );
    for (const table of tables) {
      const lines = this.#text.get(table) ?? [];
      const columns = ["run", ...table.columns.map((c) => c.name)].join(", ");
      const sql = `INSERT INTO ${DATABASE}.${table.name}_local (${columns}) FORMAT TabSeparated`;
      await this.server.run(sql, lines.join(""));
    }
    this.#text.clear();
    this.waiting = 0;
  }
}
