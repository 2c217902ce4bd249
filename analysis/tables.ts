/**
 * Trace tables as DuckDB tables: column types from the Arrow schema of the stream, documented columns that an older
 * recording lacks, and ENUMs where the vocabulary is fixed.
 *
 * @module
 */
import { type DataType, RecordBatchReader, Type } from "apache-arrow";
import type { ColumnSpec } from "../traces/ipc.ts";
import { SEALS, TABLES } from "../traces/schema.ts";
import { GIVEN_COSTS, GIVEN_COSTS_COLUMNS } from "./given_costs.ts";
import { RECORDING, RECORDING_COLUMNS } from "./recording.ts";

/** Name and DuckDB type of a column. */
export type ColumnType = readonly [name: string, type: string];

/** The documented columns of every table: what an absent table or column looks like. */
export const TABLE_COLUMNS: ReadonlyMap<string, readonly ColumnType[]> = new Map(
  [
    ...[...TABLES, SEALS].map((t): [string, ColumnType[]] => [
      t.name,
      t.columns.map((c): ColumnType => [c.name, specType(c.type)]),
    ]),
    [RECORDING, RECORDING_COLUMNS],
    [GIVEN_COSTS, GIVEN_COSTS_COLUMNS],
  ],
);

/** Vocabularies that are known before a row is read, by `table.column`. */
const ENUMS: ReadonlyMap<string, readonly string[]> = new Map(
  TABLES.flatMap((t) =>
    t.columns.flatMap((c): [string, readonly string[]][] =>
      // One value alone is the "(other)" of a dictionary that knows nothing beforehand.
      c.type.kind === "dictionary" && c.type.values.length > 1 ? [[`${t.name}.${c.name}`, c.type.values]] : []
    )
  ),
);

function specType(type: ColumnSpec["type"]): string {
  switch (type.kind) {
    case "uint":
      return { 8: "UTINYINT", 16: "USMALLINT", 32: "UINTEGER", 64: "UBIGINT" }[type.bits];
    case "int":
      return "BIGINT";
    case "binary":
    case "fixed":
      return "BLOB";
    case "list": {
      if (type.items === "uint64") return "UBIGINT[]";
      const fields = type.items.map((f) =>
        `${identifier(f.name)} ${specType({ kind: "uint", bits: f.bits })}`
      );
      return `STRUCT(${fields.join(", ")})[]`;
    }
    default:
      return "VARCHAR";
  }
}

/** A name as an SQL identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Text as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Columns that a stream carries, from its schema message; `enums` turns on the fixed vocabularies. */
export function streamColumns(table: string, ipc: Uint8Array, enums: boolean): ColumnType[] {
  const reader = RecordBatchReader.from(ipc);
  reader.open();
  return reader.schema.fields.map((f) => {
    const words = enums ? ENUMS.get(`${table}.${f.name}`) : undefined;
    return [f.name, words ? `ENUM(${words.map(literal).join(", ")})` : duckdbType(f.type)];
  });
}

/** True when a table has columns for which `streamColumns` would choose an ENUM. */
export function hasEnums(table: string): boolean {
  return [...ENUMS.keys()].some((key) => key.startsWith(`${table}.`));
}

/** CREATE TABLE for the given columns. @param schema as SQL */
export function createTable(schema: string, table: string, columns: readonly ColumnType[]): string {
  const list = columns.map(([name, type]) => `${identifier(name)} ${type}`).join(", ");
  return `CREATE OR REPLACE TABLE ${schema}.${identifier(table)} (${list})`;
}

/**
 * CREATE VIEW that shows a table stored in schema `from`: ENUM columns as text, and documented columns that are not stored
 * as nulls.
 * @param present the stored columns
 */
export function tableView(
  schema: string,
  from: string,
  table: string,
  present: readonly ColumnType[],
): string {
  const types = new Map(present);
  const known = TABLE_COLUMNS.get(table) ?? (present.length > 0 ? [] : [["icount", "UBIGINT"] as const]);
  const extra = present.filter(([name]) => !known.some(([n]) => n === name));
  const list = [...known, ...extra].map(([name, type]) => {
    const stored = types.get(name), id = identifier(name);
    if (stored === undefined) return `NULL::${type} AS ${id}`;
    return stored.startsWith("ENUM(") ? `${id}::VARCHAR AS ${id}` : id;
  });
  return `CREATE OR REPLACE VIEW ${identifier(schema)}.${identifier(table)} AS SELECT ${
    list.join(", ")
  } FROM ${identifier(from)}.${identifier(table)}`;
}

/** DuckDB's type for an Arrow type, as its Arrow reader maps it. */
function duckdbType(type: DataType): string {
  switch (type.typeId) {
    case Type.Int: {
      const int = type as unknown as { isSigned: boolean; bitWidth: number };
      const name = { 8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT" }[int.bitWidth] ?? "BIGINT";
      return int.isSigned ? name : `U${name}`;
    }
    case Type.Float:
      return (type as unknown as { precision: number }).precision === 1 ? "FLOAT" : "DOUBLE";
    case Type.Bool:
      return "BOOLEAN";
    case Type.Binary:
    case Type.LargeBinary:
    case Type.FixedSizeBinary:
      return "BLOB";
    case Type.Dictionary:
      return duckdbType((type as unknown as { dictionary: DataType }).dictionary);
    case Type.List:
    case Type.FixedSizeList:
      return `${duckdbType(type.children[0].type)}[]`;
    case Type.Struct:
      return `STRUCT(${type.children.map((f) => `${identifier(f.name)} ${duckdbType(f.type)}`).join(", ")})`;
    default:
      return "VARCHAR";
  }
}
