/**
 * Arrow IPC streams as rows of plain values.
 *
 * @module
 */
import { type DataType, RecordBatchReader, Type } from "apache-arrow";

/** One value of a result: integers of 64 bits and more are exact bigints, blobs are bytes. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | Value[]
  | { [key: string]: Value };

/** One row, in the order of the columns. */
export type Row = Record<string, Value>;

/** One column of a result. */
export interface Column {
  /** Name of the column. */
  name: string;
  /** Arrow's name of the type, e.g. "Uint64". */
  type: string;
  /** Values are numbers: tables align them to the right. */
  numeric: boolean;
}

/** A result that is read piece by piece. */
export interface RowStream {
  /** The columns, in order. */
  columns: Column[];
  /** Rows, each as an array of values; can be iterated once. */
  rows: Iterable<Value[]>;
}

/** Reads one Arrow IPC stream, given in pieces, without holding more than a batch of it. */
export function readRows(pieces: Iterable<Uint8Array>): RowStream {
  const reader = RecordBatchReader.from(nonEmpty(pieces));
  reader.open();
  const fields = reader.schema.fields;
  const columns = fields.map((f) => ({ name: f.name, type: String(f.type), numeric: isNumeric(f.type) }));
  function* rows(): Generator<Value[]> {
    for (const batch of reader) {
      const vectors = fields.map((_, i) => batch.getChildAt(i));
      for (let r = 0; r < batch.numRows; r++) {
        yield vectors.map((v, i) => plain(v === null ? null : v.get(r), fields[i].type));
      }
    }
  }
  return { columns, rows: rows() };
}

/** Reads a whole stream as records. `limit` bounds how many rows are kept. */
export function readRecords(pieces: Iterable<Uint8Array>, limit = Infinity): Row[] {
  const { columns, rows } = readRows(pieces);
  const out: Row[] = [];
  for (const values of rows) {
    if (out.length >= limit) break;
    out.push(Object.fromEntries(columns.map((c, i) => [c.name, values[i]])));
  }
  return out;
}

function* nonEmpty(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const piece of pieces) if (piece.length > 0) yield piece;
}

function isNumeric(type: DataType): boolean {
  return type.typeId === Type.Int || type.typeId === Type.Float || type.typeId === Type.Decimal;
}

/** An Arrow value as a plain one. */
function plain(value: unknown, type: DataType): Value {
  if (value === null || value === undefined) return null;
  switch (type.typeId) {
    case Type.Decimal:
      return decimal(value as Uint32Array, (type as unknown as { scale: number }).scale);
    case Type.Dictionary:
      return plain(value, (type as unknown as { dictionary: DataType }).dictionary);
    case Type.List:
    case Type.FixedSizeList:
      return Array.from(value as Iterable<unknown>, (v) => plain(v, type.children[0].type));
    case Type.Struct:
      return structValue(value as { toJSON(): Record<string, unknown> }, type);
    case Type.Map:
      return Object.fromEntries(
        Array.from(value as Iterable<[unknown, unknown]>, ([k, v]) => [String(k), simple(v)]),
      );
    case Type.Timestamp:
    case Type.Date:
      return value instanceof Date ? value : new Date(Number(value));
    default:
      return simple(value);
  }
}

function structValue(value: { toJSON(): Record<string, unknown> }, type: DataType): Value {
  const json = value.toJSON();
  return Object.fromEntries(type.children.map((f) => [f.name, plain(json[f.name], f.type)]));
}

function simple(value: unknown): Value {
  switch (typeof value) {
    case "boolean":
    case "number":
    case "bigint":
    case "string":
      return value;
    default:
      return value instanceof Uint8Array ? value.slice() : value === null ? null : String(value);
  }
}

/** 128-bit two's complement words as a bigint, or as a number when there are decimal places. */
function decimal(words: Uint32Array, scale: number): bigint | number {
  let v = 0n;
  for (let i = 3; i >= 0; i--) v = v << 32n | BigInt(words[i] ?? 0);
  if (v >> 127n) v -= 1n << 128n;
  return scale > 0 ? Number(v) / 10 ** scale : v;
}
