/**
 * Records what passes the machine's one door out.
 *
 * @module
 */
import type { Machine } from "../core/api.ts";
import type { SymbolRow } from "../core/boot/guest_symbols.ts";
import type { ExitEvent, HypercallEvent, InterruptEvent, Observer, SampleEvent } from "../core/exits.ts";
import type { Input } from "../core/inputs.ts";
import { EPOCH } from "../core/machine.ts";
import { PAGE_SIZE } from "../core/mmu/physmem.ts";
import type { Outcome } from "../core/outcome.ts";
import type { BundleWriter } from "../traces/bundle_writer.ts";
import { StorageError } from "../traces/errors.ts";
import { hex } from "../traces/hex.ts";
import { CheckpointWriter } from "./checkpoint_writer.ts";
import { EventWriter, HypercallWriter } from "./event_writer.ts";
import { ExitWriter } from "./exit_writer.ts";

/** What a caller may choose about a recording. */
export interface RecorderOptions {
  /**
   * Instructions between checkpoints. 0: only at the start and at the end. Left out: short at first, longer as
   * checkpoints come to take as much room as the rest of the recording; never chosen by the host's speed.
   */
  checkpointInterval?: number;
  /** Instructions after which what was recorded is written out; what a host that dies takes with it. */
  commitInterval?: number;
}

/**
 * Shortest automatic interval, which going anywhere and replaying from there is quick with, and longest one. Both are
 * multiples of `EPOCH`, where a machine has no translations that a checkpoint would lose.
 */
const AUTO_MIN = 2 * EPOCH, AUTO_MAX = 128 * EPOCH;
/**
 * Sixteenths of what the rest of the recording takes that checkpoints may have cost before intervals grow; each further
 * one doubles them. Where few pages change, they grow a little later. What counts as the rest leaves out the pages of the
 * end, so that a recording stays below twice the size that it would have without checkpoints.
 */
const GROW = 22, GROW_CHEAP = 24, CHEAP_PAGES = 128;
/**
 * Where hardly anything leaves the guest, compiled code runs through the shortest interval in ten milliseconds: there a
 * checkpoint comes after `QUIET_MIN` at the earliest and `QUIET_PER_PAGE` for each page it hashes, which keeps it below 3 %
 * of the time. Quiet: at most one exit in `QUIET_PER_EXIT` instructions.
 */
const QUIET_MIN = 8 * EPOCH, QUIET_MAX = 16 * EPOCH, QUIET_PER_PAGE = 1 << 19, QUIET_PER_EXIT = 1 << 18;
/** Pages whose hashing costs about what storing one does; bytes of an exit and what comes with it. */
const HASHED_PER_STORED = 16, EXIT_BYTES = 110;
/** Default of `commitInterval`; where nothing was recorded since, the next commit may be this many intervals away. */
const COMMIT_INTERVAL = 16e6, COMMIT_SKIPS = 32;

/** Records one machine into one bundle. Attach it as `machine.observer`; `start`, `tick` and `finish` drive it. */
export class Recorder implements Observer {
  /** Why recording stopped before the run did, in one sentence; null while all is well. */
  stopped: string | null = null;
  /** Called with guest output, whether or not recording has stopped. */
  onText: ((device: string, bytes: Uint8Array, icount: number, timeNs: number) => void) | null = null;
  readonly #exits: ExitWriter;
  readonly #hypercalls: HypercallWriter;
  readonly #events: EventWriter;
  readonly #checkpoints: CheckpointWriter;
  /** Stored pages of the checkpoint at the start, and pages hashed for all later ones. */
  #firstPages = 0;
  #hashedPages = 0;
  #interval = AUTO_MIN;
  /** Exits and icount at the last checkpoint. */
  #lastExits = 0;
  #lastIcount = 0;
  #nextCheckpoint = Infinity;
  #nextCommit = Infinity;
  /** icount at which a commit is made even if nothing was recorded. */
  #latestCommit = Infinity;

  constructor(
    readonly bundle: BundleWriter,
    readonly machine: Machine,
    readonly options: RecorderOptions = {},
  ) {
    this.#exits = new ExitWriter(bundle.table("exits"));
    this.#hypercalls = new HypercallWriter(bundle.table("hypercalls"));
    this.#events = new EventWriter(bundle);
    this.#checkpoints = new CheckpointWriter(bundle, machine);
  }

