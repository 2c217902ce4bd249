/**
 * Travels through a recording: to any instruction, and to breakpoints and watchpoints in both directions.
 *
 * A place is an instruction count. Interrupts and faults enter their handlers without retiring an instruction, so one
 * count may see several instruction addresses; the place of a count is the first of them. A breakpoint at a later one
 * is reached by running from there.
 *
 * @module
 */
import { type DebugStop, DebugStops } from "../core/cpu/debug_stops.ts";
import { EPOCH, type RetrovisorMachine } from "../core/machine.ts";
import type { WatchHit, Watchpoint } from "../core/mmu/watch.ts";
import type { Checkpoint } from "./checkpoint_reader.ts";
import type { Arrival, Runs } from "./gdb/debuggee.ts";
import { eventLoopTurn, Pacer } from "./pacing.ts";
import type { ReplaySession } from "./session.ts";
import { type Snapshot, Snapshots } from "./snapshots.ts";

/** A stop found on the way, and how to come back to it. */
interface Found {
  icount: number;
  address: number;
  hit: WatchHit | null;
}

/** Snapshots are made this far in front of a destination, so that the way back from it is short. */
const APPROACH = [1 << 20, 1 << 16, 1 << 12, 1 << 8];
/** Restoring a checkpoint from the recording costs about as much as running this many instructions. */
const RESTORE_COST = 20e6;

/** Goes through one recording. */
export class Traveler implements Runs {
  readonly live = false;
  readonly machine: RetrovisorMachine;
  readonly debug: DebugStops;
  readonly snapshots: Snapshots;
  /** icount of the recording's end. */
  readonly end: number;
  /** Linear addresses. */
  readonly breakpoints: Set<number> = new Set();
  watchpoints: Watchpoint[] = [];
  /** Asked now and then: true ends the journey. */
  interrupted: () => boolean = () => false;
  readonly #usable: Checkpoint[];
  readonly #pacer = new Pacer();
  /** The machine is behind the first instruction address of its icount. */
  #inside = false;

  constructor(readonly session: ReplaySession, machine: RetrovisorMachine) {
    const { bundle, checkpoints } = session;
    this.machine = machine;
    this.debug = new DebugStops(machine.cpu.s, machine.cpu.mmu, machine.cpu.code, machine.clock);
    machine.cpu.debug = this.debug;
    this.snapshots = new Snapshots(session, machine);
    this.end = bundle.manifest.closing?.icount ?? bundle.icount;
    // The last checkpoint of a closed recording is of a machine that has ended.
    this.#usable = bundle.recovered ? checkpoints : checkpoints.slice(0, -1);
    // Memory is known from here on.
    if (this.#usable.length > 0) session.restore(this.#usable[0]);
  }

  /** Instructions retired. */
  get icount(): number {
    return this.machine.icount;
  }

  /** Goes to an icount. @throws Divergence, TraceError */
  async seek(icount: number): Promise<Arrival> {
    const to = Math.max(0, Math.min(icount, this.end));
    this.debug.set(new Set(), []);
    this.#nearest(to);
    await this.#run(to, true);
    if (this.machine.icount < to) return this.#short();
    return icount > this.end ? { kind: "end" } : { kind: "there" };
  }

  /** Makes a snapshot here, unless the place is inside an icount. */
  remember(): void {
    if (!this.#inside) this.snapshots.take();
  }

  /** One instruction forward. */
  async step(): Promise<Arrival> {
    const before = this.icount;
    if (before >= this.end || this.machine.outcome !== null) return { kind: "end" };
    this.debug.set(new Set(), this.watchpoints);
    const found = await this.#run(before + 1, false);
    if (found?.hit) return { kind: "watchpoint", hit: found.hit };
    if (this.icount > before) return { kind: "there" };
    return this.machine.outcome !== null ? { kind: "end" } : this.#short();
  }

  /** One instruction back. */
  async stepBack(): Promise<Arrival> {
    const at = this.icount;
    if (this.#inside) {
      const address = this.debug.address(), arrival = await this.seek(at);
      if (arrival.kind !== "there" || this.debug.address() !== address) return arrival;
    }
    return at === 0 ? { kind: "begin" } : await this.seek(at - 1);
  }

  /** On to the next breakpoint or watchpoint, or the recording's end. */
  async resume(): Promise<Arrival> {
    this.debug.set(this.breakpoints, this.watchpoints);
    this.debug.skipHere();
    const found = await this.#run(this.end, false);
    if (found?.hit) return { kind: "watchpoint", hit: found.hit };
    if (found !== null) return { kind: "breakpoint" };
    return this.icount >= this.end ? { kind: "end" } : this.#short();
  }

  /** Back to the last breakpoint or watchpoint before here, or the recording's beginning. */
  async resumeBack(): Promise<Arrival> {
    const here = this.icount;
    for (let end = here; end > 0;) {
      const start = this.#before(end);
      this.debug.set(new Set(), []);
      this.#restore(start);
      const from = this.icount;
      const found = await this.#lastStop(end);
      if (this.interrupted()) {
        await this.seek(here);
        return { kind: "interrupted" };
      }
      if (found !== null) return await this.#return(found);
      end = from;
    }
    await this.seek(0);
    return { kind: "begin" };
  }

  /** Runs to an icount over all stops. @returns the last one that came before it */
  async #lastStop(end: number): Promise<Found | null> {
    let last: Found | null = null;
    this.debug.set(this.breakpoints, this.watchpoints);
    this.debug.skipNothing();
    while (this.icount < end) {
      const found = await this.#run(end, false);
      if (found === null) return last;
      if (found.icount < end) last = found;
      // Behind a watchpoint's instruction there may be a breakpoint.
      if (found.hit === null) this.debug.skipHere();
      else this.debug.skipNothing();
    }
    return last;
  }

  /** Goes back to a stop that was found. */
  async #return(to: Found): Promise<Arrival> {
    await this.seek(to.icount);
    if (to.hit !== null) return { kind: "watchpoint", hit: to.hit };
    // The breakpoint may be where an interrupt or a fault at this icount leads.
    if (this.debug.address() !== to.address) {
      this.debug.set(new Set([to.address]), []);
      this.debug.skipNothing();
      await this.#run(to.icount + 1, false);
    }
    return { kind: "breakpoint" };
  }

