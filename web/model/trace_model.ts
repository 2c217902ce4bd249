/**
 * Counts over any range of a recording. Every count is exact: nothing is sampled or snapped to buckets computed before.
 *
 * @module
 */
import { labelName, lowerBound, lowerBoundNear, type ModelData } from "./data.ts";
import { buildFlame, type Flame } from "./flame.ts";
import { HaltedTime } from "./halted_time.ts";
import { PairTable } from "./intern.ts";
import type { CallCount, ConsoleLine, Hotspot, InterruptCount, Lane, Panels, TimeRange } from "./panels.ts";
import type { ReasonSeries } from "./panels.ts";
import { PrefixCounts } from "./prefix_counts.ts";

/** Most rows of a table, and most console lines, of one answer. */
export const ROWS_MAX = 100, LINES_MAX = 1000;
/** Most buckets and vCPU lanes of one answer. */
export const BUCKETS_MAX = 2000, LANES_MAX = 128;
/** Reasons listed beside a hotspot. */
const REASONS_SHOWN = 3;

/** A recording open for brushing. */
export class TraceModel {
  /** Per place: the first place with the same address. */
  readonly #placeAddress: Uint32Array;
  readonly #addressCount: number;
  readonly #counters: Counters;
  readonly #halted: ReadonlyMap<number, HaltedTime>;

