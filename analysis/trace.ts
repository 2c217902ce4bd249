/**
 * A recording open for questions.
 *
 * @module
 */
import { Bundle } from "../traces/bundle.ts";
import { type Row, type RowStream, Session } from "./session.ts";
import { bundleSource } from "./source.ts";
import { type TraceSummary, traceSummary } from "./summary.ts";

/** A recording open for questions; see `openTrace`. */
export class Trace {
  /** What the recording is. */
  readonly summary: TraceSummary;
  readonly #bundle: Bundle;
  readonly #session: Session;

  private constructor(bundle: Bundle, session: Session) {
    this.#bundle = bundle;
    this.#session = session;
    this.summary = traceSummary(bundle);
  }

  /**
   * Opens a recording; its tables are read as questions need them.
   * @param path the recording's folder
   * @throws TraceError when it is damaged
   */
  static async open(path: string): Promise<Trace> {
    const bundle = Bundle.open(path, { verify: false });
    return new Trace(bundle, await Session.open(bundleSource(bundle)));
  }

  /**
   * Answers a question in SQL (DuckDB's dialect) with all rows as records; 64-bit integers are bigints.
   * @param limit most rows that are kept
   * @throws QueryError, TraceError
   */
  query(sql: string, limit = Infinity): Row[] {
    return this.#session.records(sql, limit);
  }

  /** Answers a question row by row, for results of any size. @throws QueryError, TraceError, also while iterating */
  rows(sql: string): RowStream {
    return this.#session.query(sql);
  }

  /** Answers a question as pieces of one Arrow IPC stream. @throws QueryError, TraceError, also while iterating */
  arrow(sql: string): Iterable<Uint8Array> {
    return this.#session.arrow(sql);
  }

  /** Closes the recording and the SQL session. */
  close(): void {
    this.#session.close();
    this.#bundle.close();
  }
}
