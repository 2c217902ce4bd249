/**
 * Sampled stacks, read beside the exits: each sample gets its time and its place in the tree of callers.
 *
 * @module
 */
import { RowCursor } from "../../traces/cursor.ts";
import type { Batch } from "../../traces/batch.ts";
import type { TableFile } from "../../traces/table_file.ts";
import { REASON_LABEL } from "../model/data.ts";
import { Growing, PairTable } from "../model/intern.ts";
import { type FunctionTable, UNKNOWN, USER } from "./symbols.ts";

/** Most nodes of the tree of callers; deeper callers of further stacks are left out. */
const NODES_MAX = 1 << 17;
/** Most frames of a stack that are looked at. */
const FRAMES_MAX = 128;
/** Most samples of one instruction count that are held: one a vCPU is what there is. */
const WAITING_MAX = 4096;

/** A sample that may belong to an exit. */
interface Waiting {
  vcpu: number;
  low: number;
  high: number;
  callers: number;
}

/** Reads table `samples` in step with the exits. */
export class StackReader {
  /** Tree of callers: (parent, function); node 0 is the root. */
  readonly tree = new PairTable(NODES_MAX);
  readonly sampleTime = new Growing((n) => new Float64Array(n));
  readonly samplePath = new Growing((n) => new Uint32Array(n));
  readonly stackExit = new Growing((n) => new Uint32Array(n));
  readonly stackPath = new Growing((n) => new Uint32Array(n));
  readonly #cursor: RowCursor;
  #columns: SampleColumns | null = null;
  #icount = Infinity;
  #waiting: Waiting[] = [];
  #waitingAt = -1;
  #before = { icount: 0, timeNs: 0 };

  /**
   * @param interval instructions between regular samples; 0: there are none
   * @param nsPerInstruction how time passes between exits
   */
  constructor(
    table: TableFile,
    readonly functions: FunctionTable,
    readonly interval: number,
    readonly nsPerInstruction: number,
  ) {
    this.tree.add(-1, 0);
    this.#cursor = new RowCursor(table);
    this.#cursor.onBatch = (b) => this.#columns = new SampleColumns(b);
    if (this.#cursor.batch !== null) this.#columns = new SampleColumns(this.#cursor.batch);
    this.#load();
  }

  /** Goes on to an exit, in order of their numbers: takes the samples up to it. @returns true when one is at it */
  advance(icount: number, timeNs: number): boolean {
    if (this.#icount <= icount) this.#takeUpTo(icount, timeNs);
    this.#before.icount = icount;
    this.#before.timeNs = timeNs;
    return this.#waitingAt === icount;
  }

  /** The exit that `advance` went to, when it has a sample: keeps its callers, the function it is in, its reason. */
  exit(index: number, vcpu: number, low: number, high: number, reason: number): void {
    const own = this.#waiting.find((w) => w.vcpu === vcpu && w.low === low && w.high === high);
    if (own === undefined) return;
    const path = this.place(own.callers, this.functions.at(low, high), reason);
    // No room for another path: the exit counts as one whose callers are not known.
    if (path < 0) return;
    this.stackExit.push(index);
    this.stackPath.push(path);
  }

  /** Node of a place below its callers; -1 when the tree is full. */
  place(callers: number, f: number, reason: number): number {
    const inner = this.tree.add(callers, f);
    return inner < 0 ? -1 : this.tree.add(inner, (REASON_LABEL | reason) >>> 0);
  }

  /** Parents of all nodes of the tree; the root is its own. */
  parents(): Uint32Array {
    const parents = this.tree.firsts();
    parents[0] = 0;
    return parents;
  }

  /** Samples after the last exit. */
  finish(endNs: number): void {
    while (this.#cursor.batch !== null) this.#takeUpTo(this.#icount, endNs);
  }

  /** Takes all samples up to an instruction count. */
  #takeUpTo(icount: number, timeNs: number): void {
    while (this.#cursor.batch !== null && this.#icount <= icount) {
      const at = this.#icount, c = this.#columns!, row = this.#cursor.row;
      if (at !== this.#waitingAt) {
        this.#waitingAt = at;
        this.#waiting = [];
      }
      const vcpu = c.vcpu[row], low = c.rip[row * 2], high = c.rip[row * 2 + 1];
      const callers = this.#callers(c, row);
      if (c.offsets[row + 1] > c.offsets[row] && this.#waiting.length < WAITING_MAX) {
        this.#waiting.push({ vcpu, low, high, callers });
      }
      if (this.interval > 0 && at % this.interval === 0) {
        const passed = (at - this.#before.icount) * this.nsPerInstruction;
        this.sampleTime.push(Math.min(timeNs, this.#before.timeNs + Math.max(0, passed)));
        this.samplePath.push(this.#child(callers, this.#function(low, high, c.cpl[row])));
      }
      this.#cursor.advance();
      this.#load();
    }
  }

  #load(): void {
    const { batch, row } = this.#cursor;
    if (batch === null) this.#icount = Infinity;
    else this.#icount = wide(this.#columns!.icount, row);
  }

  /** Node of a sample's callers, outermost first. */
  #callers(c: SampleColumns, row: number): number {
    const from = c.offsets[row], to = Math.min(c.offsets[row + 1], from + FRAMES_MAX);
    let node = 0;
    for (let i = to - 1; i >= from; i--) {
      // A call that never returns may be its function's last instruction.
      const low = c.frames[i * 2], high = c.frames[i * 2 + 1];
      const borrow = low === 0 ? 1 : 0;
      const inside = low === 0 && high === 0 ? 0 : (low - 1) >>> 0;
      const next = this.#child(
        node,
        this.#function(inside, high === 0 ? 0 : (high - borrow) >>> 0, c.cpl[row]),
      );
      if (next === node) break;
      node = next;
    }
    return node;
  }

  #function(low: number, high: number, cpl: number): number {
    const f = this.functions.at(low, high);
    return f === UNKNOWN && cpl === 3 ? USER : f;
  }

  /** Child of a node; the node itself when the tree is full. */
  #child(node: number, f: number): number {
    const child = this.tree.add(node, f);
    return child < 0 ? node : child;
  }
}

/** Columns of a batch of samples. */
class SampleColumns {
  readonly icount: Uint32Array;
  readonly vcpu: Uint16Array;
  readonly rip: Uint32Array;
  readonly cpl: Uint8Array;
  readonly offsets: Int32Array;
  readonly frames: Uint32Array;
  constructor(b: Batch) {
    this.icount = b.column("icount").u32;
    this.vcpu = b.column("vcpu").u16;
    this.rip = b.column("rip").u32;
    this.cpl = b.column("cpl").bytes;
    const stack = b.column("stack");
    this.offsets = stack.offsets;
    this.frames = stack.items[0].u32;
  }
}

/** A 64-bit value as a number. */
export function wide(words: Uint32Array, row: number): number {
  return words[row * 2] + words[row * 2 + 1] * 0x1_0000_0000;
}