  /**
   * Takes the checkpoint at the start: the machine must be as it was made.
   * @param asked inputs the machine asked for while it was being made, unless it kept them for its first observer
   */
  start(asked: readonly Omit<Input, "seq">[] = []): void {
    this.#guard(() => {
      if (this.bundle.table("inputs").rows === 0) { for (const i of asked) this.#events.input(i); }
      // Recordings of version 1 have these pages inside.
      this.#checkpoints.write(this.bundle.manifest.version >= 2);
      this.#firstPages = this.bundle.table("pages").rows;
      this.#schedule();
      this.#commit();
    });
  }

  /** icount at which the machine must be stopped next, so that a checkpoint or commit can be made. */
  get nextStop(): number {
    return this.stopped === null ? Math.min(this.#nextCheckpoint, this.#nextCommit) : Infinity;
  }

  /**
   * To be called between runs. Batches end where the instruction count says, never where the host's clock does: two
   * recordings of one run are the same bytes.
   * @param atLimit the machine stopped because its limit was reached
   */
  tick(atLimit: boolean): void {
    this.#guard(() => {
      const { icount } = this.machine, due = atLimit && icount >= this.#nextCheckpoint;
      // Also before a checkpoint: should its pages not fit on the disk, the events before it are kept.
      if (due || icount >= this.#nextCommit) {
        if (due || this.bundle.waiting || icount >= this.#latestCommit) this.#commit();
        else this.#nextCommit = icount + this.#commitInterval;
      }
      if (due) {
        this.#checkpoints.write();
        this.#hashedPages += this.#checkpoints.hashedPages;
        this.#schedule();
        this.#commit();
      }
    });
  }

  /** Writes out what waits now; to be called between runs. */
  commit(): void {
    this.#guard(() => this.#commit());
  }

  /** Writes what the guest's addresses are called; to be called once, before `finish`. */
  symbols(rows: readonly SymbolRow[]): void {
    this.#guard(() => rows.forEach((s) => this.#events.symbol(s)));
  }

  /** Takes the last checkpoint and closes the bundle. @returns the final state hash; null when recording had stopped */
  finish(outcome: Outcome): string | null {
    let stateHash: string | null = null;
    this.#guard(() => {
      const m = this.machine;
      this.#commit();
      const hash = hex(this.#checkpoints.write());
      this.bundle.close({
        outcome,
        icount: m.icount,
        timeNs: Math.floor(m.timeNs),
        exits: this.bundle.table("exits").rows,
        hypercalls: this.bundle.table("hypercalls").rows,
        inputs: this.bundle.table("inputs").rows,
        stateHash: hash,
      });
      stateHash = hash;
    });
    return stateHash;
  }

  #schedule(): void {
    const { checkpointInterval } = this.options, { icount } = this.machine;
    if (checkpointInterval !== undefined) {
      this.#nextCheckpoint = checkpointInterval === 0 ? Infinity : icount + checkpointInterval;
      return;
    }
    const interval = this.#automaticInterval();
    this.#nextCheckpoint = Math.floor(icount / EPOCH) * EPOCH + interval;
  }

  /** Grows with what checkpoints have cost so far, measured by what the rest of the recording takes. */
  #automaticInterval(): number {
    const { bundle } = this, cheap = this.#checkpoints.hashedPages <= CHEAP_PAGES;
    const stored = bundle.table("pages").rows - this.#firstPages;
    const cost = (stored + this.#hashedPages / HASHED_PER_STORED) * PAGE_SIZE;
    const images = bundle.manifest.images.reduce((sum, i) => sum + i.bytes, 0);
    // Counted in rows: bytes are written when the host gets round to it.
    const rest = images + this.#firstPages * PAGE_SIZE + bundle.table("exits").rows * EXIT_BYTES;
    const part = Math.floor(16 * cost / rest) - (cheap ? GROW_CHEAP : GROW);
    const wanted = Math.min(AUTO_MAX, Math.max(AUTO_MIN * 2 ** Math.max(0, part), this.#quietInterval()));
    return this.#interval = Math.min(wanted, this.#interval * 2);
  }

  /** Least interval when little has happened since the last checkpoint, else 0. */
  #quietInterval(): number {
    const exits = this.bundle.table("exits").rows, { icount } = this.machine;
    const ran = icount - this.#lastIcount, quiet = (exits - this.#lastExits) * QUIET_PER_EXIT < ran;
    this.#lastExits = exits;
    this.#lastIcount = icount;
    const pages = Math.ceil(this.#checkpoints.hashedPages * QUIET_PER_PAGE / EPOCH) * EPOCH;
    return quiet ? Math.min(QUIET_MAX, Math.max(QUIET_MIN, pages)) : 0;
  }

  get #commitInterval(): number {
    return this.options.commitInterval ?? COMMIT_INTERVAL;
  }

  #commit(): void {
    const { icount } = this.machine;
    this.bundle.commit(icount);
    this.#nextCommit = icount + this.#commitInterval;
    this.#latestCommit = icount + this.#commitInterval * COMMIT_SKIPS;
  }

  /** Runs something that writes; a full disk ends the recording and not the run. */
  #guard(write: () => void): void {
    if (this.stopped !== null) return;
    try {
      write();
    } catch (e) {
      this.#fail(e);
    }
  }

  #fail(e: unknown): void {
    if (!(e instanceof StorageError)) throw e;
    this.stopped =
      `Recording stopped at icount ${this.machine.icount} because the trace cannot be written (${e.message}); ` +
      "what was recorded before can be replayed.";
    this.bundle.abandon();
  }

  onExit(e: ExitEvent): void {
    if (this.stopped !== null) return;
    try {
      this.#exits.write(e);
    } catch (error) {
      this.#fail(error);
    }
  }

  onHypercall(h: HypercallEvent): void {
    this.#guard(() => this.#hypercalls.write(h));
  }

  onInterrupt(i: InterruptEvent): void {
    this.#guard(() => this.#events.interrupt(i));
  }

  onConsole(icount: number, timeNs: number, device: string, bytes: Uint8Array): void {
    this.#guard(() => this.#events.console(icount, timeNs, device, bytes));
    this.onText?.(device, bytes, icount, timeNs);
  }

  onInput(input: Input): void {
    this.#guard(() => this.#events.input(input));
  }

  onSample(s: SampleEvent): void {
    this.#guard(() => this.#events.sample(s));
  }
}
