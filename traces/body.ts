/**
 * Lays column buffers out as the body of an Arrow record batch: buffers one after another, each 8-byte aligned.
 *
 * All-null columns share one region of zeros at the end of the body, so a column that seldom applies costs nothing.
 *
 * @module
 */
import { type ColumnBuffer, FixedColumn, ListColumn, VariableColumn, widthOf } from "./columns.ts";
import { type BatchShape, type BatchTemplate, type ColumnSpec, layoutOf } from "./ipc.ts";

/** Builds messages (metadata and body) in one reused buffer. */
export class BatchEncoder {
  #out = new Uint8Array(64 * 1024);
  #length = 0;
  #start = 0;
  #node = 0;
  #buffer = 0;
  #zeros = 0;
  /** Positions in `#shape.buffers` of buffers that lie in the region of zeros. */
  readonly #shared: number[] = [];
  readonly #shape: BatchShape;

  constructor(readonly columns: readonly ColumnSpec[], readonly template: BatchTemplate) {
    this.#shape = {
      rows: 0,
      nodes: new Float64Array(template.nodeCount * 2),
      buffers: new Float64Array(template.bufferCount * 2),
      bodyBytes: 0,
    };
  }

  /**
   * Encodes one batch.
   * @param masks bit n of a row's mask: nullable column n has a value
   * @returns a view of the encoder's own buffer, valid until the next call
   */
  encode(rows: number, buffers: readonly ColumnBuffer[], masks: Uint32Array): Uint8Array {
    this.#start = this.#length = this.template.bytes;
    this.#node = this.#buffer = this.#zeros = 0;
    this.#shared.length = 0;
    let all = -1, any = 0;
    for (let i = 0; i < rows; i++) {
      all &= masks[i];
      any |= masks[i];
    }
    this.columns.forEach((c, i) => {
      const full = c.nullBit < 0 || (all >>> c.nullBit & 1) === 1;
      if (!full && !(any >>> c.nullBit & 1) && rows > 0) this.#allNull(c, rows);
      else this.#column(buffers[i], rows, full ? null : masks, c.nullBit);
    });
    const zerosAt = this.#reserve(this.#zeros);
    this.#out.fill(0, zerosAt, this.#length);
    for (const at of this.#shared) this.#shape.buffers[at] = zerosAt - this.#start;
    this.#shape.rows = rows;
    this.#shape.bodyBytes = this.#length - this.#start;
    this.template.encode(this.#out, this.#shape);
    return this.#out.subarray(0, this.#length);
  }

  #reserve(bytes: number): number {
    const at = this.#length;
    this.#length += Math.ceil(bytes / 8) * 8;
    if (this.#length > this.#out.length) {
      const bigger = new Uint8Array(this.#length * 2);
      bigger.set(this.#out.subarray(0, at));
      this.#out = bigger;
    }
    return at;
  }

  #addNode(length: number, nulls: number): void {
    this.#shape.nodes[this.#node++] = length;
    this.#shape.nodes[this.#node++] = nulls;
  }

  /** Adds a buffer; its padding is zeroed. */
  #addBuffer(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#out.set(bytes, at);
    this.#out.fill(0, at + bytes.length, this.#length);
    this.#shape.buffers[this.#buffer++] = at - this.#start;
    this.#shape.buffers[this.#buffer++] = bytes.length;
  }

  #addEmpty(): void {
    this.#shape.buffers[this.#buffer++] = this.#length - this.#start;
    this.#shape.buffers[this.#buffer++] = 0;
  }

  #addZeros(bytes: number): void {
    this.#zeros = Math.max(this.#zeros, bytes);
    this.#shared.push(this.#buffer);
    this.#buffer++;
    this.#shape.buffers[this.#buffer++] = bytes;
  }

  /** Validity: absent when nothing is null. */
  #validity(rows: number, masks: Uint32Array | null, bit: number): void {
    if (masks === null) {
      this.#addNode(rows, 0);
      return this.#addEmpty();
    }
    const bytes = Math.ceil(rows / 8), at = this.#reserve(bytes);
    this.#out.fill(0, at, this.#length);
    let valid = 0, byte = 0;
    for (let i = 0; i < rows; i++) {
      const b = masks[i] >>> bit & 1;
      valid += b;
      byte |= b << (i & 7);
      if ((i & 7) === 7 || i === rows - 1) {
        this.#out[at + (i >>> 3)] = byte;
        byte = 0;
      }
    }
    this.#addNode(rows, rows - valid);
    this.#shape.buffers[this.#buffer++] = at - this.#start;
    this.#shape.buffers[this.#buffer++] = bytes;
  }

  #allNull(c: ColumnSpec, rows: number): void {
    this.#addNode(rows, rows);
    this.#addZeros(Math.ceil(rows / 8));
    if (layoutOf(c.type).buffers === 2) return this.#addZeros(rows * widthOf(c.type));
    this.#addZeros((rows + 1) * 4);
    this.#addEmpty();
  }

  #column(column: ColumnBuffer, rows: number, masks: Uint32Array | null, bit: number): void {
    this.#validity(rows, masks, bit);
    if (column instanceof FixedColumn) return this.#addBuffer(column.bytes.subarray(0, rows * column.width));
    this.#addBuffer(new Uint8Array(column.offsets.buffer, 0, (rows + 1) * 4));
    if (column instanceof VariableColumn) return this.#addBuffer(column.bytes.subarray(0, column.used));
    this.#list(column);
  }

  #list(column: ListColumn): void {
    if (column.items.length > 1) {
      this.#addNode(column.used, 0);
      this.#addEmpty();
    }
    for (const item of column.items) {
      this.#addNode(column.used, 0);
      this.#addEmpty();
      this.#addBuffer(item.bytes.subarray(0, column.used * item.width));
    }
  }
}
