/**
 * Counts by kind over any run of events, exact, in time that hardly grows with the run: counts up to every so-many-th event
 * are kept, and only the events between those and the ends of a run are looked at.
 *
 * @module
 */

/** Most counts kept: 16 MiB. */
const KEPT_MAX = 1 << 22;
/** Least events between two kept counts. */
const BLOCK_MIN = 1 << 8;

/** Kinds that can be counted over runs of events. */
export class PrefixCounts {
  readonly #shift: number;
  /** Per block and kind: events before the block. */
  readonly #before: Uint32Array;

  /** @param kinds of every event  @param kindCount all are below it */
  constructor(readonly kinds: Uint8Array | Uint16Array | Uint32Array, readonly kindCount: number) {
    let shift = Math.log2(BLOCK_MIN);
    const blocks = () => (kinds.length >> shift) + 1;
    while (blocks() > 1 && blocks() * kindCount > KEPT_MAX) shift++;
    this.#shift = shift;
    this.#before = new Uint32Array(blocks() * kindCount);
    const sums = new Uint32Array(kindCount), size = 1 << shift;
    for (let b = 0; b < blocks(); b++) {
      this.#before.set(sums, b * kindCount);
      const end = Math.min(kinds.length, (b + 1) * size);
      for (let i = b * size; i < end; i++) sums[kinds[i]]++;
    }
  }

  /** Adds the events of a run to counts by kind. */
  addTo(counts: Uint32Array | Float64Array, from: number, to: number): void {
    const { kinds, kindCount } = this, shift = this.#shift;
    const first = (from + (1 << shift) - 1) >>> shift, last = to >>> shift;
    if (last <= first) {
      for (let i = from; i < to; i++) counts[kinds[i]]++;
      return;
    }
    for (let i = from; i < first << shift; i++) counts[kinds[i]]++;
    for (let i = last << shift; i < to; i++) counts[kinds[i]]++;
    const before = this.#before, low = first * kindCount, high = last * kindCount;
    for (let k = 0; k < kindCount; k++) counts[k] += before[high + k] - before[low + k];
  }

  /** Counts by kind of a run. */
  counts(from: number, to: number): Uint32Array {
    const counts = new Uint32Array(this.kindCount);
    this.addTo(counts, from, to);
    return counts;
  }
}
