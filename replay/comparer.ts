/**
 * Observes a replayed machine and compares everything that passes its door with the recording.
 *
 * @module
 */
import type { Machine } from "../core/api.ts";
import type { ExitEvent, HypercallEvent, InterruptEvent, Observer, SampleEvent } from "../core/exits.ts";
import type { Input } from "../core/inputs.ts";
import type { Bundle } from "../traces/bundle.ts";
import { COUNTED_TABLES } from "./checkpoint_writer.ts";
import type { Checkpoint } from "./checkpoint_reader.ts";
import { Divergence } from "./divergence.ts";
import { actualValue, describeExit, ExitComparer } from "./exit_comparer.ts";
import {
  consoleValues,
  hypercallValues,
  inputValues,
  interruptValues,
  RowComparer,
  sampleValues,
  type Value,
} from "./row_comparer.ts";

/** Compares one machine with one recording. The first difference is thrown, and kept in `divergence`. */
export class Comparer implements Observer {
  divergence: Divergence | null = null;
  /** Behind a divergence: called with the first exit that is not as recorded. */
  onOtherExit: ((expected: string, actual: string) => void) | null = null;
  /** Called with guest output. */
  onText: ((device: string, bytes: Uint8Array) => void) | null = null;
  readonly #machine: Machine;
  readonly #exits: ExitComparer;
  readonly #rows: Record<Exclude<typeof COUNTED_TABLES[number], "exits">, RowComparer>;
  /** The last exit that happened, for messages; described only when needed. */
  #lastExit: ExitEvent | null = null;

  /** @param lenient events behind the recording's last row are no difference (the recording was cut there) */
  constructor(readonly bundle: Bundle, machine: Machine, readonly lenient: boolean) {
    this.#machine = machine;
    this.#exits = new ExitComparer(bundle.table("exits"));
    const rows = (table: string) => new RowComparer(bundle.table(table));
    this.#rows = {
      hypercalls: rows("hypercalls"),
      inputs: rows("inputs"),
      interrupts: rows("interrupts"),
      console: rows("console"),
      samples: rows("samples"),
    };
  }

  /** Row reached in a table. */
  reached(table: typeof COUNTED_TABLES[number]): number {
    return table === "exits" ? this.#exits.cursor.index : this.#rows[table].cursor.index;
  }

  /** Goes to the rows that follow a checkpoint. */
  seek(checkpoint: Pick<Checkpoint, "counts">): void {
    this.#exits.cursor.seek(checkpoint.counts.exits);
    for (const [table, r] of Object.entries(this.#rows)) {
      r.cursor.seek(checkpoint.counts[table as keyof Checkpoint["counts"]]);
    }
    this.divergence = null;
  }

  /** Throws a divergence, and keeps it in case something between here and the replayer swallows it. */
  diverge(
    table: string,
    row: number,
    column: string,
    expected: string,
    actual: string,
    exit?: ExitEvent,
  ): never {
    const last = exit ?? this.#lastExit;
    this.divergence = new Divergence({
      icount: exit?.icount ?? this.#machine.icount,
      rip: exit?.get(2) ?? this.#machine.where().rip,
      table,
      row,
      column,
      expected,
      actual,
      expectedExit: this.#exits.describeNext(),
      actualExit: last === null ? "none" : (exit ? "" : "none; the last one was ") + this.#describe(last),
    });
    throw this.divergence;
  }

  #describe(e: ExitEvent): string {
    return describeExit(e, this.bundle.table("exits").spec.columns.map((c) => c.name));
  }

  onExit(e: ExitEvent): void {
    if (this.divergence !== null) {
      if (this.onOtherExit !== null && this.#exits.check(e) !== null) {
        this.onOtherExit(this.#exits.describeNext(), this.#describe(e));
      }
      return;
    }
    const column = this.#exits.check(e);
    this.#lastExit = e;
    if (column === null) return;
    if (column === "" && this.lenient) return;
    const row = this.#exits.cursor.index, name = column === "" ? "icount" : column;
    this.diverge("exits", row, name, this.#exits.expected(name), actualValue(e, name), e);
  }

  #check(table: Exclude<typeof COUNTED_TABLES[number], "exits">, values: readonly Value[]): void {
    if (this.divergence !== null) return;
    const comparer = this.#rows[table];
    if (comparer.cursor.batch === null && this.lenient) return;
    const m = comparer.check(values);
    if (m !== null) this.diverge(table, comparer.cursor.index, m.column, m.expected, m.actual);
  }

  onHypercall(h: HypercallEvent): void {
    this.#check("hypercalls", hypercallValues(h));
  }

  onInterrupt(i: InterruptEvent): void {
    this.#check("interrupts", interruptValues(i));
  }

  onConsole(icount: number, timeNs: number, device: string, bytes: Uint8Array): void {
    this.#check("console", consoleValues(icount, timeNs, device, bytes));
    this.onText?.(device, bytes);
  }

  onInput(input: Omit<Input, "seq">): void {
    this.#check("inputs", inputValues(input, this.#rows.inputs.cursor.index));
  }

  onSample(s: SampleEvent): void {
    this.#check("samples", sampleValues(s));
  }

  /** Checks that as many rows were seen as a checkpoint counts. */
  expectCounts(counts: Checkpoint["counts"]): void {
    for (const table of COUNTED_TABLES) {
      const reached = this.reached(table);
      if (reached !== counts[table]) {
        this.diverge(
          table,
          Math.min(reached, counts[table]),
          "row",
          `${counts[table]} rows`,
          `${reached} rows`,
        );
      }
    }
  }
}