  constructor(readonly data: ModelData) {
    this.#counters = countersOf(data);
    this.#halted = HaltedTime.ofAll(data.columns);
    const { placeLow, placeHigh } = data.columns, addresses = new PairTable(placeLow.length);
    const firsts: number[] = [];
    this.#placeAddress = placeLow.map((low, p) => {
      const id = addresses.add(placeHigh[p], low);
      return firsts[id] ??= p;
    });
    this.#addressCount = placeLow.length;
  }

  /** The whole recording. */
  get whole(): TimeRange {
    return { startNs: 0, endNs: this.data.endNs };
  }

  /** Everything about a range. @param buckets columns of the time series */
  panels(range: TimeRange, buckets: number): Panels {
    const { data } = this, c = data.columns;
    const clean = this.#clean(range);
    const { startNs, endNs } = clean;
    const count = Math.max(1, Math.min(BUCKETS_MAX, Math.floor(buckets) || 1));
    const bucketNs = (endNs - startNs) / count;
    const first = lowerBound(c.exitTime, startNs), end = lowerBound(c.exitTime, endNs, first);
    const places = this.#counters.places.counts(first, end);
    const byFunction = this.#functions(places), byAddress = this.#addresses(places);
    const calls = this.#calls(first, end);
    const sampleFrom = lowerBound(c.sampleTime, startNs);
    const sampleTo = lowerBound(c.sampleTime, endNs, sampleFrom);
    return {
      range: clean,
      bucketNs,
      exits: end - first,
      hypercalls: calls.reduce((n, r) => n + r.calls, 0),
      samples: sampleTo - sampleFrom,
      ...this.#overTime(clean, count),
      byFunction: byFunction.rows,
      byAddress: byAddress.rows,
      functionCount: byFunction.count,
      addressCount: byAddress.count,
      calls: calls.slice(0, ROWS_MAX),
      exitFlame: this.#exitFlame(first, end, places),
      sampleFlame: this.#sampleFlame(sampleFrom, sampleTo),
      ...this.#console(clean),
    };
  }

  /** A range inside the recording that is at least a nanosecond long. */
  #clean({ startNs, endNs }: TimeRange): TimeRange {
    const end = this.data.endNs;
    const from = Number.isFinite(startNs) ? Math.min(Math.max(0, startNs), end - 1) : 0;
    const to = Number.isFinite(endNs) ? Math.min(endNs, end) : end;
    return { startNs: from, endNs: Math.max(to, from + 1) };
  }

  #overTime(range: TimeRange, buckets: number) {
    const { data } = this, c = data.columns;
    const series = data.reasons.map((reason): ReasonSeries => ({
      reason,
      total: 0,
      counts: new Array<number>(buckets).fill(0),
    }));
    const lanes = new Lanes(c.kindVcpu, range, buckets);
    tally(c.exitTime, this.#counters.exits, range, buckets, (bucket, kind, n) => {
      const s = series[c.kindReason[kind]];
      s.counts[bucket] += n;
      s.total += n;
      lanes.exits(c.kindVcpu[kind], bucket, n);
    });
    const perKind = new Float64Array(data.interruptKinds.length);
    tally(c.interruptTime, this.#counters.interrupts, range, buckets, (bucket, kind, n) => {
      perKind[kind] += n;
      lanes.interrupts(data.interruptKinds[kind].vcpu, bucket, n);
    });
    for (const [vcpu, halted] of this.#halted) lanes.halted(vcpu, halted);
    lanes.round();
    return {
      series: series.filter((s) => s.total > 0).sort((a, b) =>
        b.total - a.total || compare(a.reason, b.reason)
      ),
      lanes: lanes.list,
      interrupts: perKind.reduce((sum, n) => sum + n, 0),
      interruptMix: this.#interruptMix(perKind),
    };
  }

  #functions(places: Uint32Array): Spots {
    const c = this.data.columns;
    return this.#hotspots(places, c.placeFunction, this.data.functions.length, (p) => ({
      name: this.#functionName(c.placeFunction[p]),
      address: null,
    }));
  }

  #addresses(places: Uint32Array): Spots {
    const c = this.data.columns;
    return this.#hotspots(places, this.#placeAddress, this.#addressCount, (p) => ({
      name: this.#functionName(c.placeFunction[p]),
      address: hexAddress(c.placeLow[p], c.placeHigh[p]),
    }));
  }

  /** @param keys what each place is counted as, below `keyCount`  @param name of what a place stands for */
  #hotspots(
    places: Uint32Array,
    keys: Uint32Array,
    keyCount: number,
    name: (place: number) => Pick<Hotspot, "name" | "address">,
  ): Spots {
    const { reasons, columns } = this.data, exits = new Uint32Array(keyCount);
    const firsts = new Map<number, number>();
    for (let p = 0; p < places.length; p++) if (places[p] !== 0) exits[keys[p]] += places[p];
    // Reasons are kept apart only for what can be among the rows.
    const least = exits.slice().sort().at(-ROWS_MAX) ?? 0;
    const byReason = new Map<number, Map<number, number>>();
    let count = 0;
    for (let k = 0; k < keyCount; k++) if (exits[k] > 0) count++;
    for (let p = 0; p < places.length; p++) {
      const k = keys[p];
      if (places[p] === 0 || exits[k] < least) continue;
      if (!firsts.has(k)) firsts.set(k, p);
      const own = byReason.get(k) ?? new Map<number, number>(), reason = columns.placeReason[p];
      byReason.set(k, own.set(reason, (own.get(reason) ?? 0) + places[p]));
    }
    const all = [...firsts].sort(([a, p], [b, q]) => exits[b] - exits[a] || p - q);
    const rows = all.slice(0, ROWS_MAX).map(([k, place]): Hotspot => ({
      ...name(place),
      exits: exits[k],
      reasons: [...byReason.get(k)!].sort((a, b) => b[1] - a[1]).slice(0, REASONS_SHOWN).map((
        [r, n],
      ) => [reasons[r], n]),
    }));
    return { rows, count };
  }

  #functionName(f: number): string | null {
    return f === 0 ? null : this.data.functions[f];
  }

  #calls(first: number, end: number): CallCount[] {
    const c = this.data.columns;
    const rows = this.data.callKinds.map((k): CallCount => ({ ...k, calls: 0, failed: 0 }));
    const from = lowerBound(c.callExit, first), to = lowerBound(c.callExit, end, from);
    const counts = this.#counters.calls.counts(from, to);
    rows.forEach((row, k) => {
      row.failed = counts[2 * k + 1];
      row.calls = counts[2 * k] + row.failed;
    });
    return rows.filter((r) => r.calls > 0).sort((a, b) => b.calls - a.calls || compare(a.name, b.name));
  }

  /** Kinds added up over vCPUs. */
  #interruptMix(perKind: Float64Array): InterruptCount[] {
    const rows = new Map<string, InterruptCount>();
    this.data.interruptKinds.forEach(({ vector, source }, k) => {
      if (perKind[k] === 0) return;
      const key = `${vector} ${source}`, row = rows.get(key) ?? { vector, source, count: 0 };
      row.count += perKind[k];
      rows.set(key, row);
    });
    return [...rows.values()].sort((a, b) => b.count - a.count || a.vector - b.vector).slice(0, ROWS_MAX);
  }

  /** Callers as far as they were sampled, then the function that exits, then the reason. */
  #exitFlame(first: number, end: number, places: Uint32Array): Flame {
    const c = this.data.columns, counts = new Float64Array(c.pathParent.length);
    for (let p = 0; p < places.length; p++) counts[c.placePath[p]] += places[p];
    const from = lowerBound(c.stackExit, first), to = lowerBound(c.stackExit, end, from);
    const { stacks, stackPlaces } = this.#counters, alone = stackPlaces.counts(from, to);
    stacks.addTo(counts, from, to);
    for (let p = 0; p < alone.length; p++) if (alone[p] !== 0) counts[c.placePath[p]] -= alone[p];
    return this.#flame(counts);
  }

  #sampleFlame(from: number, to: number): Flame {
    const counts = new Float64Array(this.data.columns.pathParent.length);
    this.#counters.samples.addTo(counts, from, to);
    return this.#flame(counts);
  }

  #flame(counts: Float64Array): Flame {
    const { pathParent, pathLabel } = this.data.columns;
    return buildFlame(pathParent, counts, (node) => labelName(this.data, pathLabel[node]));
  }

  #console({ startNs, endNs }: TimeRange): { lines: ConsoleLine[]; lineCount: number } {
    const { data } = this, { lineTime, lineDevice } = data.columns;
    const from = lowerBound(lineTime, startNs), to = lowerBound(lineTime, endNs);
    const lines: ConsoleLine[] = [];
    for (let i = from; i < Math.min(to, from + LINES_MAX); i++) {
      lines.push({ timeNs: lineTime[i], device: data.devices[lineDevice[i]], text: data.lines[i] });
    }
    return { lines, lineCount: to - from };
  }
}

