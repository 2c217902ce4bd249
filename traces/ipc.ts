/**
 * Arrow IPC messages (Arrow columnar format, "Serialization and Interprocess Communication"; `Message.fbs`,
 * `Schema.fbs`), metadata version V5, little-endian, uncompressed.
 *
 * For a given schema every message has metadata of one fixed shape in which only numbers vary. Writing patches a
 * template; reading insists on the template, so that no offset of a hostile file is ever followed.
 *
 * @module
 */
import { FlatBuffer, i16, i32, i64, type Slot, u8 } from "./flatbuffer.ts";

/** Width of an unsigned integer column in bits. */
export type Bits = 8 | 16 | 32 | 64;

/** A named integer inside a list's struct. */
export interface ItemField {
  readonly name: string;
  readonly bits: Bits;
}

/** Type of a column. */
export type ColumnType =
  | { readonly kind: "uint"; readonly bits: Bits }
  | { readonly kind: "int"; readonly bits: 64 }
  /** utf8 values by int16 index; `values` are there from the start, `open` ones may follow. */
  | { readonly kind: "dictionary"; readonly values: readonly string[]; readonly open: boolean }
  | { readonly kind: "utf8" }
  | { readonly kind: "binary" }
  | { readonly kind: "fixed"; readonly bytes: number }
  /** List of uint64, or of structs. */
  | { readonly kind: "list"; readonly items: "uint64" | readonly ItemField[] };

/** One column. */
export interface ColumnSpec {
  readonly name: string;
  readonly type: ColumnType;
  /** Position among the nullable columns (a bit of the row's validity mask), or -1. */
  readonly nullBit: number;
}

const VERSION_V5 = 4;
const HEADER = { schema: 1, dictionary: 2, batch: 3 } as const;
const TYPE = { int: 2, binary: 4, utf8: 5, list: 12, struct: 13, fixed: 15 } as const;

/** Bytes of the end-of-stream marker. */
export const END_OF_STREAM: Uint8Array = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);

/** Bytes before the metadata: continuation marker and metadata length. */
export const PREFIX_BYTES = 8;

function message(header: number, body: Slot[], bodyLength: Slot): Uint8Array {
  const metadata = FlatBuffer.root([i16(VERSION_V5), u8(header), FlatBuffer.table(body), bodyLength]);
  const out = new Uint8Array(PREFIX_BYTES + metadata.length);
  new DataView(out.buffer).setInt32(0, -1, true);
  new DataView(out.buffer).setInt32(4, metadata.length, true);
  out.set(metadata, PREFIX_BYTES);
  return out;
}

function intType(bits: number, signed: boolean): Slot[] {
  return [i32(bits), u8(signed ? 1 : 0)];
}

function field(
  name: string,
  nullable: boolean,
  type: number,
  body: Slot[],
  dictionary: Slot,
  children: Slot[][],
) {
  return [
    FlatBuffer.string(name),
    u8(nullable ? 1 : 0),
    u8(type),
    FlatBuffer.table(body),
    dictionary,
    FlatBuffer.tables(children),
  ];
}

function fieldOf(c: ColumnSpec, dictionaryId: number): Slot[] {
  const { name, type } = c, nullable = c.nullBit >= 0;
  const make = (t: number, body: Slot[], children: Slot[][] = []) =>
    field(name, nullable, t, body, null, children);
  switch (type.kind) {
    case "uint":
      return make(TYPE.int, intType(type.bits, false));
    case "int":
      return make(TYPE.int, intType(type.bits, true));
    case "utf8":
      return make(TYPE.utf8, []);
    case "binary":
      return make(TYPE.binary, []);
    case "fixed":
      return make(TYPE.fixed, [i32(type.bytes)]);
    case "dictionary": {
      const encoding = FlatBuffer.table([i64(dictionaryId), FlatBuffer.table(intType(16, true)), u8(0)]);
      return field(name, nullable, TYPE.utf8, [], encoding, []);
    }
    case "list": {
      const uint = (n: string, bits: number) => field(n, false, TYPE.int, intType(bits, false), null, []);
      if (type.items === "uint64") return make(TYPE.list, [], [uint("item", 64)]);
      const children = type.items.map((i) => uint(i.name, i.bits));
      return make(TYPE.list, [], [field("item", false, TYPE.struct, [], null, children)]);
    }
  }
}

/** Schema message of a table: framing and metadata. Dictionary ids are the columns' positions. */
export function schemaMessage(columns: readonly ColumnSpec[]): Uint8Array {
  return message(HEADER.schema, [i16(0), FlatBuffer.tables(columns.map(fieldOf))], null);
}

