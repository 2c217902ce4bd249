/**
 * Exits over time before the recording has been read: from the times, reasons and vCPUs alone, a tenth of the bytes.
 * Checksums are of whole blocks, so nothing here is checked: it is for the first look only.
 *
 * @module
 */
import type { TraceSummary } from "../../analysis/summary.ts";
import type { Bundle } from "../../traces/bundle.ts";
import { BatchTemplate, layoutOf } from "../../traces/ipc.ts";
import { columnIndex, type TableSpec } from "../../traces/schema.ts";
import type { Block } from "../../traces/writer.ts";
import type { Flame } from "../model/flame.ts";
import type { Lane, Panels, ReasonSeries } from "../model/panels.ts";
import { LANES_MAX } from "../model/trace_model.ts";
import { wide } from "./stacks.ts";

/** Columns of the preview. */
const BUCKETS = 600;
/** Most rows that a batch may say it has. */
const ROWS_MAX = 1 << 20;
/** Most pairs of vCPU and reason. */
const KINDS_MAX = 4096;

/** The panels over time; all others are empty. Null when there is nothing to see, or it does not look sound. */
export function preview(bundle: Bundle, summary: TraceSummary): Panels | null {
  const table = bundle.table("exits"), names = table.dictionaries()[columnIndex(table.spec, "reason")] ?? [];
  const batches = table.blocks.filter((b) => b.kind === "batch");
  const columns = new ColumnReader(table.spec, (offset, length) => table.source.read(offset, length));
  const last = batches.at(-1);
  if (last === undefined) return null;
  const times = columns.read(last, "time_ns", 8);
  if (times === null || times.length === 0) return null;
  const endNs = Math.max(wide(words(times), times.length / 8 - 1) + 1, summary.time_ns ?? 0);
  const tally = new Tally(names, endNs);
  for (const block of batches) {
    const time = columns.read(block, "time_ns", 8), reason = columns.read(block, "reason", 2);
    const vcpu = columns.read(block, "vcpu", 2);
    if (time === null || reason === null || vcpu === null) return null;
    if (!tally.add(words(time), halves(reason), halves(vcpu))) return null;
  }
  return tally.panels(summary);
}

/** Reads single columns of batches that have no nulls in them. */
class ColumnReader {
  readonly #template: BatchTemplate;
  constructor(readonly spec: TableSpec, readonly source: (offset: number, length: number) => Uint8Array) {
    this.#template = BatchTemplate.forTable(spec.columns);
  }

  /** Values of a column; null when they are not where they should be. */
  read(block: Block, column: string, width: number): Uint8Array | null {
    const shape = this.#template.decode(this.source(block.offset, this.#template.bytes));
    if (shape === null || shape.rows > ROWS_MAX) return null;
    let buffer = 1;
    for (const c of this.spec.columns) {
      if (c.name === column) break;
      buffer += layoutOf(c.type).buffers;
    }
    const at = shape.buffers[buffer * 2], length = shape.rows * width;
    if (at + length > shape.bodyBytes || shape.buffers[buffer * 2 + 1] < length) return null;
    const bytes = this.source(block.offset + this.#template.bytes + at, length);
    return bytes.length === length ? bytes : null;
  }
}

/** Counts by vCPU, reason and bucket. */
class Tally {
  readonly #counts: (Uint32Array | undefined)[] = [];
  #exits = 0;
  #kinds = 0;
  constructor(readonly names: readonly string[], readonly endNs: number) {}

  /** @returns false when there are more kinds than there can be, or unknown ones */
  add(time: Uint32Array, reason: Uint16Array, vcpu: Uint16Array): boolean {
    const scale = BUCKETS / this.endNs, width = this.names.length;
    for (let i = 0; i < reason.length; i++) {
      const kind = vcpu[i] * width + reason[i];
      let counts = this.#counts[kind];
      if (counts === undefined) {
        if (reason[i] >= width || ++this.#kinds > KINDS_MAX) return false;
        this.#counts[kind] = counts = new Uint32Array(BUCKETS);
      }
      counts[Math.min(BUCKETS - 1, Math.floor(wide(time, i) * scale))]++;
    }
    this.#exits += reason.length;
    return true;
  }

  panels(summary: TraceSummary): Panels {
    const series = new Map<string, ReasonSeries>(), lanes = new Map<number, Lane>();
    this.#counts.forEach((counts, kind) => {
      if (counts === undefined) return;
      const reason = this.names[kind % this.names.length], vcpu = Math.floor(kind / this.names.length);
      const s = got(series, reason, () => ({ reason, total: 0, counts: zeros() }));
      const lane = got(lanes, vcpu, () => emptyLane(vcpu));
      counts.forEach((n, b) => {
        s.counts[b] += n;
        s.total += n;
        lane.exits[b] += n;
        lane.totalExits += n;
      });
    });
    return {
      ...NOTHING,
      range: { startNs: 0, endNs: this.endNs },
      bucketNs: this.endNs / BUCKETS,
      exits: this.#exits,
      hypercalls: summary.hypercalls,
      series: [...series.values()].sort((a, b) => b.total - a.total),
      lanes: [...lanes.values()].sort((a, b) => a.vcpu - b.vcpu).slice(0, LANES_MAX),
    };
  }
}

const NO_FLAME: Flame = { names: [], total: 0, roots: [] };
const NOTHING = {
  interrupts: 0,
  samples: 0,
  byFunction: [],
  byAddress: [],
  functionCount: 0,
  addressCount: 0,
  calls: [],
  interruptMix: [],
  exitFlame: NO_FLAME,
  sampleFlame: NO_FLAME,
  lines: [],
  lineCount: 0,
};

function emptyLane(vcpu: number): Lane {
  return {
    vcpu,
    exits: zeros(),
    halted: zeros(),
    interrupts: zeros(),
    totalExits: 0,
    totalInterrupts: 0,
    haltedShare: 0,
  };
}

function zeros(): number[] {
  return new Array<number>(BUCKETS).fill(0);
}

function got<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}

function halves(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
}
