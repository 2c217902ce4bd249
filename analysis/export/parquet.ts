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
export function parquetFile(pieces: Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return parquetFromStreams(wholeStreams(pieces));
}

/** A Parquet file from complete Arrow IPC streams of one schema, at least one; only one of them is in memory at a time. */
export async function* parquetFromStreams(streams: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const properties = new WriterPropertiesBuilder().setCompression(Compression.ZSTD)
    .setMaxRowGroupSize(GROUP_ROWS).setCreatedBy("retrovisor").build();
  const batches = recordBatches(streams);
  const first = batches.next();
  if (first.done) {
    yield writeParquet(Table.fromIPCStream(first.value), properties);
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

/** Batches that have rows; returns the last stream, whose schema is the file's where there is none. */
function* recordBatches(streams: Iterable<Uint8Array>): Generator<RecordBatch, Uint8Array> {
  let last: Uint8Array = new Uint8Array();
  for (const stream of streams) {
    last = stream;
    const table = Table.fromIPCStream(stream);
    for (const batch of table.recordBatches()) if (batch.numRows > 0) yield batch;
    table.free();
  }
  return last;
}

/** Pieces of one stream as complete streams of bounded size. */
function* wholeStreams(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  let schema: Uint8Array | null = null, some = false;
  let waiting: Uint8Array[] = [];
  const whole = (opening: Uint8Array) => {
    const stream = concatenate([opening, ...waiting, END_OF_STREAM]);
    waiting = [];
    some = true;
    return stream;
  };
  for (const piece of pieces) {
    if (piece.length === 0) continue;
    if (schema === null) schema = piece.slice();
    else waiting.push(piece.slice());
    if (waiting.length >= PIECES) yield whole(schema);
  }
  if (schema !== null && (waiting.length > 0 || !some)) yield whole(schema);
}
