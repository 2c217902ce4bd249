/**
 * Computes a table from a recording, in several threads where the window holds checkpoints to start from.
 *
 * @module
 */
import type { Bundle } from "../../traces/bundle.ts";
import { eventLoopTurn } from "../pacing.ts";
import { registersOf } from "./registers.ts";
import { joined, ROWS_MAX, type ScanTable, TooManyRows } from "./rows.ts";
import {
  endOf,
  SCAN_TABLES,
  type ScanKind,
  Scanner,
  type ScanRequest,
  type Segment,
  segmentsOf,
  usable,
} from "./scan.ts";
import type { Task } from "./worker.ts";

/** What is to be computed: a table of `scan.ts`, `last_write` or `registers` (at `from`). */
export interface ComputeRequest {
  table: string;
  from: number;
  to: number;
  range: ScanRequest["range"];
}

/** Most threads: each holds a whole machine. */
const THREADS_MAX = 4;

/** Re-executes one recording for questions. */
export class ReplayComputer {
  readonly end: number;
  /** Called with instructions executed so far, and how many there are to execute. */
  onProgress: (done: number, all: number) => void = () => {};
  #scanner: Scanner | null = null;

  /** @param path the recording's folder, for threads; null: only this thread computes */
  constructor(readonly bundle: Bundle, readonly path: string | null = null) {
    this.end = endOf(bundle);
  }

  get #here(): Scanner {
    return this.#scanner ??= new Scanner(this.bundle);
  }

  /** @throws RangeError when the table would have too many rows; Divergence, TraceError */
  async compute(request: ComputeRequest): Promise<ScanTable> {
    try {
      if (request.table === "registers") return await this.#registers(request.from);
      if (request.table === "last_write") return await this.#last(request);
      if (!(SCAN_TABLES as readonly string[]).includes(request.table)) {
        throw new RangeError(`There is no table ${request.table} to compute`);
      }
      return await this.#window({ ...request, table: request.table as ScanKind });
    } catch (e) {
      if (!(e instanceof TooManyRows)) throw e;
      throw new RangeError(
        `${request.table} would have more than ${ROWS_MAX} rows: ask for a shorter window (from, to)` +
          `${request.table.startsWith("memory") ? " or for fewer addresses (address, bytes)" : ""}.`,
      );
    }
  }

  #segments(window: { from: number; to: number }): Segment[] {
    const { bundle, checkpoints } = this.#here.session;
    return segmentsOf(window, usable(bundle, checkpoints));
  }

  async #registers(at: number): Promise<ScanTable> {
    const scanner = this.#here;
    await eventLoopTurn();
    scanner.session.seek(at);
    return registersOf(scanner.machine);
  }

  /** The last write to a range, looked for backwards. */
  async #last(request: ComputeRequest): Promise<ScanTable> {
    const scan: ScanRequest = { ...request, table: "memory_writes" },
      segments = this.#segments(request).reverse();
    const all = segments.reduce((sum, s) => sum + this.#length(s), 0);
    let done = 0;
    for (const segment of segments) {
      const found = this.#here.scan(scan, segment, (n) => this.onProgress(done += n, all));
      await eventLoopTurn();
      if (found.rows > 0) return lastOf(found);
    }
    return this.#here.scan(scan, { from: 0, to: 0, start: 0, end: -1 }, () => {});
  }

  /** Instructions that are executed for a segment. */
  #length(s: Segment): number {
    return Math.min(s.to, this.end) - this.#here.session.checkpoints[s.start].icount;
  }

  async #window(request: ScanRequest): Promise<ScanTable> {
    const segments = this.#segments(request), all = segments.reduce((sum, s) => sum + this.#length(s), 0);
    let done = 0;
    const progress = (n: number) => this.onProgress(done += n, all);
    const threads = Math.min(segments.length, navigator.hardwareConcurrency, THREADS_MAX);
    if (threads > 1 && this.path !== null) {
      return joined(await inThreads(this.path, request, segments, threads, progress));
    }
    const parts: ScanTable[] = [];
    for (const segment of segments) {
      parts.push(this.#here.scan(request, segment, progress, ROWS_MAX - rowsOf(parts)));
      await eventLoopTurn();
    }
    return joined(parts);
  }
}

function rowsOf(parts: readonly ScanTable[]): number {
  return parts.reduce((sum, p) => sum + p.rows, 0);
}

/** The last row of a table. */
function lastOf(table: ScanTable): ScanTable {
  const columns = table.columns.map(({ name, width, data }) => ({
    name,
    width,
    data: data.slice((table.rows - 1) * (width === 64 ? 2 : 1)),
  }));
  return { rows: 1, columns, codes: table.codes };
}

/** What a thread answers. */
type Answer = { instructions: number } | { table: ScanTable } | { error: string; tooMany: boolean };

/** Computes segments in threads, the earliest first. @returns their tables in order */
async function inThreads(
  path: string,
  request: ScanRequest,
  segments: readonly Segment[],
  count: number,
  progress: (n: number) => void,
): Promise<ScanTable[]> {
  const parts: ScanTable[] = new Array(segments.length), threads: Worker[] = [];
  let next = 0, rows = 0;
  const work = (thread: Worker): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let n = -1;
    const give = () => {
      n = next++;
      if (n >= segments.length) return resolve();
      thread.postMessage({ path, request, segment: segments[n] } satisfies Task);
    };
    thread.onerror = (e) => {
      e.preventDefault();
      reject(new Error(`A thread ended: ${e.message}`));
    };
    thread.onmessage = ({ data }: MessageEvent<Answer>) => {
      if ("instructions" in data) return progress(data.instructions);
      if ("error" in data) return reject(data.tooMany ? new TooManyRows() : new Error(data.error));
      parts[n] = data.table;
      rows += data.table.rows;
      if (rows > ROWS_MAX) reject(new TooManyRows());
      else give();
    };
    give();
    return promise;
  };
  try {
    for (let i = 0; i < count; i++) {
      threads.push(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));
    }
    await Promise.all(threads.map(work));
  } finally {
    for (const t of threads) t.terminate();
  }
  return parts;
}
