/**
 * Many recordings as one set of tables: each row says of which run it is, and carries what would need another row or table
 * to know (the function, the distance to the vCPU's next exit), so that plain grouping answers everything and runs can
 * lie anywhere.
 *
 * @module
 */
import { tableSpec } from "../../traces/schema.ts";
import { identifier, literal } from "../tables.ts";

/** A column: its name, its value in SQL over a recording, and its ClickHouse type. */
export interface FleetColumn {
  name: string;
  sql: string;
  clickhouse: string;
}

/** A table of the fleet. */
export interface FleetTable {
  name: string;
  columns: readonly FleetColumn[];
  /** What follows SELECT ... in the query over a recording; `m` is its row of metadata. */
  from: string;
  /** ClickHouse's sorting key. */
  order: string;
}

/** What every row says about its run. */
const META: readonly FleetColumn[] = [
  { name: "guest", sql: "m.name", clickhouse: "String" },
  { name: "cmdline", sql: "m.cmdline", clickhouse: "String" },
  { name: "vcpus", sql: "m.vcpus", clickhouse: "UInt32" },
  { name: "memory_bytes", sql: "m.memory_bytes", clickhouse: "UInt64" },
  { name: "outcome", sql: "m.outcome", clickhouse: "Nullable(String)" },
];

/** Columns of a recording's table, as they are; `alias` names it in the query. */
function stored(table: string, alias: string, without: readonly string[] = []): FleetColumn[] {
  return tableSpec(table).columns.filter((c) => !without.includes(c.name)).map((c) => {
    const { type } = c;
    const plain = type.kind === "uint"
      ? `UInt${type.bits}`
      : type.kind === "int"
      ? "Int64"
      : type.kind === "list"
      ? "Array(UInt64)"
      : "String";
    return {
      name: c.name,
      sql: `${alias}.${identifier(c.name)}`,
      clickhouse: c.nullBit >= 0 ? `Nullable(${plain})` : plain,
    };
  });
}

const column = (name: string, sql: string, clickhouse: string): FleetColumn => ({ name, sql, clickhouse });
const count = (table: string) => `(SELECT count(*) FROM ${table})::UBIGINT`;

/** The tables. `runs` has a row a run. */
export const FLEET_TABLES: readonly FleetTable[] = [
  {
    name: "runs",
    columns: [
      ...META,
      column("type", "m.type", "String"),
      column("cpuid", "m.cpuid", "String"),
      column("sample_interval", "m.sample_interval", "UInt64"),
      column("icount", "m.icount", "UInt64"),
      column("time_ns", "coalesce((SELECT max(time_ns) FROM exits), 0)::UBIGINT", "UInt64"),
      column("exits", count("exits"), "UInt64"),
      column("hypercalls", count("hypercalls"), "UInt64"),
      column("interrupts", count("interrupts"), "UInt64"),
    ],
    from: "FROM recording m",
    order: "run",
  },
  {
    name: "exits",
    columns: [
      ...META,
      ...stored("exits", "e"),
      column("function", "p.function", "Nullable(String)"),
      column("gap_instructions", "lead(e.icount) OVER w - e.icount", "Nullable(UInt64)"),
      column("gap_ns", "lead(e.time_ns) OVER w - e.time_ns", "Nullable(UInt64)"),
    ],
    from: "FROM exits e LEFT JOIN exit_places p ON p.rip = e.rip, recording m " +
      "WINDOW w AS (PARTITION BY e.vcpu ORDER BY e.seq) ORDER BY e.seq",
    order: "run, seq",
  },
  {
    name: "hypercalls",
    columns: [
      ...META,
      ...stored("hypercalls", "h", ["buffer"]),
      column("function", "p.function", "Nullable(String)"),
    ],
    from:
      "FROM hypercalls h LEFT JOIN (SELECT seq, rip FROM exits WHERE reason_code = 129) e ON e.seq = h.seq " +
      "LEFT JOIN exit_places p ON p.rip = e.rip, recording m ORDER BY h.seq, h.icount",
    order: "run, seq",
  },
  {
    name: "interrupts",
    columns: [...META, ...stored("interrupts", "i")],
    from: "FROM interrupts i, recording m ORDER BY i.icount",
    order: "run, icount",
  },
  {
    name: "samples",
    columns: [
      ...META,
      ...stored("samples", "s", ["stack"]),
      column(
        "function",
        "CASE WHEN f.size = 0 OR s.rip - f.start < f.size THEN f.name END",
        "Nullable(String)",
      ),
    ],
    from: "FROM pc_samples s ASOF LEFT JOIN functions f ON s.rip >= f.start, recording m ORDER BY s.icount",
    order: "run, icount",
  },
  {
    name: "console",
    columns: [...META, ...stored("console", "c")],
    from: "FROM console c, recording m ORDER BY c.icount",
    order: "run, icount",
  },
];

/** The query that makes a recording's rows of a fleet's table. */
export function fleetQuery(table: FleetTable, run: string): string {
  const columns = table.columns.map((c) => `${c.sql} AS ${identifier(c.name)}`);
  return `SELECT ${[`${literal(run)} AS run`, ...columns].join(", ")} ${table.from}`;
}

/** Names that runs may have: they are folders, and columns' values. */
const RUN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/** True for a name that a run may have: letters, digits, dots, dashes. */
export function isRunName(name: string): boolean {
  return RUN_NAME.test(name) && !name.endsWith(".partial");
}
