/**
 * Answers `monitor sql` of the debugger.
 *
 * @module
 */
import { formatRows } from "../analysis/format.ts";
import { QueryError, Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import type { Bundle } from "../traces/bundle.ts";
import { CachedComputer, withReplay } from "./replay_tables.ts";

/** Most characters of an answer: what one packet to gdb holds. */
const ANSWER_CHARS_MAX = 8000;

/** SQL over one recording, for a client that is not to see anything else: no files of the host. */
export class MonitorSql {
  #session: Session | null = null;

  constructor(readonly bundle: Bundle, readonly path: string) {}

  /** Answers a query as a table, or says what is wrong with it. */
  async answer(query: string): Promise<string> {
    const session = this.#session ??= await this.#open();
    try {
      const full = await withReplay(session, query, () => new CachedComputer(this.bundle, this.path, false));
      let text = "";
      for (const piece of formatRows(session.query(full), "table")) {
        text += piece;
        if (text.length > ANSWER_CHARS_MAX) return `${text.slice(0, ANSWER_CHARS_MAX)}\n(more is left out)\n`;
      }
      return text;
    } catch (e) {
      if (e instanceof QueryError) return `${e.message}\n`;
      throw e;
    }
  }

  async #open(): Promise<Session> {
    const session = await Session.open(new Map([["main", bundleSource(this.bundle)]]));
    session.records("SET enable_external_access = false");
    session.records("SET lock_configuration = true");
    return session;
  }

  /** Ends. */
  close(): void {
    this.#session?.close();
  }
}
