/**
 * A recording being re-executed: goes to any icount, comparing on the way.
 *
 * @module
 */
import type { CreateMachine, Machine } from "../core/api.ts";
import type { Bundle } from "../traces/bundle.ts";
import { TraceError } from "../traces/errors.ts";
import { hex } from "../traces/hex.ts";
import { type Checkpoint, CheckpointReader, listCheckpoints } from "./checkpoint_reader.ts";
import { COUNTED_TABLES } from "./checkpoint_writer.ts";
import { Comparer } from "./comparer.ts";
import { Divergence } from "./divergence.ts";
import { CapturingInputs, InputMismatch, TraceInputs } from "./inputs.ts";
import { GuestMemory, type MemoryImage, type PageSetter, StoredPages } from "./memory_image.ts";
import { PageKindCode, StateHasher, ZERO_PAGE_HASH } from "./state_hash.ts";

/** Times a run to one and the same icount is repeated until the recorded inputs and jumps at it have happened. */
const REPEATS_MAX = 64;

/** Instructions that are run behind a divergence to find an exit that shows it. */
const EXPLAIN_INSTRUCTIONS = 50e6;

/** One machine under replay. */
export class ReplaySession {
  readonly machine: Machine;
  readonly checkpoints: Checkpoint[];
  readonly comparer: Comparer;
  readonly #inputs: TraceInputs;
  readonly #hasher: StateHasher;
  readonly #memory: GuestMemory;
  readonly #reader: CheckpointReader;
  /** Pages that changed since they were hashed, as far as the machine has been asked. */
  readonly #unhashed = new Set<number>();
  /** Pages that changed since memory was restored or captured, likewise. */
  readonly #untold = new Set<number>();
  /** Memory is what the machine was made with, and what has changed since. */
  #fresh = true;
  /** Checkpoints whose hashes were found equal. */
  compared = 0;

  /**
   * Makes the machine from the images inside.
   * @param create also asked for a second machine when pages as loaded are wanted that the first has changed
   * @throws GuestError, TraceError, Divergence
   */
  constructor(readonly bundle: Bundle, create: CreateMachine) {
    this.#inputs = new TraceInputs(bundle);
    this.checkpoints = listCheckpoints(bundle);
    const images = bundle.images(), captured = new CapturingInputs(this.#inputs);
    this.machine = this.#diverging(() => create(bundle.manifest.config, images, captured));
    this.#hasher = new StateHasher(this.machine.mem);
    const stored = new StoredPages(
      bundle.table("pages"),
      () => create(bundle.manifest.config, images, new TraceInputs(bundle)).mem,
    );
    this.#memory = new GuestMemory(this.machine, stored);
    this.#reader = new CheckpointReader(bundle, stored);
    this.comparer = new Comparer(bundle, this.machine, bundle.recovered);
    this.machine.observer = this.comparer;
    // It is now as at the first checkpoint: only what changes from here on is another page.
    for (const gfn of this.machine.takeDirtyPages()) this.#unhashed.add(gfn);
    // A machine may have kept them for its first observer.
    const asked = captured.release();
    if (this.comparer.reached("inputs") === 0) { for (const i of asked) this.comparer.onInput(i); }
  }

  /** Turns what inputs throw into a divergence; rethrows one that was swallowed on its way. */
  #diverging<T>(run: () => T): T {
    try {
      const result = run();
      if (this.comparer?.divergence) throw this.comparer.divergence;
      return result;
    } catch (e) {
      if (this.comparer?.divergence) throw this.comparer.divergence;
      if (!(e instanceof InputMismatch)) throw e;
      if (this.comparer) this.comparer.diverge("inputs", e.row, e.column, e.expected, e.actual);
      throw new Divergence({
        icount: 0,
        rip: 0n,
        table: "inputs",
        row: e.row,
        column: e.column,
        expected: e.expected,
        actual: e.actual,
        expectedExit: "none yet: the machine is being made",
        actualExit: "none yet: the machine is being made",
      });
    }
  }

  /** Runs on to an icount. @throws Divergence */
  runTo(icount: number): "limit" | "ended" | "waiting" {
    return this.#diverging(() => this.machine.runUntil(icount));
  }

  /** Holds inputs back that lie behind a checkpoint, even at its own icount; null: none. */
  holdBehind(c: Checkpoint | null): void {
    this.#inputs.barrier = c?.counts.inputs ?? Infinity;
  }

  /** Runs on to a checkpoint and compares its hash. @throws Divergence */
  runToCheckpoint(c: Checkpoint): void {
    this.holdBehind(c);
    for (let i = 0; i < REPEATS_MAX; i++) {
      const before = this.machine.icount;
      const why = this.runTo(c.icount);
      if (why === "limit" && this.#arrived(c)) break;
      if (this.machine.icount === before && i > 0 && why !== "limit") break;
    }
    this.compareState(c);
    this.holdBehind(null);
  }

  /** True when the inputs and jumps of time before a checkpoint have all happened. */
  #arrived(c: Checkpoint): boolean {
    return Math.floor(this.machine.timeNs) >= c.timeNs && this.comparer.reached("inputs") >= c.counts.inputs;
  }

