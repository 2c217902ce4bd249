/**
 * Writes one table as an Arrow IPC stream, in blocks that are sealed one by one.
 *
 * @module
 */
import { BatchEncoder } from "./body.ts";
import {
  type ColumnBuffer,
  columnBuffer,
  Dictionary,
  FixedColumn,
  ListColumn,
  VariableColumn,
} from "./columns.ts";
import { crc32c } from "./crc32c.ts";
import { BatchTemplate, END_OF_STREAM, schemaMessage } from "./ipc.ts";
import { columnIndex, type SEAL_KINDS, type TableSpec } from "./schema.ts";
import type { Sink } from "./store.ts";

/** A block that was written: what a row of `seals` says about it. */
export interface Block {
  table: string;
  kind: typeof SEAL_KINDS[number];
  /** Position among the blocks of its table, from 0 (the schema). */
  batch: number;
  offset: number;
  bytes: number;
  rows: number;
  crc32c: number;
  icount: number;
}

/** Bytes of variable-length values after which a batch is written although it has not all its rows. */
const VARIABLE_BYTES_MAX = 4 * 1024 * 1024;
/** What a list item is reckoned at. */
const LIST_ITEM_BYTES = 16;

const DICTIONARY_VALUE_COLUMN = [{ name: "value", type: { kind: "utf8" }, nullBit: -1 }] as const;

/** Encodes values `[from, to)` of a dictionary as a dictionary batch, a delta when `from` is above 0. */
export function dictionaryMessage(id: number, values: readonly string[], from: number): Uint8Array {
  const column = new VariableColumn(values.length - from);
  values.slice(from).forEach((v, i) => column.setText(i, v));
  const encoder = new BatchEncoder(DICTIONARY_VALUE_COLUMN, BatchTemplate.forDictionary(id, from > 0));
  return encoder.encode(values.length - from, [column], new Uint32Array(values.length - from)).slice();
}

/** First block of a table's file: the schema and, for every dictionary, the values known beforehand. */
export function schemaBlock(spec: TableSpec): Uint8Array {
  const parts = [schemaMessage(spec.columns)];
  spec.columns.forEach((c, id) => {
    if (c.type.kind === "dictionary") parts.push(dictionaryMessage(id, c.type.values, 0));
  });
  return concatenate(parts);
}

/** One table being written. Fill the columns at `row`, then call `endRow`. */
export class TableWriter {
  /** Row being filled. */
  row = 0;
  /** icount up to which the rows appended so far reach; goes into the seals. */
  icount = 0;
  /** Rows appended so far, in all batches. */
  rows = 0;
  readonly #masks: Uint32Array;
  readonly #columns: ColumnBuffer[];
  /** Those of them that grow. */
  readonly #variable: (VariableColumn | ListColumn)[];
  readonly #dictionaries: (Dictionary | null)[];
  readonly #encoder: BatchEncoder;
  #offset = 0;
  #blocks = 0;
  #closed = false;

  /**
   * Writes the schema block at once.
   * @param onBlock called after each block is in the sink
   * @param capacity rows of a full batch
   * @throws StorageError when the sink refuses
   */
  constructor(
    readonly spec: TableSpec,
    readonly sink: Sink,
    readonly onBlock: (b: Block) => void,
    readonly capacity: number = spec.defaultRows,
  ) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 1 << 20) {
      throw new RangeError(`Cannot write batches of ${capacity} rows: from 1 to 1048576 are possible`);
    }
    this.#masks = new Uint32Array(capacity);
    this.#columns = spec.columns.map((c) => columnBuffer(c, capacity));
    this.#variable = this.#columns.filter((c): c is VariableColumn | ListColumn =>
      !(c instanceof FixedColumn)
    );
    this.#dictionaries = spec.columns.map((c) =>
      c.type.kind === "dictionary" ? new Dictionary(c.type.values, c.type.open) : null
    );
    this.#encoder = new BatchEncoder(spec.columns, BatchTemplate.forTable(spec.columns));
    this.#writeSchema();
  }

  /** Storage of a fixed-width column. */
  fixed(column: string): FixedColumn {
    const c = this.#columns[columnIndex(this.spec, column)];
    if (!(c instanceof FixedColumn)) {
      throw new TypeError(`Cannot use column ${column} as fixed-width: it is not`);
    }
    return c;
  }

  /** Storage of a utf8 or binary column. */
  variable(column: string): VariableColumn {
    const c = this.#columns[columnIndex(this.spec, column)];
    if (!(c instanceof VariableColumn)) {
      throw new TypeError(`Cannot use column ${column} as variable: it is not`);
    }
    return c;
  }

  /** Storage of a list column. */
  list(column: string): ListColumn {
    const c = this.#columns[columnIndex(this.spec, column)];
    if (!(c instanceof ListColumn)) throw new TypeError(`Cannot use column ${column} as a list: it is not`);
    return c;
  }

  /** Dictionary of a column; its indexes go into the column's `u16`. */
  dictionary(column: string): Dictionary {
    const d = this.#dictionaries[columnIndex(this.spec, column)];
    if (d === null) throw new TypeError(`Cannot use column ${column} as a dictionary: it is not`);
    return d;
  }

  /** Bit of a column in row masks; 0 for one that is never null. */
  bit(column: string): number {
    const bit = this.spec.columns[columnIndex(this.spec, column)].nullBit;
    return bit < 0 ? 0 : 1 << bit;
  }

  /**
   * Ends the row being filled, and writes the batch when it is full.
   * @param mask which nullable columns have a value
   */
  endRow(mask = 0): void {
    this.#masks[this.row++] = mask;
    this.rows++;
    if (this.row === this.capacity) this.flush();
    else if (this.#variable.length > 0 && this.#variableBytes() > VARIABLE_BYTES_MAX) this.flush();
  }

  /** Writes the rows that wait, if any. @throws StorageError when the sink refuses */
  flush(): void {
    if (this.row === 0) return;
    this.#dictionaries.forEach((d, id) => {
      if (d === null || d.written === d.values.length) return;
      const added = d.values.length - d.written;
      this.#write("dictionary", added, dictionaryMessage(id, d.values, d.written));
      d.written = d.values.length;
    });
    const rows = this.row;
    const message = this.#encoder.encode(rows, this.#columns, this.#masks);
    this.row = 0;
    for (const c of this.#variable) c.used = 0;
    this.#write("batch", rows, message);
  }

  /** Writes the rows that wait and the end of the stream, and closes the sink. */
  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#write("end", 0, END_OF_STREAM);
    this.abandon();
  }

  /** Closes the sink and writes nothing more. */
  abandon(): void {
    if (!this.#closed) this.sink.close();
    this.#closed = true;
  }

  #variableBytes(): number {
    let n = 0;
    for (const c of this.#variable) n += c instanceof VariableColumn ? c.used : c.used * LIST_ITEM_BYTES;
    return n;
  }

  #writeSchema(): void {
    for (const d of this.#dictionaries) if (d !== null) d.written = d.values.length;
    this.#write("schema", 0, schemaBlock(this.spec));
  }

  #write(kind: Block["kind"], rows: number, bytes: Uint8Array): void {
    const block = {
      table: this.spec.name,
      kind,
      batch: this.#blocks,
      offset: this.#offset,
      bytes: bytes.length,
      rows,
      crc32c: crc32c(bytes),
      icount: this.icount,
    };
    this.sink.write(bytes);
    this.#offset += bytes.length;
    this.#blocks++;
    this.onBlock(block);
  }
}

/** One array of the bytes of several. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
