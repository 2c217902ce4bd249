/**
 * Where the page gets its facts: from the recording it carries, or from the server it came from.
 *
 * @module
 */
import type { TraceInfo } from "../model/data.ts";
import type { Panels, TimeRange } from "../model/panels.ts";
import type { SqlAnswer } from "../model/sql_answer.ts";

export type { SqlAnswer };

/** What the page knows from the start. */
export interface Overview {
  info: TraceInfo;
  /** Everything about the whole recording. */
  panels: Panels;
}

/** A view or table that SQL can name. */
export interface Nameable {
  /** How it is used: `exit_rate(bucket)`. */
  signature: string;
  summary: string;
  columns: string[];
}

/** How far a recording is open. */
export interface OpenProgress {
  /** What is being waited for, and the share that is done. */
  step(what: string, share: number): void;
  /** Exits over time, before anything else is known. */
  preview(overview: Overview): void;
}

/** Answers the page's questions. Errors are sentences for people. */
export interface Source {
  /** Opens the recording; `progress` is told how far that is. */
  open(buckets: number, progress: OpenProgress): Promise<Overview>;
  panels(range: TimeRange, buckets: number): Promise<Panels>;
  sql(text: string): Promise<SqlAnswer>;
  nameables(): Promise<Nameable[]>;
}
