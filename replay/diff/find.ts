/**
 * Finds the first instruction at which two executions part.
 *
 * Both run side by side from a place where their processors are in one state; guest memory may differ already, by what
 * came from outside (an input, a flipped bit). That difference is the cause. An instruction differs by effect when what it
 * leaves, in any register or in memory, is different by more than the cause; one that only meets the cause (reads it, and
 * comes to the same result) does not.
 *
 * Runs of instructions are compared by digests of everything the processors did (`core/cpu/instrument/digest.ts`), from
 * the first instruction that meets the cause on by digests of everything they left. A run with different digests is halved
 * until one instruction is left, which is then executed alone in both and judged by its effect. No effect is passed over:
 * every register and byte that an instruction leaves is in both kinds of digest; one that differs for another reason costs
 * a look.
 *
 * @module
 */
import { DigestInstrument } from "../../core/cpu/instrument/digest.ts";
import { EventInstrument } from "../../core/cpu/instrument/events.ts";
import type { Checkpoint } from "../checkpoint_reader.ts";
import type { MemoryImage } from "../memory_image.ts";
import { eventLoopTurn } from "../pacing.ts";
import type { Scanner } from "../scan/scan.ts";
import { AccessSink } from "../scan/sinks.ts";
import {
  differingMemory,
  differingRegisters,
  differs,
  type MemoryDifference,
  type RegisterDifference,
  within,
} from "./state.ts";

/** Shortest and longest run that is compared at once, in instructions. */
const RUN_MIN = 1 << 12, RUN_MAX = 1 << 22;

/** A machine under replay, and places it can be put back to. */
class Side {
  digest: DigestInstrument;

  constructor(readonly scanner: Scanner) {
    this.digest = new DigestInstrument(scanner.machine.cpu);
  }

  /** From here on only effects count: something different has been read, and may be again and again. */
  effectsOnly(): void {
    this.digest.detach();
    this.digest = new DigestInstrument(this.scanner.machine.cpu, "effects");
    this.digest.attach();
  }

  get icount(): number {
    return this.scanner.machine.icount;
  }

  /** Goes to an icount from the nearest checkpoint. */
  seek(icount: number): void {
    const { session } = this.scanner;
    const from = session.checkpoints.slice(0, -1).findLast((c) => c.icount <= icount) ??
      session.checkpoints[0];
    session.restore(from);
    this.scanner.run(icount);
    // Inputs at this very count come before its instruction.
    session.runTo(icount);
  }

  capture(): Place {
    const { session, machine } = this.scanner;
    return {
      image: session.capture().image,
      state: machine.saveState(),
      tlb: machine.cpu.mmu.saveTlb(),
      counts: session.counts(),
    };
  }

  restore(to: Place): void {
    const { session, machine } = this.scanner;
    session.resume(to.image, () => {
      machine.loadState(to.state);
      machine.cpu.mmu.loadTlb(to.tlb);
    }, to.counts);
  }

  /** Runs on to an icount. @returns what was done on the way, as text */
  run(to: number): string {
    this.digest.reset();
    this.scanner.run(to);
    const { machine } = this.scanner;
    return `${this.digest.value()} ${machine.icount} ${machine.outcome?.kind}`;
  }
}

interface Place {
  image: MemoryImage;
  state: Uint8Array;
  tlb: Uint8Array;
  counts: Checkpoint["counts"];
}

/** The first instruction that differs by effect. */
export interface Effect {
  /** Instructions retired before it, in both. */
  icount: number;
  /** Registers that differ behind it. */
  registers: RegisterDifference[];
  /** They differ in front of it: an input changed them, or brought an interrupt. */
  inFront: boolean;
  /** Bytes of memory that differ behind it, by more than the cause. */
  memory: { gpa: number; a: number; b: number }[];
}

/** What was found. */
export interface Finding {
  /** Where the search began: the processors are in one state here. */
  start: number;
  /** Memory that differs at the start. */
  cause: MemoryDifference;
  /** icount of the first instruction that meets something different, with effect or without; null: none does. */
  met: number | null;
  /** Null: no instruction differs. */
  effect: Effect | null;
  /** icount from which on both are in one state again; null: they are not. What is executed right before it made them so. */
  converged: number | null;
  /** icount to which both were compared. */
  end: number;
}

/** icount of the instruction that says most about a finding; null: there is none. */
export function placeOf({ start, effect, met, converged }: Finding): number | null {
  return effect?.icount ?? met ?? (converged !== null && converged > start ? converged - 1 : null);
}

/** Compares two executions from a place on. */
export class Finder {
  readonly #a: Side;
  readonly #b: Side;
  readonly #cause: MemoryDifference = new Map();
  #met: number | null = null;
  /** Told how far the comparison is. */
  onProgress: (icount: number) => void = () => {};

  /** @param alikeFrom icount from which on both get the same inputs: one state is one future only there */
  constructor(a: Scanner, b: Scanner, readonly end: number, readonly alikeFrom: number = 0) {
    this.#a = new Side(a);
    this.#b = new Side(b);
  }

