/**
 * Complete Arrow IPC streams for consumers that want them whole (DuckDB): schema, dictionaries, batches, end.
 *
 * @module
 */
import { BatchEncoder } from "./body.ts";
import type { Bundle } from "./bundle.ts";
import { columnBuffer } from "./columns.ts";
import { BatchTemplate, type ColumnSpec, END_OF_STREAM, schemaMessage } from "./ipc.ts";
import { Projection } from "./projection.ts";
import { SEALS } from "./schema.ts";
import { concatenate, dictionaryMessage } from "./writer.ts";

/** Schema and complete dictionaries. */
function opening(
  columns: readonly ColumnSpec[],
  dictionaries: readonly (readonly string[] | null)[],
): Uint8Array[] {
  const parts = [schemaMessage(columns)];
  dictionaries.forEach((values, id) => {
    if (values !== null) parts.push(dictionaryMessage(id, values, 0));
  });
  return parts;
}

/** A batch without rows, for tables that have none. */
function emptyBatch(columns: readonly ColumnSpec[]): Uint8Array {
  const encoder = new BatchEncoder(columns, BatchTemplate.forTable(columns));
  return encoder.encode(0, columns.map((c) => columnBuffer(c, 1)), new Uint32Array(1)).slice();
}

/**
 * A table as complete IPC streams. Every stream has all dictionary values, none is a delta.
 * @param table any table but `seals`
 * @param batchesPerSegment batches a stream; 4 to 16 suit DuckDB
 * @param names columns wanted; left out: all
 * @throws TraceError when a batch is damaged
 */
export function* streamSegments(
  bundle: Bundle,
  table: string,
  batchesPerSegment = 8,
  names?: ReadonlySet<string>,
): Generator<Uint8Array> {
  if (table === SEALS.name) throw new RangeError("Cannot stream table seals: it is read as one file");
  const file = bundle.table(table);
  const projection = names === undefined ? null : new Projection(file.spec, names);
  const columns = projection?.columns ?? file.spec.columns;
  const dictionaries = file.dictionaries();
  const start = opening(columns, projection?.positions.map((i) => dictionaries[i]) ?? dictionaries);
  if (file.batchCount === 0) yield concatenate([...start, emptyBatch(columns), END_OF_STREAM]);
  for (let from = 0; from < file.batchCount; from += batchesPerSegment) {
    const parts = [...start];
    for (let i = from; i < Math.min(from + batchesPerSegment, file.batchCount); i++) {
      const message = file.message(i);
      parts.push(projection?.apply(message, { table, batch: i, offset: null }) ?? message);
    }
    yield concatenate([...parts, END_OF_STREAM]);
  }
}
