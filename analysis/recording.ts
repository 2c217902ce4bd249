/**
 * The recording itself as a table of one row: what machine ran, how it was sampled, how it ended.
 *
 * @module
 */
import { Table, tableToIPC, Uint32, Uint64, Utf8, vectorFromArray } from "apache-arrow";
import type { Bundle } from "../traces/bundle.ts";
import type { ColumnType } from "./tables.ts";

/** Name of the table. */
export const RECORDING = "recording";

/** Its columns as DuckDB types. */
export const RECORDING_COLUMNS: readonly ColumnType[] = [
  ["name", "VARCHAR"],
  ["type", "VARCHAR"],
  ["cmdline", "VARCHAR"],
  ["cpuid", "VARCHAR"],
  ["vcpus", "UINTEGER"],
  ["memory_bytes", "UBIGINT"],
  ["sample_interval", "UBIGINT"],
  ["icount", "UBIGINT"],
  ["outcome", "VARCHAR"],
];

/** The row of a bundle, as an Arrow IPC stream. */
export function encodeRecording(bundle: Bundle): Uint8Array {
  const { config, closing } = bundle.manifest;
  const text = (value: string | null) => vectorFromArray([value], new Utf8());
  const wide = (value: number) => vectorFromArray([BigInt(value)], new Uint64());
  return tableToIPC(
    new Table({
      name: text(config.name),
      type: text(config.type),
      cmdline: text(config.cmdline),
      cpuid: text(config.cpuid),
      vcpus: vectorFromArray([config.vcpus], new Uint32()),
      memory_bytes: wide(config.memoryBytes),
      sample_interval: wide(config.sampleInterval),
      icount: wide(closing?.icount ?? bundle.icount),
      outcome: text(closing?.outcome.kind ?? null),
    }),
    "stream",
  );
}
