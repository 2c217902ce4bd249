/**
 * Tables that were never recorded: computed by executing a window of a recording again, with somebody looking on.
 *
 * @module
 */
import type { Told } from "../../core/cpu/instrument/emit.ts";
import { EventInstrument, type Range } from "../../core/cpu/instrument/events.ts";
import { RangeWatch } from "../../core/cpu/instrument/range_watch.ts";
import { createMachine, type RetrovisorMachine } from "../../core/machine.ts";
import type { Bundle } from "../../traces/bundle.ts";
import type { Checkpoint } from "../checkpoint_reader.ts";
import { ReplaySession } from "../session.ts";
import type { ScanTable } from "./rows.ts";
import { AccessSink, InstructionSink, TransferSink, type Window } from "./sinks.ts";

/** Tables that can be computed. */
export const SCAN_TABLES = ["memory_writes", "memory_reads", "instructions", "calls", "branches"] as const;
/** One of them. */
export type ScanKind = typeof SCAN_TABLES[number];

/** What is to be computed. */
export interface ScanRequest extends Window {
  table: ScanKind;
  /** Only accesses to these addresses; null: to any. */
  range: Range | null;
}

/** A piece of a window that can be computed by itself. */
export interface Segment extends Window {
  /** Number of the checkpoint it starts from. */
  start: number;
  /** Number of the checkpoint it ends at, inputs and all; -1: at `to`. */
  end: number;
}

/** Ranges up to this many bytes are watched while the usual engines run. */
const WATCHED_MAX = 64 << 10;
/** Instructions between two reports of progress. */
const REPORT_EVERY = 4 << 20;

/** icount of a recording's end. */
export function endOf(bundle: Bundle): number {
  return bundle.manifest.closing?.icount ?? bundle.icount;
}

/** Checkpoints that execution can start from; the last one of a closed recording is of a machine that has ended. */
export function usable(bundle: Bundle, checkpoints: readonly Checkpoint[]): readonly Checkpoint[] {
  return bundle.recovered ? checkpoints : checkpoints.slice(0, -1);
}

/** Cuts a window at the checkpoints inside it. */
export function segmentsOf(window: Window, checkpoints: readonly Checkpoint[]): Segment[] {
  const { from, to } = window;
  const first = Math.max(0, checkpoints.findLastIndex((c) => c.icount < from));
  const out: Segment[] = [];
  for (let start = first; start < checkpoints.length; start++) {
    const at = start === first ? from : checkpoints[start].icount;
    if (start > first && at >= to) break;
    const next = checkpoints[start + 1], end = next !== undefined && next.icount < to ? start + 1 : -1;
    out.push({ from: at, to: end < 0 ? to : next.icount + 1, start, end });
    if (end < 0) break;
  }
  return out;
}

/** A recording opened for scanning. */
export class Scanner {
  readonly session: ReplaySession;
  readonly machine: RetrovisorMachine;
  readonly #end: number;
  /** Asked now and then: true ends the scan. */
  interrupted: () => boolean = () => false;

  /** @throws TraceError, GuestError, Divergence */
  constructor(bundle: Bundle) {
    const made: RetrovisorMachine[] = [];
    this.session = new ReplaySession(bundle, (config, images, inputs) => {
      const machine = createMachine(config, images, inputs);
      made.push(machine);
      return machine;
    });
    this.machine = made[0];
    this.#end = endOf(bundle);
  }

  /**
   * Executes a segment and keeps what a request asks for.
   * @param progress told how many instructions more have been executed
   * @throws TooManyRows, Divergence, TraceError
   */
  scan(
    request: ScanRequest,
    segment: Segment,
    progress: (instructions: number) => void,
    most?: number,
  ): ScanTable {
    const { session, machine } = this;
    session.restore(session.checkpoints[segment.start]);
    // What happens at the window's very first count before an instruction belongs to it.
    this.run(Math.max(machine.icount, segment.from - 1), progress);
    const watcher = this.#watcher(request, segment, most);
    watcher.attach();
    try {
      const end = session.checkpoints[segment.end];
      if (end === undefined) this.run(Math.min(segment.to, this.#end), progress);
      else {
        session.holdBehind(end);
        this.run(end.icount, progress);
        session.runToCheckpoint(end);
      }
    } finally {
      watcher.detach();
    }
    return watcher.finish();
  }

  /** Runs to an icount, if the run does not end before. */
  run(to: number, progress: (instructions: number) => void = () => {}): void {
    const { session, machine } = this;
    while (machine.icount < to && machine.outcome === null && !this.interrupted()) {
      const before = machine.icount, why = session.runTo(Math.min(to, before + REPORT_EVERY));
      progress(machine.icount - before);
      if (why !== "limit" && machine.icount === before) return;
    }
  }

  #watcher(r: ScanRequest, window: Window, most?: number) {
    const { machine } = this, { cpu } = machine;
    const told: Told = { reads: false, writes: false, instructions: false, branches: false, digest: false };
    if (r.table === "memory_writes" || r.table === "memory_reads") {
      told[r.table === "memory_writes" ? "writes" : "reads"] = true;
      const sink = new AccessSink(machine, window, r.range, most);
      const narrow = r.range !== null && r.range.bytes <= WATCHED_MAX;
      const watch = narrow && r.range !== null
        ? new RangeWatch(cpu, told, sink, r.range)
        : new EventInstrument(cpu, told, sink, r.range);
      return { attach: () => watch.attach(), detach: () => watch.detach(), finish: () => sink.finish() };
    }
    if (r.table === "instructions") {
      told.instructions = true;
      const sink = new InstructionSink(machine, window, most);
      const watch = new EventInstrument(cpu, told, sink, null);
      return {
        attach: () => watch.attach(),
        detach: () => watch.detach(),
        finish: () => sink.finish(watch.codes),
      };
    }
    told.branches = true;
    const sink = new TransferSink(machine, window, r.table === "calls", most);
    const watch = new EventInstrument(cpu, told, sink, null);
    return { attach: () => watch.attach(), detach: () => watch.detach(), finish: () => sink.finish() };
  }
}
