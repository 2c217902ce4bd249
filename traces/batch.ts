/**
 * A decoded record batch. Everything that a hostile file could choose is checked before it is used.
 *
 * @module
 */
import { widthOf } from "./columns.ts";
import { hex } from "./hex.ts";
import { TraceError, type TraceLocation } from "./errors.ts";
import { type BatchShape, type ColumnSpec, type ItemField } from "./ipc.ts";
import { columnIndex, type TableSpec } from "./schema.ts";

/** Most rows of a batch. */
const ROWS_MAX = 1 << 20;

/** Values of one column of a batch. */
export interface ColumnView {
  /** Null when no row is null; otherwise bit `row & 7` of byte `row >> 3` is set where there is a value. */
  validity: Uint8Array | null;
  /** Fixed-width values, or the bytes of variable-length ones. */
  bytes: Uint8Array;
  /** `bytes` as words; empty when the width is below 4. */
  u32: Uint32Array;
  u16: Uint16Array;
  /** `rows + 1` offsets into `bytes` or into the items; empty for fixed-width columns. */
  offsets: Int32Array;
  /** Items of a list column, one view a field. */
  items: ColumnView[];
}

/** One record batch. */
export class Batch {
  readonly rows: number;
  readonly columns: ColumnView[];
  readonly #body: Uint8Array;
  readonly #shape: BatchShape;
  #node = 0;
  #buffer = 0;

  /**
   * @param body what follows the metadata; starts 8-byte aligned in its buffer
   * @throws TraceError when lengths, offsets or indexes are not sound
   */
  constructor(
    readonly spec: TableSpec,
    shape: BatchShape,
    body: Uint8Array,
    readonly dictionaries: readonly (readonly string[] | null)[],
    readonly where: TraceLocation,
  ) {
    this.rows = shape.rows;
    this.#body = body;
    this.#shape = shape;
    if (shape.rows > ROWS_MAX || shape.bodyBytes !== body.length) {
      throw this.#bad("The batch's size is damaged");
    }
    this.columns = spec.columns.map((c, i) => this.#column(c, i));
  }

  #bad(what: string): TraceError {
    return new TraceError(what, this.where);
  }

