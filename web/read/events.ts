/**
 * The smaller tables of a recording as columns: hypercalls, interrupts, console text.
 *
 * @module
 */
import type { Bundle } from "../../traces/bundle.ts";
import { isNull } from "../../traces/batch.ts";
import { Growing, KeyTable } from "../model/intern.ts";
import { type CallKind, type InterruptKind, lowerBound } from "../model/data.ts";
import { wide } from "./stacks.ts";

/** Most kinds that are told apart. */
const KINDS_MAX = 4096;
/** Longest console line; what is longer continues on the next. */
const LINE_MAX = 2000;
/** Most console lines. */
const LINES_MAX = 1_000_000;

/** Hypercalls; `exits` is their number, which bounds where a damaged recording points. */
export function readCalls(bundle: Bundle, exits: number) {
  const exit = new Growing((n) => new Uint32Array(n));
  const kind = new Growing((n) => new Uint16Array(n));
  const failed = new Growing((n) => new Uint8Array(n));
  const kinds = new KeyTable<CallKind>(KINDS_MAX);
  let last = 0;
  for (const b of bundle.table("hypercalls").batches()) {
    const seq = b.column("seq").u32, errno = b.column("errno_name");
    const name = b.column("name").u16, subop = b.column("subop_name");
    for (let i = 0; i < b.rows; i++) {
      const sub = isNull(subop, i) ? -1 : subop.u16[i];
      last = Math.max(last, Math.min(exits - 1, wide(seq, i)));
      exit.push(Math.max(0, last));
      kind.push(kinds.add(`${name[i]} ${sub}`, () => ({
        name: b.text("name", i) ?? "",
        subop: sub < 0 ? null : b.text("subop_name", i),
      })));
      failed.push(isNull(errno, i) ? 0 : 1);
    }
  }
  return { exit: exit.done(), kind: kind.done(), failed: failed.done(), kinds: kinds.values };
}

/** Interrupts. */
export function readInterrupts(bundle: Bundle) {
  const time = new Growing((n) => new Float64Array(n));
  const kind = new Growing((n) => new Uint16Array(n));
  const kinds = new KeyTable<InterruptKind>(KINDS_MAX);
  let last = 0;
  for (const b of bundle.table("interrupts").batches()) {
    const at = b.column("time_ns").u32, vcpu = b.column("vcpu").u16;
    const vector = b.column("vector").u16, source = b.column("source").u16;
    for (let i = 0; i < b.rows; i++) {
      last = Math.max(last, wide(at, i));
      time.push(last);
      const key = `${vcpu[i]} ${vector[i]} ${source[i]}`;
      kind.push(
        kinds.add(key, () => ({ vcpu: vcpu[i], vector: vector[i], source: b.text("source", i) ?? "" })),
      );
    }
  }
  return { time: time.done(), kind: kind.done(), kinds: kinds.values };
}

/** A line that is not yet at its end. */
interface OpenLine {
  text: string;
  timeNs: number;
}

/** Console text by line, in the order in which lines begin. */
export function readConsole(bundle: Bundle) {
  const lines: { text: string; timeNs: number; device: number }[] = [];
  const devices = new KeyTable<string>(64);
  const open = new Map<number, OpenLine>();
  const end = (device: number, line: OpenLine) => {
    if (lines.length < LINES_MAX) lines.push({ ...line, device });
    open.delete(device);
  };
  for (const b of bundle.table("console").batches()) {
    const at = b.column("time_ns").u32;
    for (let i = 0; i < b.rows; i++) {
      const name = b.text("device", i) ?? "", timeNs = wide(at, i);
      const device = devices.add(name, () => name);
      const pieces = (b.text("text", i) ?? "").split("\n");
      pieces.forEach((piece, k) => {
        if (piece === "" && k === pieces.length - 1) return;
        for (let from = 0; from < piece.length || from === 0; from += LINE_MAX) {
          const line = open.get(device) ?? { text: "", timeNs };
          line.text += piece.slice(from, from + LINE_MAX);
          open.set(device, line);
          if (line.text.length >= LINE_MAX) end(device, line);
        }
        const line = open.get(device);
        if (k < pieces.length - 1 && line !== undefined) end(device, line);
      });
    }
  }
  for (const [device, line] of open) if (line.text !== "") end(device, line);
  lines.sort((a, b) => a.timeNs - b.timeNs);
  return {
    texts: lines.map((l) => l.text.replace(/\r/g, "")),
    time: Float64Array.from(lines, (l) => l.timeNs),
    device: Uint16Array.from(lines, (l) => l.device),
    devices: devices.values,
  };
}

/** Times in which each vCPU was halted: from HLT to its next interrupt or exit, whichever comes first. */
export class HaltReader {
  readonly #since: number[] = [];
  readonly #halts: { start: number; end: number; vcpu: number }[] = [];
  #interrupt = 0;

  constructor(
    readonly interruptTime: Float64Array,
    readonly interruptKind: Uint16Array,
    readonly kinds: readonly InterruptKind[],
  ) {}

  /** An exit, in order. */
  exit(timeNs: number, vcpu: number, isHalt: boolean): void {
    while (this.#interrupt < this.interruptTime.length && this.interruptTime[this.#interrupt] <= timeNs) {
      const i = this.#interrupt++;
      this.#end(this.kinds[this.interruptKind[i]].vcpu, this.interruptTime[i]);
    }
    this.#end(vcpu, timeNs);
    if (isHalt) this.#since[vcpu] = timeNs;
  }

  #end(vcpu: number, timeNs: number): void {
    const start = this.#since[vcpu] ?? -1;
    if (start < 0) return;
    this.#since[vcpu] = -1;
    if (timeNs > start) this.#halts.push({ start, end: timeNs, vcpu });
  }

  /** The columns; vCPUs that are still halted are so until the end. */
  done(endNs: number) {
    const n = lowerBound(this.interruptTime, endNs);
    for (; this.#interrupt < n; this.#interrupt++) {
      this.#end(this.kinds[this.interruptKind[this.#interrupt]].vcpu, this.interruptTime[this.#interrupt]);
    }
    this.#since.forEach((_, vcpu) => this.#end(vcpu, endNs));
    this.#halts.sort((a, b) => a.start - b.start);
    return {
      start: Float64Array.from(this.#halts, (h) => h.start),
      end: Float64Array.from(this.#halts, (h) => h.end),
      vcpu: Uint16Array.from(this.#halts, (h) => h.vcpu),
    };
  }
}
