/**
 * The side table of checksums: written after the blocks it seals, readable when cut, protected by itself.
 *
 * @module
 */
import { BatchEncoder } from "./body.ts";
import { FixedColumn } from "./columns.ts";
import { crc32c } from "./crc32c.ts";
import { TraceError } from "./errors.ts";
import { BatchTemplate, END_OF_STREAM } from "./ipc.ts";
import { SEAL_KINDS, SEALS, TABLES } from "./schema.ts";
import type { Sink } from "./store.ts";
import { type Block, schemaBlock } from "./writer.ts";

const TABLE_NAMES = [...TABLES.map((t) => t.name), "seals"];
const TEMPLATE = BatchTemplate.forTable(SEALS.columns);
/** The CRC column is the last one: four bytes and four of padding end a row's message. */
const CRC_FROM_END = 8;

/** CRC of a row's message with its own CRC taken as zero. */
function ownCrc(message: Uint8Array): number {
  const copy = message.slice();
  copy.fill(0, copy.length - CRC_FROM_END, copy.length - CRC_FROM_END + 4);
  return crc32c(copy);
}

/** Appends seals. */
export class SealWriter {
  /** Bytes written so far, and their CRC. */
  bytes = 0;
  crc32c = 0;
  readonly #columns = SEALS.columns.map((c) =>
    new FixedColumn(c.type.kind === "uint" ? c.type.bits / 8 : 2, 1)
  );
  readonly #encoder = new BatchEncoder(SEALS.columns, TEMPLATE);
  readonly #mask = new Uint32Array(1);

  /** Writes the header. @throws StorageError when the sink refuses */
  constructor(readonly sink: Sink) {
    this.#write(schemaBlock(SEALS));
  }

  /** Appends the seal of a block. */
  seal(b: Block): void {
    const [table, kind, batch, offset, bytes, rows, crc, icount] = this.#columns;
    table.u16[0] = TABLE_NAMES.indexOf(b.table);
    kind.u16[0] = SEAL_KINDS.indexOf(b.kind);
    batch.setNumber(0, b.batch);
    offset.setNumber(0, b.offset);
    bytes.setNumber(0, b.bytes);
    rows.setNumber(0, b.rows);
    crc.u32[0] = b.crc32c;
    icount.setNumber(0, b.icount);
    const message = this.#encoder.encode(1, this.#columns, this.#mask);
    const at = message.length - CRC_FROM_END;
    new DataView(message.buffer, message.byteOffset).setUint32(at, crc32c(message), true);
    this.#write(message);
  }

  /** Says that every table is complete up to `icount`. */
  commit(icount: number): void {
    const place = { batch: 0, offset: this.bytes, bytes: 0, rows: 0, crc32c: 0 };
    this.seal({ table: "seals", kind: "commit", icount, ...place });
  }

  /** Writes the end of the stream and closes. */
  close(): void {
    this.#write(END_OF_STREAM);
    this.sink.close();
  }

  #write(bytes: Uint8Array): void {
    this.sink.write(bytes);
    this.crc32c = crc32c(bytes, this.crc32c);
    this.bytes += bytes.length;
  }
}

function word(m: Uint8Array, at: number): number {
  return new DataView(m.buffer, m.byteOffset).getUint32(at, true);
}

/** Reads one seal. @throws TraceError when anything in it is not as it was written */
function decode(message: Uint8Array, batch: number, offset: number): Block {
  const bad = (what: string) => new TraceError(what, { table: "seals", batch, offset });
  const shape = TEMPLATE.decode(message);
  if (shape === null || shape.rows !== 1) throw bad("The seal's framing is damaged");
  if (word(message, message.length - CRC_FROM_END) !== ownCrc(message)) {
    throw bad("The seal's checksum does not match");
  }
  const at = SEALS.columns.map((_, i) => {
    const place = shape.buffers[(i * 2 + 1) * 2];
    if (place + 8 > message.length - TEMPLATE.bytes) throw bad("The seal's layout is damaged");
    return TEMPLATE.bytes + place;
  });
  const number = (column: number) => word(message, at[column]) + word(message, at[column] + 4) * 2 ** 32;
  const table = TABLE_NAMES[word(message, at[0]) & 0xffff], kind = SEAL_KINDS[word(message, at[1]) & 0xffff];
  if (table === undefined || kind === undefined) throw bad("The seal names no known table or kind");
  const block: Block = {
    table,
    kind,
    batch: number(2),
    offset: number(3),
    bytes: number(4),
    rows: number(5),
    crc32c: word(message, at[6]),
    icount: number(7),
  };
  if (kind === "commit" && block.offset !== offset) throw bad("The commit does not lie where it says");
  for (const n of [block.batch, block.offset, block.bytes, block.rows, block.icount]) {
    if (!Number.isSafeInteger(n)) throw bad("The seal holds a number beyond all bounds");
  }
  return block;
}

/** What a file of seals says. */
export interface Seals {
  blocks: Block[];
  /** Length of the whole rows, header included: what follows is a row that was cut, or the end of the stream. */
  wholeBytes: number;
}

/**
 * Reads a file of seals as far as it has whole rows.
 * @throws TraceError when a whole row is damaged
 */
export function readSeals(bytes: Uint8Array): Seals {
  const start = schemaBlock(SEALS);
  const common = Math.min(start.length, bytes.length);
  for (let i = 0; i < common; i++) {
    if (bytes[i] !== start[i]) {
      throw new TraceError("The schema of the seals is damaged", { table: "seals", batch: 0, offset: i });
    }
  }
  const blocks: Block[] = [];
  const rowBytes = sealBytes();
  let at = start.length;
  for (; at + rowBytes <= bytes.length; at += rowBytes) {
    blocks.push(decode(bytes.subarray(at, at + rowBytes), blocks.length + 1, at));
  }
  return { blocks, wholeBytes: Math.min(at, bytes.length) };
}

/** Bytes of one seal's message: metadata and one 8-byte word a column. */
export function sealBytes(): number {
  return TEMPLATE.bytes + SEALS.columns.length * 8;
}
