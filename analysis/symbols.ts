/**
 * Symbols of a recording that carries none of its own, or for which the user has better ones.
 *
 * @module
 */
import { Table, tableToIPC, Uint64, Utf8, vectorFromArray } from "apache-arrow";
import type { SymbolRow } from "../core/boot/guest_symbols.ts";

/** Symbols as an Arrow IPC stream with the columns of table `symbols`; null when there are none. */
export function encodeSymbols(rows: readonly SymbolRow[]): Uint8Array | null {
  if (rows.length === 0) return null;
  return tableToIPC(
    new Table({
      start: vectorFromArray(rows.map((r) => r.start), new Uint64()),
      size: vectorFromArray(rows.map((r) => BigInt(r.size)), new Uint64()),
      name: vectorFromArray(rows.map((r) => r.name), new Utf8()),
      module: vectorFromArray(rows.map((r) => r.module), new Utf8()),
      source: vectorFromArray(rows.map((r) => r.source), new Utf8()),
    }),
    "stream",
  );
}
