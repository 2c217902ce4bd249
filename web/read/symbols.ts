/**
 * Functions by address, found as the views find them (`analysis/views/code_ranges.sql`).
 *
 * @module
 */
import { RecordBatchReader } from "apache-arrow";
import { PairTable } from "../model/intern.ts";

/** Numbers of the two names that are no symbols. */
export const UNKNOWN = 0, USER = 1;
/** Most addresses whose function is remembered; others are looked up each time. */
const CACHED_MAX = 1 << 21;

/** Most pages that a guest may name: Xen takes one a domain. */
const PAGES_MAX = 64;

/** One range of code. */
interface Range {
  start: bigint;
  size: bigint;
  name: string;
}

/** Looks functions up. */
export class FunctionTable {
  /** Names by number. */
  readonly names = ["[unknown]", "[user]"];
  readonly #numbers = new Map<string, number>();
  #cache = new PairTable(CACHED_MAX);
  #cached: number[] = [];
  #ranges: Range[];
  readonly #pages = new Set<bigint>();

  /** @param streams table `symbols` as Arrow IPC streams */
  constructor(streams: Iterable<Uint8Array>) {
    const ranges: Range[] = [];
    for (const ipc of streams) {
      for (const batch of RecordBatchReader.from(ipc)) {
        const start = batch.getChild("start"), size = batch.getChild("size"), name = batch.getChild("name");
        for (let i = 0; i < batch.numRows; i++) {
          ranges.push({
            start: BigInt(start?.get(i) ?? 0),
            size: BigInt(size?.get(i) ?? 0),
            name: String(name?.get(i) ?? ""),
          });
        }
      }
    }
    this.#ranges = merged(ranges);
  }

  /** Adds a page of code that the recording itself tells of: the hypercall page. Lookups made before may change. */
  addPage(start: bigint, name: string): void {
    if (this.#pages.has(start) || this.#pages.size === PAGES_MAX) return;
    this.#pages.add(start);
    this.#ranges = merged([...this.#ranges, { start, size: 4096n, name }]);
    this.#cache = new PairTable(CACHED_MAX);
    this.#cached = [];
  }

  /** Number of the function of an address; 0 when no symbol covers it. */
  at(low: number, high: number): number {
    const id = this.#cache.add(high, low);
    if (id >= 0 && id < this.#cached.length) return this.#cached[id];
    const found = this.find(BigInt(high >>> 0) << 32n | BigInt(low >>> 0));
    if (id >= 0) this.#cached[id] = found;
    return found;
  }

  /** Like `at`, without remembering. */
  find(address: bigint): number {
    let low = 0, high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low - 1];
    if (range === undefined || (range.size !== 0n && address - range.start >= range.size)) return UNKNOWN;
    let number = this.#numbers.get(range.name);
    if (number === undefined) this.#numbers.set(range.name, number = this.names.push(range.name) - 1);
    return number;
  }
}

/** Ascending, one range an address: the largest size and the last name, as the view takes them. */
function merged(ranges: Range[]): Range[] {
  const byStart = new Map<bigint, Range>();
  for (const r of ranges) {
    const before = byStart.get(r.start);
    byStart.set(
      r.start,
      before === undefined
        ? r
        : { start: r.start, size: max(before.size, r.size), name: larger(before.name, r.name) },
    );
  }
  return [...byStart.values()].sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** The later one in the order of bytes, which is how SQL compares text. */
function larger(a: string, b: string): string {
  const x = new TextEncoder().encode(a), y = new TextEncoder().encode(b);
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] > y[i] ? a : b;
  return x.length >= y.length ? a : b;
}
