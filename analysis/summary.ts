/**
 * What a recording is, in a few facts: from its manifest, or counted when it was cut before its end.
 *
 * @module
 */
import type { MachineConfig } from "../core/config.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Bundle } from "../traces/bundle.ts";
import { hexBytes } from "./text.ts";

/** The facts. Names are those of `info --format json`. */
export interface TraceSummary {
  /** Name of the guest. */
  guest: string;
  /** Where the recording comes from when it is not a run from its start, e.g. a branch of another; null otherwise. */
  label: string | null;
  /** Kind of ending; null when the recording was cut. */
  outcome: Outcome["kind"] | null;
  /** One sentence about the ending. */
  outcome_message: string;
  /** Instructions recorded. */
  icount: number;
  /** Virtual nanoseconds recorded; null when the recording was cut. */
  time_ns: number | null;
  /** Exits recorded. */
  exits: number;
  /** Hypercalls recorded, entries of multicalls included. */
  hypercalls: number;
  /** Inputs recorded. */
  inputs: number;
  /** Hash of the machine's state at `state_icount`. Null: no checkpoint was saved. */
  state_hash: string | null;
  /** Where `state_hash` holds: the end, or the last checkpoint of a recording that was cut. */
  state_icount: number | null;
  /** True: the recording was cut and ends at its last whole batch. */
  recovered: boolean;
  /** Format version of the tables. */
  version: number;
  /** Program that recorded. */
  retrovisor: string;
  /** The machine. */
  config: MachineConfig;
  /** The guest's files. */
  images: { role: string; name: string; bytes: number; sha256: string }[];
  /** Rows and bytes of each table. */
  tables: { name: string; rows: number; bytes: number }[];
  /** All tables together. */
  bytes: number;
}

/** Collects the facts about an open bundle. @throws TraceError when the last checkpoint is damaged */
export function traceSummary(bundle: Bundle): TraceSummary {
  const { manifest } = bundle;
  const { closing } = manifest;
  const tables = bundle.tables().map((t) => ({
    name: t.spec.name,
    rows: t.rows,
    bytes: t.blocks.reduce((n, b) => n + b.bytes, 0),
  }));
  const rows = (name: string) => tables.find((t) => t.name === name)?.rows ?? 0;
  const last = closing ? { hash: closing.stateHash, icount: closing.icount } : lastCheckpoint(bundle);
  return {
    guest: manifest.config.name,
    label: manifest.label ?? null,
    outcome: closing?.outcome.kind ?? null,
    outcome_message: closing?.outcome.message ??
      `The recording was cut; what is whole ends at icount ${bundle.icount}.`,
    icount: closing?.icount ?? bundle.icount,
    time_ns: closing?.timeNs ?? null,
    exits: closing?.exits ?? rows("exits"),
    hypercalls: closing?.hypercalls ?? rows("hypercalls"),
    inputs: closing?.inputs ?? rows("inputs"),
    state_hash: last?.hash ?? null,
    state_icount: last?.icount ?? null,
    recovered: bundle.recovered,
    version: manifest.version,
    retrovisor: manifest.retrovisor,
    config: manifest.config,
    images: manifest.images,
    tables,
    bytes: tables.reduce((n, t) => n + t.bytes, 0),
  };
}

function lastCheckpoint(bundle: Bundle): { hash: string; icount: number } | null {
  const table = bundle.table("checkpoints");
  if (table.batchCount === 0) return null;
  const batch = table.batch(table.batchCount - 1);
  if (batch.rows === 0) return null;
  return {
    hash: hexBytes(batch.bytes("hash", batch.rows - 1)),
    icount: batch.number("icount", batch.rows - 1),
  };
}
