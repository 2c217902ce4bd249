/**
 * One table of a recording that is open for reading: its sealed blocks and their decoded batches.
 *
 * @module
 */
import { Batch } from "./batch.ts";
import { MAX_DICTIONARY_VALUES } from "./columns.ts";
import { crc32c } from "./crc32c.ts";
import { TraceError } from "./errors.ts";
import { BatchTemplate, END_OF_STREAM } from "./ipc.ts";
import type { TableSpec } from "./schema.ts";
import type { Source } from "./store.ts";
import { type Block, schemaBlock } from "./writer.ts";

/** Most bytes of a block that are read into memory. */
export const BLOCK_BYTES_MAX = 256 * 1024 * 1024;
const VERIFY_CHUNK_BYTES = 1024 * 1024;

/** One table. */
export class TableFile {
  /** All sealed blocks in file order. */
  readonly blocks: Block[] = [];
  /** Rows of all batches. */
  rows = 0;
  readonly #batches: Block[] = [];
  readonly #template: BatchTemplate;
  #dictionaries: (readonly string[] | null)[] | null = null;

  constructor(readonly spec: TableSpec, readonly source: Source) {
    this.#template = BatchTemplate.forTable(spec.columns);
  }

  /** Number of record batches. */
  get batchCount(): number {
    return this.#batches.length;
  }

  /** Rows of a batch, without reading it. */
  batchRows(index: number): number {
    return this.#batches[index].rows;
  }

  #bad(what: string, b: Block): TraceError {
    return new TraceError(what, { table: this.spec.name, batch: b.batch, offset: b.offset });
  }

  /** Takes the seal of the next block. @throws TraceError when it does not follow the one before */
  add(b: Block): void {
    const before = this.blocks.at(-1);
    const expected = before === undefined ? 0 : before.offset + before.bytes;
    if (b.offset !== expected || b.batch !== this.blocks.length || before?.kind === "end") {
      throw this.#bad("The sealed blocks do not follow one another", b);
    }
    if (
      (b.kind === "schema") !== (before === undefined) ||
      (b.kind !== "batch" && b.kind !== "dictionary" && b.rows)
    ) {
      throw this.#bad("The sealed blocks are not in order", b);
    }
    if (b.bytes === 0 || b.bytes > BLOCK_BYTES_MAX) {
      throw this.#bad(`The block cannot have ${b.bytes} bytes`, b);
    }
    this.blocks.push(b);
    if (b.kind !== "batch") return;
    this.#batches.push(b);
    this.rows += b.rows;
  }

  /** Checks all blocks against their seals. @throws TraceError */
  verify(): void {
    for (const b of this.blocks) {
      let crc = 0, done = 0;
      while (done < b.bytes) {
        const chunk = this.source.read(b.offset + done, Math.min(VERIFY_CHUNK_BYTES, b.bytes - done));
        if (chunk.length === 0) throw this.#bad("The file ends inside the block", b);
        crc = crc32c(chunk, crc);
        done += chunk.length;
      }
      if (crc !== b.crc32c) throw this.#bad("The checksum does not match", b);
    }
    this.dictionaries();
  }

  /** Bytes of a block, checked. @throws TraceError */
  read(b: Block): Uint8Array {
    const bytes = this.source.read(b.offset, b.bytes);
    if (bytes.length !== b.bytes) throw this.#bad("The file ends inside the block", b);
    if (crc32c(bytes) !== b.crc32c) throw this.#bad("The checksum does not match", b);
    return bytes;
  }

  /** Bytes of a record batch's message, checked. */
  message(index: number): Uint8Array {
    return this.read(this.#batches[index]);
  }

  /** A decoded batch. @throws TraceError */
  batch(index: number): Batch {
    const block = this.#batches[index];
    const bytes = this.read(block);
    const shape = this.#template.decode(bytes);
    if (shape === null || shape.rows !== block.rows) {
      throw this.#bad("The record batch's metadata is damaged", block);
    }
    const where = { table: this.spec.name, batch: block.batch, offset: block.offset };
    return new Batch(this.spec, shape, bytes.subarray(this.#template.bytes), this.dictionaries(), where);
  }

  /** All batches in order, decoded one at a time. */
  *batches(): Generator<Batch> {
    for (let i = 0; i < this.batchCount; i++) yield this.batch(i);
  }

  /** For every column its dictionary's values, complete; null where there is none. @throws TraceError */
  dictionaries(): readonly (readonly string[] | null)[] {
    if (this.#dictionaries !== null) return this.#dictionaries;
    const values = this.spec.columns.map((c) => c.type.kind === "dictionary" ? [...c.type.values] : null);
    for (const b of this.blocks) {
      if (b.kind === "schema") this.#expect(b, schemaBlock(this.spec));
      else if (b.kind === "end") this.#expect(b, END_OF_STREAM);
      else if (b.kind === "dictionary") this.#delta(b, values);
    }
    return this.#dictionaries = values;
  }

  #expect(b: Block, expected: Uint8Array): void {
    const sound = b.bytes === expected.length && this.read(b).every((byte, i) => byte === expected[i]);
    if (!sound) throw this.#bad(`The ${b.kind} block is not that of the table's format`, b);
  }

  #delta(b: Block, values: (string[] | null)[]): void {
    const bytes = this.read(b);
    for (const [id, column] of this.spec.columns.entries()) {
      const into = values[id];
      if (column.type.kind !== "dictionary" || !column.type.open || into === null) continue;
      const template = BatchTemplate.forDictionary(id, true);
      const shape = template.decode(bytes);
      if (shape === null) continue;
      if (shape.rows !== b.rows || shape.rows + into.length > MAX_DICTIONARY_VALUES) break;
      const where = { table: this.spec.name, batch: b.batch, offset: b.offset };
      const spec = {
        name: "dictionary",
        defaultRows: 1,
        columns: [{ name: "value", type: UTF8, nullBit: -1 }],
      };
      const batch = new Batch(spec, shape, bytes.subarray(template.bytes), [null], where);
      for (let i = 0; i < batch.rows; i++) into.push(batch.text("value", i) ?? "");
      return;
    }
    throw this.#bad("The dictionary block is damaged", b);
  }
}

const UTF8 = { kind: "utf8" } as const;
