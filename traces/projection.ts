/**
 * Some columns of a table: its record batches with the other columns left out, without decoding a value.
 *
 * @module
 */
import { TraceError, type TraceLocation } from "./errors.ts";
import { type BatchShape, BatchTemplate, type ColumnSpec, layoutOf } from "./ipc.ts";
import type { TableSpec } from "./schema.ts";

/** Where a column's parts lie in a batch's shape. */
interface Place {
  node: number;
  nodes: number;
  buffer: number;
  buffers: number;
}

/** A choice of columns of one table. */
export class Projection {
  /** The chosen columns, in the table's order. */
  readonly columns: readonly ColumnSpec[];
  /** Their positions in the table. */
  readonly positions: readonly number[];
  readonly #places: Place[] = [];
  readonly #from: BatchTemplate;
  readonly #to: BatchTemplate;

  /** @param names columns to keep; unknown ones are ignored, and one is always kept: a batch without columns has no rows */
  constructor(spec: TableSpec, names: ReadonlySet<string>) {
    const chosen = spec.columns.map((_, i) => i).filter((i) => names.has(spec.columns[i].name));
    this.positions = chosen.length === 0 ? [0] : chosen;
    this.columns = this.positions.map((i) => spec.columns[i]);
    let node = 0, buffer = 0;
    spec.columns.forEach((c, i) => {
      const { nodes, buffers } = layoutOf(c.type);
      if (this.positions.includes(i)) this.#places.push({ node, nodes, buffer, buffers });
      node += nodes;
      buffer += buffers;
    });
    this.#from = BatchTemplate.forTable(spec.columns);
    this.#to = BatchTemplate.forTable(this.columns);
  }

  /** A record batch's message with the chosen columns only. @throws TraceError when its metadata is damaged */
  apply(message: Uint8Array, where: TraceLocation): Uint8Array {
    const shape = this.#from.decode(message);
    const body = message.subarray(this.#from.bytes);
    if (shape === null || shape.bodyBytes !== body.length) {
      throw new TraceError("The record batch's metadata is damaged", where);
    }
    const kept: BatchShape = {
      rows: shape.rows,
      nodes: new Float64Array(this.#to.nodeCount * 2),
      buffers: new Float64Array(this.#to.bufferCount * 2),
      bodyBytes: 0,
    };
    let node = 0, buffer = 0;
    const sources: Uint8Array[] = [];
    for (const p of this.#places) {
      kept.nodes.set(shape.nodes.subarray(p.node * 2, (p.node + p.nodes) * 2), node);
      node += p.nodes * 2;
      for (let b = p.buffer; b < p.buffer + p.buffers; b++) {
        const at = shape.buffers[b * 2], bytes = shape.buffers[b * 2 + 1];
        if (at + bytes > body.length) throw new TraceError("The batch's buffers are damaged", where);
        kept.buffers[buffer++] = kept.bodyBytes;
        kept.buffers[buffer++] = bytes;
        kept.bodyBytes += Math.ceil(bytes / 8) * 8;
        sources.push(body.subarray(at, at + bytes));
      }
    }
    const out = new Uint8Array(this.#to.bytes + kept.bodyBytes);
    this.#to.encode(out, kept);
    sources.forEach((s, i) => out.set(s, this.#to.bytes + kept.buffers[i * 2]));
    return out;
  }
}