  #nodeLength(expected: number): number {
    const length = this.#shape.nodes[this.#node++], nulls = this.#shape.nodes[this.#node++];
    if (length !== expected || nulls > length) throw this.#bad("A column's length is damaged");
    return nulls;
  }

  #next(least: number): Uint8Array {
    const offset = this.#shape.buffers[this.#buffer++], length = this.#shape.buffers[this.#buffer++];
    if (offset % 8 !== 0 || length < least || offset + length > this.#body.length) {
      throw this.#bad("A column's place is damaged");
    }
    return this.#body.subarray(offset, offset + length);
  }

  #validity(rows: number, nullable: boolean): Uint8Array | null {
    const nulls = this.#nodeLength(rows);
    if (nulls > 0 && !nullable) throw this.#bad("A column that is never null has nulls");
    const bytes = this.#next(nulls > 0 ? Math.ceil(rows / 8) : 0);
    return nulls > 0 ? bytes : null;
  }

  #offsets(): Int32Array {
    const bytes = this.#next((this.rows + 1) * 4);
    const offsets = new Int32Array(bytes.buffer, bytes.byteOffset, this.rows + 1);
    let before = 0;
    for (let i = 0; i <= this.rows; i++) {
      if (offsets[i] < before || (i === 0 && offsets[0] !== 0)) {
        throw this.#bad("A column's offsets are damaged");
      }
      before = offsets[i];
    }
    return offsets;
  }

  #column(c: ColumnSpec, index: number): ColumnView {
    const validity = this.#validity(this.rows, c.nullBit >= 0);
    if (c.type.kind === "list") return this.#list(c.type.items, validity);
    const width = widthOf(c.type);
    if (width === 0) {
      const offsets = this.#offsets();
      return view(this.#next(offsets[this.rows]), validity, offsets);
    }
    const column = view(this.#next(this.rows * width), validity);
    if (c.type.kind === "dictionary") this.#checkIndexes(column, this.dictionaries[index]?.length ?? 0);
    return column;
  }

  #list(fields: "uint64" | readonly ItemField[], validity: Uint8Array | null): ColumnView {
    const offsets = this.#offsets(), count = offsets[this.rows];
    const widths = fields === "uint64" ? [8] : fields.map((f) => f.bits / 8);
    if (fields !== "uint64") this.#validity(count, false);
    const column = view(new Uint8Array(), validity, offsets);
    column.items = widths.map((w) => {
      const nulls = this.#validity(count, false);
      return view(this.#next(count * w), nulls);
    });
    return column;
  }

  #checkIndexes(c: ColumnView, values: number): void {
    for (let i = 0; i < this.rows; i++) {
      if (c.u16[i] >= values && !isNull(c, i)) throw this.#bad("A dictionary index is out of range");
    }
  }

  /** View of a column. */
  column(name: string): ColumnView {
    return this.columns[columnIndex(this.spec, name)];
  }

  /** Unsigned integer of column `i` as a number (exact below 2^53); -1 for null. */
  numberAt(i: number, row: number): number {
    const c = this.columns[i];
    if (isNull(c, row)) return -1;
    switch (widthOf(this.spec.columns[i].type)) {
      case 1:
        return c.bytes[row];
      case 2:
        return c.u16[row];
      case 4:
        return c.u32[row];
      default:
        return c.u32[row * 2] + c.u32[row * 2 + 1] * 0x1_0000_0000;
    }
  }

  /** 64-bit integer of column `i`, signed if the column is; null for null. */
  bigintAt(i: number, row: number): bigint | null {
    const c = this.columns[i];
    if (isNull(c, row)) return null;
    const raw = BigInt(c.u32[row * 2]) | BigInt(c.u32[row * 2 + 1]) << 32n;
    return this.spec.columns[i].type.kind === "int" ? BigInt.asIntN(64, raw) : raw;
  }

  /** Bytes of a binary or fixed-size value of column `i` (a view); empty for null. */
  bytesAt(i: number, row: number): Uint8Array {
    const c = this.columns[i], width = widthOf(this.spec.columns[i].type);
    return width > 0
      ? c.bytes.subarray(row * width, (row + 1) * width)
      : c.bytes.subarray(c.offsets[row], c.offsets[row + 1]);
  }

  /** Text of a utf8 or dictionary value of column `i`; null for null. */
  textAt(i: number, row: number): string | null {
    const c = this.columns[i];
    if (isNull(c, row)) return null;
    const dictionary = this.dictionaries[i];
    if (dictionary !== null) return dictionary[c.u16[row]];
    return new TextDecoder().decode(c.bytes.subarray(c.offsets[row], c.offsets[row + 1]));
  }

  /** Value of any column, for display. */
  showAt(i: number, row: number): string {
    const type = this.spec.columns[i].type;
    if (isNull(this.columns[i], row)) return "null";
    if (type.kind === "dictionary" || type.kind === "utf8") return this.textAt(i, row) ?? "null";
    if (type.kind !== "uint" && type.kind !== "int") return hex(this.bytesAt(i, row).subarray(0, 64));
    return String(type.bits === 64 ? this.bigintAt(i, row) : this.numberAt(i, row));
  }

  /** @see numberAt */
  number(name: string, row: number): number {
    return this.numberAt(columnIndex(this.spec, name), row);
  }
  /** @see bigintAt */
  bigint(name: string, row: number): bigint | null {
    return this.bigintAt(columnIndex(this.spec, name), row);
  }
  /** @see bytesAt */
  bytes(name: string, row: number): Uint8Array {
    return this.bytesAt(columnIndex(this.spec, name), row);
  }
  /** @see textAt */
  text(name: string, row: number): string | null {
    return this.textAt(columnIndex(this.spec, name), row);
  }
}

/** True when a row has no value. */
export function isNull(c: ColumnView, row: number): boolean {
  return c.validity !== null && (c.validity[row >>> 3] >>> (row & 7) & 1) === 0;
}

function view(
  bytes: Uint8Array,
  validity: Uint8Array | null,
  offsets: Int32Array = new Int32Array(),
): ColumnView {
  return {
    validity,
    bytes,
    u32: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2),
    u16: new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1),
    offsets,
    items: [],
  };
}