  /** @param start where both have taken the inputs that are different, or a place where nothing was */
  async find(start: number): Promise<Finding> {
    this.#a.seek(start);
    this.#b.seek(start);
    for (const [gpa, bits] of this.#memory()) this.#cause.set(gpa, bits);
    this.#a.digest.attach();
    this.#b.digest.attach();
    try {
      return await this.#search(start);
    } finally {
      this.#a.digest.detach();
      this.#b.digest.detach();
    }
  }

  #memory(): MemoryDifference {
    return differingMemory(this.#a.scanner.machine, this.#b.scanner.machine);
  }

  async #search(start: number): Promise<Finding> {
    const a = this.#a, b = this.#b;
    const found = (rest: Partial<Finding>): Finding => ({
      start,
      cause: this.#cause,
      met: this.#met,
      effect: null,
      converged: null,
      end: Math.min(a.icount, b.icount),
      ...rest,
    });
    const registers = differingRegisters(a.scanner.machine, b.scanner.machine);
    if (registers.length > 0) {
      return found({ effect: { icount: start, registers, memory: [], inFront: true } });
    }
    if (this.#settled()) return found({ converged: start });
    let length = RUN_MIN;
    while (a.icount < this.end) {
      const n = a.icount, places = [a.capture(), b.capture()] as const;
      const to = Math.min(this.end, n + length);
      // Where a jump leads is in the digest with the next instruction only: the registers say so at once.
      const alike = a.run(to) === b.run(to) &&
        differingRegisters(a.scanner.machine, b.scanner.machine).length === 0;
      if (alike) {
        if (a.scanner.machine.outcome !== null || a.icount === n) break;
        if (this.#settled()) return found({ converged: this.#convergence(places, n, a.icount) });
        length = Math.min(RUN_MAX, length * 2);
        this.onProgress(a.icount);
        await eventLoopTurn();
        continue;
      }
      a.restore(places[0]);
      b.restore(places[1]);
      if (to - n > 1) {
        length = (to - n) >> 1;
        continue;
      }
      const effect = this.#step(n);
      if (effect !== null) return found({ effect });
      if (a.digest.of === "all") { for (const side of [a, b]) side.effectsOnly(); }
      length = RUN_MIN;
    }
    return found({});
  }

  /** True when nothing differs any more, and nothing will. */
  #settled(): boolean {
    return this.#a.icount >= this.alikeFrom && this.#equal();
  }

  /** The first icount of a run from which on nothing differs. @param places both at `from`, where something does */
  #convergence(places: readonly [Place, Place], from: number, to: number): number {
    const sides = [this.#a, this.#b];
    while (to - from > 1) {
      const middle = from + Math.floor((to - from) / 2);
      sides.forEach((side, i) => {
        side.restore(places[i]);
        side.run(middle);
      });
      if (this.#settled()) to = middle;
      else {
        places = [this.#a.capture(), this.#b.capture()];
        from = middle;
      }
    }
    return to;
  }

  /** True when nothing differs, in memory or in devices. */
  #equal(): boolean {
    const a = this.#a.scanner.machine, b = this.#b.scanner.machine;
    const left: MemoryDifference = new Map();
    for (const gpa of this.#cause.keys()) differs(a, b, gpa, left);
    if (left.size > 0) return false;
    const text = (m: typeof a) => new TextDecoder().decode(m.saveState()).replace(/"inputs":[0-9]+/, "");
    return text(a) === text(b) && this.#memory().size === 0;
  }

  /** Executes one instruction in both and looks at its effect; null: there is none beyond the cause. */
  #step(n: number): Effect | null {
    const a = this.#a.scanner.machine, b = this.#b.scanner.machine;
    this.#met ??= n;
    const inside = new Set<number>(), outside = new Set<number>();
    for (const side of [this.#a, this.#b]) this.#stepOne(side, n, inside, outside);
    const now: MemoryDifference = new Map();
    for (const gpa of this.#cause.keys()) differs(a, b, gpa, now);
    for (const gpa of inside) differs(a, b, gpa, now);
    const registers = differingRegisters(a, b);
    if (registers.length > 0 || !within(now, this.#cause) || a.icount !== b.icount) {
      const memory = [...now].filter(([gpa, bits]) => bits & ~(this.#cause.get(gpa) ?? 0))
        .map(([gpa]) => ({ gpa, a: a.mem.read8(gpa), b: b.mem.read8(gpa) }));
      return { icount: n, registers, memory, inFront: false };
    }
    // Inputs that came behind the instruction add to the cause.
    for (const gpa of outside) differs(a, b, gpa, this.#cause);
    return null;
  }

  #stepOne(side: Side, n: number, inside: Set<number>, outside: Set<number>): void {
    const { machine } = side.scanner;
    const told = { reads: false, writes: true, instructions: false, branches: false, digest: false } as const;
    const sink = new AccessSink(machine, { from: 0, to: Infinity }, null);
    side.digest.detach();
    const instrument = new EventInstrument(machine.cpu, told, sink, null);
    instrument.attach();
    try {
      side.scanner.run(n + 1);
    } finally {
      instrument.detach();
      side.digest.attach();
    }
    sink.settle();
    for (let row = 0; row < sink.rows.count; row++) {
      const set = sink.rows.number("icount", row) > n ? outside : inside, gpa = sink.rows.number("gpa", row);
      for (let i = 0; i < sink.rows.columns.size[row]; i++) set.add(gpa + i);
    }
  }
}
