/**
 * Column storage while a batch fills up: preallocated typed arrays, reused from batch to batch.
 *
 * @module
 */
import type { ColumnSpec, ColumnType, ItemField } from "./ipc.ts";
import { OTHER_NAME } from "./schema.ts";

/** Most values an open dictionary may hold, and most characters of one value: guests choose some of them. */
export const MAX_DICTIONARY_VALUES = 4096, MAX_NAME_LENGTH = 128;

/** Bytes of one value of a fixed-width type; 0 for the others. */
export function widthOf(type: ColumnType): number {
  switch (type.kind) {
    case "uint":
    case "int":
      return type.bits / 8;
    case "dictionary":
      return 2;
    case "fixed":
      return type.bytes;
    default:
      return 0;
  }
}

/** Values of one width, by row. The typed views may be written directly. */
export class FixedColumn {
  readonly bytes: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;

  constructor(readonly width: number, rows: number) {
    const buffer = new ArrayBuffer(Math.ceil(width * rows / 8) * 8);
    this.bytes = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
  }

  /** Sets a 64-bit value from a non-negative safe integer. */
  setNumber(row: number, value: number): void {
    const lo = value >>> 0;
    this.u32[row * 2] = lo;
    this.u32[row * 2 + 1] = (value - lo) / 0x1_0000_0000;
  }

  /** Sets a 64-bit value from two words. */
  setWords(row: number, lo: number, hi: number): void {
    this.u32[row * 2] = lo;
    this.u32[row * 2 + 1] = hi;
  }

  /** Sets a value of any width from its bytes. */
  setBytes(row: number, value: Uint8Array): void {
    if (value.length !== this.width) {
      throw new RangeError(`Cannot set a value of ${this.width} bytes: ${value.length} bytes given`);
    }
    this.bytes.set(value, row * this.width);
  }
}

/** Values of varying length, by row, appended in order. */
export class VariableColumn {
  /** Where each row's bytes end is where the next one's begin; `rows + 1` entries. */
  readonly offsets: Int32Array;
  bytes = new Uint8Array(4096);
  used = 0;

  constructor(rows: number) {
    this.offsets = new Int32Array(rows + 1);
  }

  #room(more: number): void {
    if (this.used + more <= this.bytes.length) return;
    const bigger = new Uint8Array(Math.max(this.bytes.length * 2, this.used + more));
    bigger.set(this.bytes.subarray(0, this.used));
    this.bytes = bigger;
  }

  /** Sets the value of the row being filled. */
  set(row: number, value: Uint8Array | null): void {
    if (value !== null) {
      this.#room(value.length);
      this.bytes.set(value, this.used);
      this.used += value.length;
    }
    this.offsets[row + 1] = this.used;
  }

  /** Sets the value of the row being filled to the UTF-8 encoding of a string. */
  setText(row: number, value: string): void {
    this.#room(value.length * 3);
    this.used += new TextEncoder().encodeInto(value, this.bytes.subarray(this.used)).written;
    this.offsets[row + 1] = this.used;
  }
}

/** Lists of integers or of structs of integers, by row, appended in order. */
export class ListColumn {
  readonly offsets: Int32Array;
  readonly fields: readonly ItemField[];
  /** Item values, one column a field. */
  items: FixedColumn[];
  used = 0;
  #capacity = 1024;

  constructor(items: "uint64" | readonly ItemField[], rows: number) {
    this.offsets = new Int32Array(rows + 1);
    this.fields = items === "uint64" ? [{ name: "item", bits: 64 }] : items;
    this.items = this.fields.map((f) => new FixedColumn(f.bits / 8, this.#capacity));
  }

  /** Makes place for one more item. @returns its index in `items` */
  push(): number {
    if (this.used === this.#capacity) {
      this.#capacity *= 2;
      this.items = this.items.map((old) => {
        const bigger = new FixedColumn(old.width, this.#capacity);
        bigger.bytes.set(old.bytes);
        return bigger;
      });
    }
    return this.used++;
  }

  /** Ends the list of the row being filled. */
  end(row: number): void {
    this.offsets[row + 1] = this.used;
  }
}

/** Values of a dictionary and their indexes; bounded. */
export class Dictionary {
  readonly values: string[];
  readonly #index: Map<string, number>;
  /** How many values the file has already. */
  written = 0;

  constructor(initial: readonly string[], readonly open: boolean) {
    this.values = [...initial];
    this.#index = new Map(this.values.map((v, i) => [v, i]));
  }

  /** Index of a value, adding it when it is new and there is room; index of "(other)" when there is not. */
  index(value: string): number {
    const known = this.#index.get(value);
    if (known !== undefined) return known;
    if (!this.open) {
      throw new RangeError(`Cannot record ${value}: it is not one of ${this.values.join(", ")}`);
    }
    if (this.values.length >= MAX_DICTIONARY_VALUES || value.length > MAX_NAME_LENGTH) {
      return this.#index.get(OTHER_NAME) ?? 0;
    }
    this.#index.set(value, this.values.length);
    return this.values.push(value) - 1;
  }
}

/** Storage of any column. */
export type ColumnBuffer = FixedColumn | VariableColumn | ListColumn;

/** Storage for a column of a table whose batches have at most `rows` rows. */
export function columnBuffer(spec: ColumnSpec, rows: number): ColumnBuffer {
  if (spec.type.kind === "list") return new ListColumn(spec.type.items, rows);
  const width = widthOf(spec.type);
  return width === 0 ? new VariableColumn(rows) : new FixedColumn(width, rows);
}
