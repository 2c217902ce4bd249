/**
 * The one clock: virtual time is a function of retired instructions and of the jumps made while halted.
 *
 * @module
 */

/** A pending timer; `fire` runs when virtual time reaches `atNs`. */
export class Timer {
  /** Virtual nanoseconds at which it fires; Infinity when not armed. */
  atNs = Infinity;
  constructor(readonly name: string, readonly fire: (nowNs: number) => void) {}
}

/** Virtual time of one machine. One instruction takes `nsPerInstruction` (default 1). */
export class Clock {
  /** Instructions retired so far, all vCPUs together. Kept exact by the machine at every exit. */
  icount = 0;
  /** Nanoseconds that passed without instructions: while every vCPU was halted, and in bus wait states. */
  skippedNs = 0;
  readonly #timers: Timer[] = [];
  /** What `nextNs` answers; NaN: to be found out. */
  #nextNs = NaN;
  /** Called when a timer was armed earlier than the machine may have planned for. */
  onRearm: (() => void) | null = null;

  constructor(readonly nsPerInstruction: number = 1) {}

  /** Virtual nanoseconds since start. */
  now(): number {
    return this.icount * this.nsPerInstruction + this.skippedNs;
  }

  /** Creates a timer, unarmed. Names are unique and stable: they identify it in checkpoints. */
  timer(name: string, fire: (nowNs: number) => void): Timer {
    const t = new Timer(name, fire);
    this.#timers.push(t);
    return t;
  }

  /** Arms (or, with Infinity, disarms) a timer for an absolute virtual time. */
  arm(t: Timer, atNs: number): void {
    t.atNs = Number.isNaN(atNs) ? Infinity : atNs;
    this.#nextNs = NaN;
    this.onRearm?.();
  }

  /** The earliest armed time, or Infinity. */
  nextNs(): number {
    if (!Number.isNaN(this.#nextNs)) return this.#nextNs;
    let min = Infinity;
    for (const t of this.#timers) if (t.atNs < min) min = t.atNs;
    return this.#nextNs = min;
  }

  /** Fires, in order of time then creation, every timer that is due; each is disarmed before its `fire`. */
  fireDue(): void {
    const now = this.now();
    for (let guard = 0; guard < 10_000; guard++) {
      let due: Timer | null = null;
      for (const t of this.#timers) if (t.atNs <= now && (due === null || t.atNs < due.atNs)) due = t;
      if (due === null) return;
      due.atNs = Infinity;
      this.#nextNs = NaN;
      due.fire(now);
    }
  }

  /** Every vCPU is halted: jump to `ns` (never backwards). */
  skipTo(ns: number): void {
    const d = ns - this.now();
    if (d > 0) this.skippedNs += d;
  }

  /** A slow bus holds the processor for `ns` in the middle of an instruction. */
  stall(ns: number): void {
    this.skippedNs += ns;
    this.onRearm?.();
  }

  /** Instruction count at which virtual time reaches `ns`, were nothing skipped. */
  icountAt(ns: number): number {
    return ns === Infinity ? Infinity : Math.ceil((ns - this.skippedNs) / this.nsPerInstruction);
  }

  /** State for checkpoints. */
  save(): { icount: number; skippedNs: number; timers: Record<string, number | null> } {
    const timers: Record<string, number | null> = {};
    for (const t of this.#timers) timers[t.name] = t.atNs === Infinity ? null : t.atNs;
    return { icount: this.icount, skippedNs: this.skippedNs, timers };
  }

  /** Restores what `save` gave. */
  load(s: { icount: number; skippedNs: number; timers: Record<string, number | null> }): void {
    this.icount = s.icount;
    this.skippedNs = s.skippedNs;
    for (const t of this.#timers) t.atNs = s.timers[t.name] ?? Infinity;
    this.#nextNs = NaN;
  }
}
