/**
 * A trace bundle as SQL sessions read it.
 *
 * @module
 */
import type { Bundle } from "../traces/bundle.ts";
import { SEALS } from "../traces/schema.ts";
import { streamSegments } from "../traces/segments.ts";
import { encodeRecording, RECORDING } from "./recording.ts";
import type { TraceSource } from "./session.ts";
import { guestSymbols } from "../core/boot/guest_symbols.ts";
import type { GuestImage } from "../core/config.ts";
import type { SymbolFile } from "../core/boot/symbol_file.ts";
import { type Cost, encodeCosts } from "./costs.ts";
import { GIVEN_COSTS } from "./given_costs.ts";
import { encodeSymbols } from "./symbols.ts";

/** Batches given to DuckDB at a time: whole dictionaries go with each, and one such stream is in memory. */
const BATCHES_PER_SEGMENT = 8;

/**
 * The tables of an open bundle, read as they are asked for. `symbols` come from the images when the recording has none
 * of its own; table `recording` is made here. Errors while reading: `TraceError`.
 * @param file symbols that replace the kernel's
 * @param costs prices over those that are built in
 */
export function bundleSource(
  bundle: Bundle,
  file: SymbolFile | null = null,
  costs: readonly Cost[] = [],
): TraceSource {
  const stored = bundle.tables().map((t) => t.spec.name).filter((name) => name !== SEALS.name);
  return {
    tables: [...stored, RECORDING, ...(costs.length > 0 ? [GIVEN_COSTS] : [])],
    rows: (table) => stored.includes(table) ? bundle.table(table).rows : 1,
    segments(table, columns) {
      if (table === GIVEN_COSTS) return [encodeCosts(costs)];
      if (table === RECORDING) return [encodeRecording(bundle)];
      if (table === "symbols" && (file !== null || bundle.table(table).rows === 0)) {
        const images = bundle.images();
        const symbols = encodeSymbols(guestSymbols(images, recordedSlide(bundle, images), file));
        if (symbols !== null) return [symbols];
      }
      return streamSegments(bundle, table, BATCHES_PER_SEGMENT, columns);
    },
  };
}

/** How far the kernel moved itself while it was recorded: between the symbols in the recording and in its image. */
function recordedSlide(bundle: Bundle, images: readonly GuestImage[]): number {
  if (bundle.table("symbols").rows === 0) return 0;
  const batch = bundle.table("symbols").batch(0);
  const linked = guestSymbols(images, 0).find((s) => s.name === batch.text("name", 0));
  const start = batch.bigint("start", 0);
  return linked === undefined || start === null ? 0 : Number(start - linked.start);
}
