/**
 * What the formats of `retrovisor export` have in common.
 *
 * @module
 */
import type { Session } from "../session.ts";
import type { TraceSummary } from "../summary.ts";

/** What an exporter works on. */
export interface ExportInput {
  /** The recording, open for SQL. */
  session: Session;
  summary: TraceSummary;
  /** Table or view, for formats that are tables. */
  table: string;
  /** Takes a sentence about what the format cannot hold. */
  warn(sentence: string): void;
}

/** Pieces of a file, made while they are written. Errors: `QueryError`, `TraceError`, also while iterating. */
export type Pieces = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

/** Writes a recording in a format, piece by piece. */
export type Exporter = (input: ExportInput) => Pieces;

/** One file of a format that is a folder. */
export interface ExportFile {
  name: string;
  pieces: Pieces;
}

/** A vCPU as Xen prints it. Retrovisor's guest is domain 1. */
export function vcpuName(vcpu: number): string {
  return `d1v${vcpu}`;
}