  /** Compares the machine as it is with a checkpoint. @throws Divergence */
  compareState(c: Checkpoint): void {
    const m = this.machine, d = this.comparer;
    if (m.icount !== c.icount) d.diverge("checkpoints", c.row, "icount", String(c.icount), String(m.icount));
    d.expectCounts(c.counts);
    const timeNs = Math.floor(m.timeNs);
    if (timeNs !== c.timeNs) d.diverge("checkpoints", c.row, "time_ns", String(c.timeNs), String(timeNs));
    this.#rehash();
    const actual = hex(this.#hasher.digest(m.saveState())), expected = hex(c.hash);
    if (actual !== expected) d.diverge("checkpoints", c.row, "hash", expected, actual);
    this.compared++;
  }

  /**
   * Runs a little behind a divergence that no exit has shown yet, to find the exit that does.
   * @returns the divergence with both sides' exits where one was found
   */
  explain(d: Divergence): Divergence {
    if (d.facts.table === "exits" || this.comparer.divergence !== d || this.machine.outcome !== null) {
      return d;
    }
    let found = d;
    this.holdBehind(null);
    const stop = new Error("the exit is found");
    this.comparer.onOtherExit = (expectedExit, actualExit) => {
      found = new Divergence({ ...d.facts, expectedExit, actualExit });
      throw stop;
    };
    try {
      const why = this.machine.runUntil(this.machine.icount + EXPLAIN_INSTRUCTIONS);
      if (why === "waiting" && found === d) {
        found = new Divergence({
          ...d.facts,
          actualExit: `none: the machine waits for input at icount ${this.machine.icount}`,
        });
      }
    } catch (e) {
      // What goes wrong behind a divergence explains nothing.
      if (e !== stop) found = d;
    }
    this.comparer.onOtherExit = null;
    return found;
  }

  /** Hash of the machine as it is. */
  stateHash(): string {
    this.#rehash();
    return hex(this.#hasher.digest(this.machine.saveState()));
  }

  #rehash(): void {
    this.#noteChanges();
    this.#hasher.update([...this.#unhashed]);
    this.#unhashed.clear();
  }

  /** Guest pages that changed since memory was last captured or restored; hashes still learn of them. */
  #takeUntold(): number[] {
    this.#noteChanges();
    const changed = [...this.#untold];
    this.#untold.clear();
    return changed;
  }

  #noteChanges(): void {
    for (const gfn of this.machine.takeDirtyPages()) {
      this.#unhashed.add(gfn);
      this.#untold.add(gfn);
    }
  }

  /** Rows of each table that were reached. */
  counts(): Checkpoint["counts"] {
    return Object.fromEntries(
      COUNTED_TABLES.map((t) => [t, this.comparer.reached(t)]),
    ) as Checkpoint["counts"];
  }

  /** Guest memory as it is, and how many pages changed since the last time. There must have been a restore before. */
  capture(): { image: MemoryImage; changed: number } {
    const changed = this.#takeUntold();
    return { image: this.#memory.capture(changed), changed: changed.length };
  }

  /** Makes guest memory what an image says, and keeps the hasher in step. */
  #restoreMemory(to: MemoryImage): void {
    const hasher = this.#hasher, unhashed = this.#unhashed;
    if (this.#fresh) this.#memory.assume(this.#reader.read(0).image);
    else if (this.#memory.unknown) hasher.clear();
    this.#fresh = false;
    const tell: PageSetter = (gfn, page, hash) => {
      if (page !== null && page.id < 0) {
        unhashed.add(gfn);
        return;
      }
      unhashed.delete(gfn);
      const kind = page?.rom ? PageKindCode.rom : PageKindCode.ram;
      hasher.set(gfn, kind, page === null ? null : hash ?? ZERO_PAGE_HASH);
    };
    this.#memory.restore(to, this.#takeUntold(), tell);
    // What was written just now is known.
    this.machine.takeDirtyPages();
  }

  /**
   * Puts the machine where it has been before.
   * @param image what `capture` answered there
   * @param loadState restores all else
   * @param counts what `counts` answered there
   */
  resume(image: MemoryImage, loadState: () => void, counts: Checkpoint["counts"]): void {
    this.machine.observer = null;
    this.#restoreMemory(image);
    loadState();
    this.#goOn(counts);
  }

  /** Restores a checkpoint. @throws TraceError when the restored machine's hash is not the checkpoint's */
  restore(c: Checkpoint): void {
    const { machine } = this, { image, state } = this.#reader.read(c.row);
    const where = { table: "checkpoints", batch: null, offset: null };
    machine.observer = null;
    this.#restoreMemory(image);
    try {
      machine.loadState(state);
    } catch (e) {
      const why = e instanceof Error ? e.message : String(e);
      throw new TraceError(`The state of checkpoint ${c.row} cannot be loaded: ${why}`, where);
    }
    if (this.stateHash() !== hex(c.hash)) {
      throw new TraceError(`Checkpoint ${c.row} does not restore to the state it was taken of`, where);
    }
    this.#goOn(c.counts);
  }

  #goOn(counts: Checkpoint["counts"]): void {
    this.#inputs.seek(counts.inputs);
    this.comparer.seek({ counts });
    this.machine.observer = this.comparer;
  }

  /**
   * Goes to an icount, forwards or backwards: from where the machine is or from the nearest earlier checkpoint,
   * whichever is nearer. @throws Divergence, TraceError
   */
  seek(icount: number): void {
    let from = this.checkpoints[0];
    // The last checkpoint of a closed recording is of a machine that has ended: it cannot go on.
    const usable = this.bundle.recovered ? this.checkpoints : this.checkpoints.slice(0, -1);
    for (const c of usable) if (c.icount <= icount) from = c;
    const here = this.machine.icount;
    const stay = this.machine.outcome === null && here <= icount &&
      (from === undefined || here >= from.icount);
    if (!stay && from !== undefined) this.restore(from);
    this.runTo(icount);
  }

  /** True when no recorded row is left. */
  get exhausted(): boolean {
    return COUNTED_TABLES.every((t) => this.comparer.reached(t) >= this.bundle.table(t).rows);
  }
}
