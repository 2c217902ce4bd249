/**
 * SQL over what a recording does not hold: tables computed by executing it again.
 *
 * @module
 */
import {
  type ComputedTable,
  type Computer,
  type ComputeRequest,
  expandReplay,
} from "../analysis/replay/expand.ts";
import { QueryError, type Session } from "../analysis/session.ts";
import { ReplayComputer } from "../replay/scan/compute.ts";
import type { Bundle } from "../traces/bundle.ts";
import { note } from "./io.ts";
import { ProgressLine } from "./progress.ts";
import { ReplayCache } from "./replay_cache.ts";

/** Computes tables of one recording, or takes them from its cache. */
export class CachedComputer implements Computer {
  readonly end: number;
  readonly #computer: ReplayComputer;
  readonly #cache: ReplayCache | null;

  /** @param cached keep tables in the recording's folder */
  constructor(bundle: Bundle, path: string, cached: boolean) {
    this.#computer = new ReplayComputer(bundle, path);
    this.end = this.#computer.end;
    this.#cache = cached ? new ReplayCache(path, bundle) : null;
  }

  async compute(request: ComputeRequest): Promise<ComputedTable> {
    const known = this.#cache?.read(request);
    if (known) return known;
    let progress: ProgressLine | null = null;
    this.#computer.onProgress = (done, all) => {
      progress ??= new ProgressLine(all);
      progress.update({ icount: done });
    };
    try {
      const table = await this.#computer.compute(request);
      this.#cache?.write(request, table);
      return table;
    } catch (e) {
      if (e instanceof RangeError) throw new QueryError(e.message);
      throw e;
    } finally {
      (progress as ProgressLine | null)?.clear();
      const refused = this.#cache?.refused ?? null;
      if (refused !== null) note(`retrovisor: what was computed is not kept: ${refused}.`);
    }
  }
}

/** A statement with the tables it computes in place. Errors: `QueryError`, `Divergence`, `TraceError`. */
export async function withReplay(session: Session, sql: string, computer: () => Computer): Promise<string> {
  let made: Computer | null = null;
  const lazy: Computer = {
    get end() {
      return (made ??= computer()).end;
    },
    compute: (request) => (made ??= computer()).compute(request),
  };
  return (await expandReplay(session, sql, lazy, 1)).sql;
}