/** Field nodes and buffers that columns of a type have in a record batch. */
export function layoutOf(type: ColumnType): { nodes: number; buffers: number } {
  switch (type.kind) {
    case "utf8":
    case "binary":
      return { nodes: 1, buffers: 3 };
    case "list":
      // List: validity, offsets. Struct: validity. Each integer: validity, data.
      return type.items === "uint64"
        ? { nodes: 2, buffers: 4 }
        : { nodes: 2 + type.items.length, buffers: 3 + 2 * type.items.length };
    default:
      return { nodes: 1, buffers: 2 };
  }
}

/** What varies in a record batch or dictionary batch. */
export interface BatchShape {
  rows: number;
  /** Length and null count of each field node, in pairs. */
  nodes: Float64Array;
  /** Offset in the body and length of each buffer, in pairs. */
  buffers: Float64Array;
  bodyBytes: number;
}

/** Metadata of a record batch or dictionary batch, with holes for its numbers. */
export class BatchTemplate {
  /** Framing and metadata; the body follows it. */
  readonly bytes: number;
  readonly nodeCount: number;
  readonly bufferCount: number;
  readonly #template: Uint8Array;
  readonly #rowsAt: number;
  readonly #bodyAt: number;
  #nodesAt = 0;
  #buffersAt = 0;

  private constructor(header: number, nodes: number, buffers: number, wrap: (batch: Slot[]) => Slot[]) {
    this.nodeCount = nodes;
    this.bufferCount = buffers;
    const batch = (rows: number): Slot[] => [
      i64(rows),
      FlatBuffer.longPairs(nodes, (at) => this.#nodesAt = at + PREFIX_BYTES),
      FlatBuffer.longPairs(buffers, (at) => this.#buffersAt = at + PREFIX_BYTES),
    ];
    this.#template = message(header, wrap(batch(0)), i64(0));
    this.bytes = this.#template.length;
    // Where the two scalars lie is found by encoding them differently once.
    const rowsSet = message(header, wrap(batch(1)), i64(0)),
      bodySet = message(header, wrap(batch(0)), i64(1));
    this.#rowsAt = this.#template.findIndex((b, i) => b !== rowsSet[i]);
    this.#bodyAt = this.#template.findIndex((b, i) => b !== bodySet[i]);
  }

  /** Template for record batches of a table. */
  static forTable(columns: readonly ColumnSpec[]): BatchTemplate {
    let nodes = 0, buffers = 0;
    for (const c of columns) {
      const l = layoutOf(c.type);
      nodes += l.nodes;
      buffers += l.buffers;
    }
    return new BatchTemplate(HEADER.batch, nodes, buffers, (batch) => batch);
  }

  /** Template for batches of utf8 values of one dictionary. */
  static forDictionary(id: number, isDelta: boolean): BatchTemplate {
    const wrap = (batch: Slot[]) => [i64(id), FlatBuffer.table(batch), u8(isDelta ? 1 : 0)];
    return new BatchTemplate(HEADER.dictionary, 1, 3, wrap);
  }

  /** Writes framing and metadata to the start of `out`. */
  encode(out: Uint8Array, shape: BatchShape): void {
    out.set(this.#template);
    const v = new DataView(out.buffer, out.byteOffset, this.bytes);
    put64(v, this.#rowsAt, shape.rows);
    put64(v, this.#bodyAt, shape.bodyBytes);
    for (let i = 0; i < this.nodeCount * 2; i++) put64(v, this.#nodesAt + i * 8, shape.nodes[i]);
    for (let i = 0; i < this.bufferCount * 2; i++) put64(v, this.#buffersAt + i * 8, shape.buffers[i]);
  }

  /** Reads what varies; null when the bytes are not this template's. Every number is below 2^53, no more is promised. */
  decode(bytes: Uint8Array): BatchShape | null {
    if (bytes.length < this.bytes) return null;
    const v = new DataView(bytes.buffer, bytes.byteOffset, this.bytes);
    const shape: BatchShape = {
      rows: get64(v, this.#rowsAt),
      nodes: new Float64Array(this.nodeCount * 2),
      buffers: new Float64Array(this.bufferCount * 2),
      bodyBytes: get64(v, this.#bodyAt),
    };
    for (let i = 0; i < this.nodeCount * 2; i++) shape.nodes[i] = get64(v, this.#nodesAt + i * 8);
    for (let i = 0; i < this.bufferCount * 2; i++) shape.buffers[i] = get64(v, this.#buffersAt + i * 8);
    // Encoding what was read must give the same bytes: anything outside the holes differs otherwise.
    const again = new Uint8Array(this.bytes);
    this.encode(again, shape);
    for (let i = 0; i < this.bytes; i++) if (again[i] !== bytes[i]) return null;
    return shape;
  }
}

function put64(v: DataView, at: number, value: number): void {
  v.setUint32(at, value >>> 0, true);
  v.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

function get64(v: DataView, at: number): number {
  return v.getUint32(at, true) + v.getUint32(at + 4, true) * 2 ** 32;
}
