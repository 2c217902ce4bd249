/**
 * A table, view or query as Parquet, zstd-compressed, in row groups that bound how much is in memory.
 *
 * @module
 */
import {
  Compression,
  type RecordBatch,
  Table,
  transformParquetStream,
  writeParquet,
  WriterPropertiesBuilder,
} from "parquet-wasm";
import { END_OF_STREAM } from "../../traces/ipc.ts";
import { concatenate } from "../../traces/writer.ts";
import { identifier } from "../tables.ts";
import type { ExportInput } from "./exporter.ts";

/** Rows of a row group: what is in memory while writing. */
const GROUP_ROWS = 131_072;
/** Pieces of a result (a few thousand rows each) that are converted at a time. */
const PIECES = 16;

/** One table or view. */
export function parquet({ session, table }: ExportInput): AsyncIterable<Uint8Array> {
  return parquetFile(session.arrow(`SELECT * FROM ${identifier(table)}`));
}

/** A Parquet file from a result given as the pieces of one Arrow IPC stream, the first of which is its schema. */
export async function* parquetFile(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const properties = new WriterPropertiesBuilder().setCompression(Compression.ZSTD)
    .setMaxRowGroupSize(GROUP_ROWS).setCreatedBy("retrovisor").build();
  const batches = recordBatches(pieces);
  const first = batches.next();
  if (first.done) {
    yield writeParquet(Table.fromIPCStream(concatenate([first.value, END_OF_STREAM])), properties);
    return;
  }
  const source = new ReadableStream<RecordBatch>({
    start: (controller) => controller.enqueue(first.value),
    pull(controller) {
      try {
        const next = batches.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      } catch (error) {
        controller.error(error);
      }
    },
  });
  yield* await transformParquetStream(source, properties) as ReadableStream<Uint8Array>;
}

/** The batches of a result; returns its schema message, for a result without rows. */
function* recordBatches(pieces: Iterable<Uint8Array>): Generator<RecordBatch, Uint8Array> {
  let schema: Uint8Array | null = null;
  let waiting: Uint8Array[] = [];
  const convert = function* (opening: Uint8Array) {
    const table = Table.fromIPCStream(concatenate([opening, ...waiting, END_OF_STREAM]));
    waiting = [];
    yield* table.recordBatches();
    table.free();
  };
  for (const piece of pieces) {
    if (piece.length === 0) continue;
    if (schema === null) schema = piece.slice();
    else waiting.push(piece.slice());
    if (schema !== null && waiting.length >= PIECES) yield* convert(schema);
  }
  if (schema !== null && waiting.length > 0) yield* convert(schema);
  return schema ?? new Uint8Array();
}