  /** Travelling ended early. */
  #short(): Arrival {
    return this.interrupted() ? { kind: "interrupted" } : { kind: "end" };
  }

  /** The last place before an icount that can be restored. */
  #before(icount: number): Snapshot | Checkpoint | null {
    const snapshot = this.snapshots.before(icount - 1);
    const stored = this.#usable.findLast((c) => c.icount < icount) ?? null;
    if (snapshot === null || (stored !== null && stored.icount > snapshot.icount)) return stored;
    return snapshot;
  }

  /** Makes the machine be at or before an icount, as near as is cheap. */
  #nearest(icount: number): void {
    const here = this.machine.outcome === null && !this.#inside && this.icount <= icount ? this.icount : -1;
    const snapshot = this.snapshots.before(icount);
    const stored = this.#usable.findLast((c) => c.icount <= icount) ?? null;
    const known = Math.max(here, snapshot?.icount ?? -1);
    if (known < 0 || (stored !== null && stored.icount > known + RESTORE_COST)) this.#restore(stored);
    else if (known > here) this.#restore(snapshot);
  }

  #restore(place: Snapshot | Checkpoint | null): void {
    if (place === null) {
      throw new RangeError("Cannot travel back: the recording has no checkpoint to start from");
    }
    this.#inside = false;
    if ("image" in place) return this.snapshots.restore(place);
    this.session.restore(place);
  }

  /**
   * Runs to an icount, or to a stop.
   * @param approach the destination is where the user wants to be: snapshots are made on the last stretch
   * @returns the stop; null: the icount was reached, or the run ended or was interrupted before
   */
  async #run(to: number, approach: boolean): Promise<Found | null> {
    const { machine, debug, session } = this;
    debug.stop = null;
    while (machine.icount < to && machine.outcome === null) {
      const before = machine.icount, snap = nextSnapshot(before, approach ? to : Infinity);
      const target = Math.min(this.#pacer.limit(before, to), snap);
      const why = session.runTo(target);
      const stop = debug.stop as DebugStop | null;
      if (stop !== null) {
        this.#inside = stop.watch === null;
        return { icount: stop.watch?.icount ?? stop.icount, address: stop.address, hit: stop.watch };
      }
      this.#inside = false;
      if (why !== "limit" && machine.icount === before) return null;
      if (machine.icount === snap) this.snapshots.take();
      if (machine.icount < to) {
        this.#pacer.measure();
        await eventLoopTurn();
        if (this.interrupted()) return null;
      }
    }
    return null;
  }
}

/** Where the next snapshot is due. */
function nextSnapshot(icount: number, to: number): number {
  let next = (Math.floor(icount / EPOCH) + 1) * EPOCH;
  for (const d of APPROACH) if (to - d > icount) next = Math.min(next, to - d);
  return next;
}