/** Rows of a hotspot table, and how many there would be. */
interface Spots {
  rows: Hotspot[];
  count: number;
}

/** Events of every sort, countable by kind. */
interface Counters {
  exits: PrefixCounts;
  places: PrefixCounts;
  /** Kind of call times two, and one where it failed. */
  calls: PrefixCounts;
  interrupts: PrefixCounts;
  samples: PrefixCounts;
  /** Exits with sampled stacks: by that stack, and by the place that they are from. */
  stacks: PrefixCounts;
  stackPlaces: PrefixCounts;
}

function countersOf({ columns: c, callKinds, interruptKinds }: ModelData): Counters {
  const paths = c.pathParent.length, places = c.placeReason.length;
  return {
    exits: new PrefixCounts(c.exitKind, c.kindVcpu.length),
    places: new PrefixCounts(c.exitPlace, places),
    calls: new PrefixCounts(
      Uint32Array.from(c.callKind, (kind, i) => kind * 2 + c.callFailed[i]),
      callKinds.length * 2,
    ),
    interrupts: new PrefixCounts(c.interruptKind, interruptKinds.length),
    samples: new PrefixCounts(c.samplePath, paths),
    stacks: new PrefixCounts(c.stackPath, paths),
    stackPlaces: new PrefixCounts(c.stackExit.map((exit) => c.exitPlace[exit]), places),
  };
}

/** Counts events by bucket and kind. */
function tally(
  times: Float64Array,
  events: PrefixCounts,
  { startNs, endNs }: TimeRange,
  buckets: number,
  found: (bucket: number, kind: number, n: number) => void,
): void {
  const end = lowerBound(times, endNs), counts = new Uint32Array(events.kindCount);
  for (let b = 0, from = lowerBound(times, startNs); b < buckets && from < end; b++) {
    const edge = startNs + (endNs - startNs) * (b + 1) / buckets;
    const to = b === buckets - 1 ? end : lowerBoundNear(times, edge, from, end);
    if (to === from) continue;
    events.addTo(counts, from, to);
    for (let k = 0; k < counts.length; k++) {
      if (counts[k] > 0) found(b, k, counts[k]);
      counts[k] = 0;
    }
    from = to;
  }
}

/** Rows by vCPU. */
class Lanes {
  readonly list: Lane[];
  /** Lane of each vCPU; undefined beyond the most that are shown. */
  readonly #byVcpu: (Lane | undefined)[] = [];
  readonly #bucketNs: number;

  constructor(kindVcpu: Uint16Array, readonly range: TimeRange, readonly buckets: number) {
    const vcpus = [...new Set(kindVcpu)].sort((a, b) => a - b).slice(0, LANES_MAX);
    const zeros = () => new Array<number>(buckets).fill(0);
    this.list = vcpus.map((vcpu) => ({
      vcpu,
      exits: zeros(),
      halted: zeros(),
      interrupts: zeros(),
      totalExits: 0,
      totalInterrupts: 0,
      haltedShare: 0,
    }));
    for (const lane of this.list) this.#byVcpu[lane.vcpu] = lane;
    this.#bucketNs = (range.endNs - range.startNs) / buckets;
  }

  exits(vcpu: number, bucket: number, n: number): void {
    const lane = this.#byVcpu[vcpu];
    if (lane === undefined) return;
    lane.exits[bucket] += n;
    lane.totalExits += n;
  }

  interrupts(vcpu: number, bucket: number, n: number): void {
    const lane = this.#byVcpu[vcpu];
    if (lane === undefined) return;
    lane.interrupts[bucket] += n;
    lane.totalInterrupts += n;
  }

  /** Shares of buckets to four places: more is not seen, and would be sent. */
  round(): void {
    for (const lane of this.list) lane.halted = lane.halted.map((h) => Math.round(h * 1e4) / 1e4);
  }

  /** Shares of buckets in which a vCPU was halted. */
  halted(vcpu: number, time: HaltedTime): void {
    const lane = this.#byVcpu[vcpu], { startNs, endNs } = this.range;
    if (lane === undefined) return;
    const edges = Float64Array.from({ length: this.buckets + 1 }, (_, b) => startNs + this.#bucketNs * b);
    edges[this.buckets] = endNs;
    const before = time.before(edges);
    lane.haltedShare = (before[this.buckets] - before[0]) / (endNs - startNs);
    for (let b = 0; b < this.buckets; b++) {
      lane.halted[b] = Math.max(0, Math.min(1, (before[b + 1] - before[b]) / this.#bucketNs));
    }
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function hexAddress(low: number, high: number): string {
  return high === 0 ? `0x${low.toString(16)}` : `0x${high.toString(16)}${low.toString(16).padStart(8, "0")}`;
}
