/**
 * The views over a fleet: each is one text of SQL that DuckDB and ClickHouse both take, in `views/*.sql`. Where their
 * functions differ in name, ClickHouse's is used and DuckDB gets a macro.
 *
 * @module
 */
import { literal } from "../tables.ts";
import { parseFleetView, type View } from "../views.ts";
import { FLEET_TABLES } from "./tables.ts";

/** ClickHouse's names as DuckDB macros. */
export const DUCKDB_MACROS: readonly string[] = [
  "CREATE OR REPLACE MACRO intDiv(a, b) AS a // b",
  "CREATE OR REPLACE MACRO uniqExact(x) AS count(DISTINCT x)",
  "CREATE OR REPLACE MACRO groupArray(x) AS list(x)",
  "CREATE OR REPLACE MACRO arraySort(a) AS list_sort(a)",
  "CREATE OR REPLACE MACRO arrayElement(a, i) AS a[i]",
];

/** All views of the fleet, in alphabetical order. */
export function fleetViews(): View[] {
  const folder = new URL("./views/", import.meta.url);
  const files = [...Deno.readDirSync(folder)].map((e) => e.name).filter((n) => n.endsWith(".sql")).sort();
  return files.map((file) => parseFleetView(file, Deno.readTextFileSync(new URL(file, folder))));
}

/** A script for DuckDB that makes tables and views over a folder of exported runs. */
export function duckdbScript(folder: string): string[] {
  const tables = FLEET_TABLES.map(({ name }) =>
    `CREATE OR REPLACE VIEW ${name} AS SELECT * FROM read_parquet(${
      literal(`${folder}/run=*/${name}.parquet`)
    }, hive_partitioning = false)`
  );
  return [
    ...DUCKDB_MACROS,
    ...tables,
    ...fleetViews().map((v) => `CREATE OR REPLACE VIEW ${v.name} AS ${v.sql}`),
  ];
}
