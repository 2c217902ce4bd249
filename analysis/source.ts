/**
 * A trace bundle as SQL sessions read it.
 *
 * @module
 */
import type { Bundle } from "../traces/bundle.ts";
import { SEALS } from "../traces/schema.ts";
import { streamSegments } from "../traces/segments.ts";
import type { TraceSource } from "./session.ts";
import { imageSymbols } from "./symbols.ts";

/** Batches given to DuckDB at a time: whole dictionaries go with each, and one such stream is in memory. */
const BATCHES_PER_SEGMENT = 8;

/**
 * The tables of an open bundle, read as they are asked for. `symbols` come from the images when the recording has none
 * of its own. Errors while reading: `TraceError`.
 */
export function bundleSource(bundle: Bundle): TraceSource {
  return {
    tables: bundle.tables().map((t) => t.spec.name).filter((name) => name !== SEALS.name),
    segments(table) {
      if (table === "symbols" && bundle.table(table).rows === 0) {
        const symbols = imageSymbols(bundle.images());
        if (symbols !== null) return [symbols];
      }
      return streamSegments(bundle, table, BATCHES_PER_SEGMENT);
    },
  };
}
