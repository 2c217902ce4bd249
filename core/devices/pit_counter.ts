/**
 * One counter of an 8254 programmable interval timer as a function of time: nothing is counted, everything is
 * computed from the tick at which the counting element was last loaded.
 *
 * Source: Intel 82C54 data sheet (order 231244), "Mode Definitions" and figures 15-20; the count sequence of mode 3
 * with odd counts follows the figure (5 4 2 5 2), as Intersil's data sheet FN2970 words it.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { StateReader } from "./state.ts";

/** Counting element and output at one tick. */
export interface CounterView {
  /** Counting element: 0..65535 (0..9999 when counting in BCD), as a plain number. */
  ce: number;
  out: boolean;
}

/** One counter. Times are ticks of its CLK input since time 0, whole numbers; every method takes the current tick. */
export class PitCounter {
  mode = 0;
  bcd = false;
  gate = true;
  /** Initial count in force: 1..65536 (10000 in BCD); 0 before the first count. */
  #count = 0;
  /** Tick at which the counting element holds `#count`; Infinity while no count was loaded. */
  #base = Infinity;
  /** Clocks counted since the load while the gate suspends counting; -1 while it runs. */
  #held = -1;
  /** Mode 3: the sequence from `#base` starts with the low half. */
  #baseLow = false;
  /** Element and output until `#base` is reached. */
  #beforeCe = 0;
  #beforeOut = false;
  /** A count that was written but is not in force (0: none), and the tick of its load (Infinity: next trigger). */
  #nextCount = 0;
  #nextTick = Infinity;

  #modulus(): number {
    return this.bcd ? 10000 : 65536;
  }

  /** Control word (other than latch and read-back): sets mode and format; OUT goes to its idle level at once. */
  program(mode: number, bcd: boolean): void {
    this.mode = mode;
    this.bcd = bcd;
    this.#count = 0;
    this.#base = Infinity;
    this.#held = -1;
    this.#baseLow = false;
    this.#beforeCe = 0;
    this.#beforeOut = mode !== 0;
    this.#nextCount = 0;
    this.#nextTick = Infinity;
  }

  /** Mode 0: the first byte of a two-byte count stops counting and sets OUT low at once. */
  firstByte(t: number): void {
    if (this.mode !== 0) return;
    this.#beforeCe = this.view(t).ce;
    this.#beforeOut = false;
    this.#base = Infinity;
    this.#held = -1;
  }

  /** A whole initial count was written; 0 stands for 65536 (10000 in BCD). */
  write(value: number, t: number): void {
    const v = this.view(t);
    const n = value === 0 ? this.#modulus() : value;
    if (this.mode === 1 || this.mode === 5) { // in force at the next trigger
      this.#nextCount = n;
      this.#nextTick = Infinity;
      return;
    }
    const periodic = this.mode === 2 || this.mode === 3;
    if (periodic && this.#base <= t) { // at the end of the current (half) period, or at the trigger
      this.#nextCount = n;
      this.#nextTick = this.#held >= 0 ? Infinity : this.#reloadAfter(t);
      return;
    }
    this.#load(n, t, v.ce, this.mode === 0 ? false : v.out);
    if (!this.gate) this.#held = 0; // loaded, but it does not run
  }

  /** The element takes `n` on the next CLK pulse. */
  #load(n: number, t: number, ce: number, out: boolean): void {
    this.#beforeCe = ce;
    this.#beforeOut = out;
    this.#count = n;
    this.#base = t + 1;
    this.#baseLow = false;
    this.#held = -1;
    this.#nextCount = 0;
    this.#nextTick = Infinity;
  }

  /** Level of the GATE pin. A rising edge triggers modes 1, 2, 3 and 5; a low level suspends modes 0, 2, 3 and 4. */
  setGate(level: boolean, t: number): void {
    if (level === this.gate) return;
    const v = this.view(t);
    this.gate = level;
    const oneShot = this.mode === 1 || this.mode === 5;
    if (!level) {
      if (oneShot || this.#base === Infinity) return;
      this.#held = Math.max(0, t - this.#base);
      this.#nextTick = Infinity;
      return;
    }
    if (this.mode === 0 || this.mode === 4) {
      if (this.#held >= 0) this.#base = t - this.#held;
      this.#held = -1;
      return;
    }
    const n = this.#nextCount || this.#count;
    if (n !== 0) this.#load(n, t, v.ce, v.out);
  }

  /** Element and output at tick `t`, which must not be before the last change. */
  view(t: number): CounterView {
    this.#takePending(t);
    const d = this.#held >= 0 ? this.#held : t - this.#base;
    if (d < 0) return { ce: this.#beforeCe, out: this.#beforeOut };
    const n = this.#count, m = this.#modulus();
    if (this.mode === 2) return { ce: (n - d % n) % m, out: this.#held >= 0 || n === 1 || d % n !== n - 1 };
    if (this.mode === 3) return this.#square(d);
    const ce = ((n - d) % m + m) % m;
    return { ce, out: this.mode <= 1 ? d >= n : d !== n };
  }

  /** Mode 3 after `d` clocks: by two in each half; an odd count loses 1 in the high half and 3 in the low half first. */
  #square(d: number): CounterView {
    const n = this.#count, first = this.#firstHalf(), p = d % n;
    const high = p < first !== this.#baseLow, i = p < first ? p : p - first;
    let ce = n - 2 * i;
    if ((n & 1) === 1 && i > 0) ce += high ? 1 : -1;
    return { ce: ce % this.#modulus(), out: high || this.#held >= 0 };
  }

  #firstHalf(): number {
    return this.#baseLow ? this.#count >> 1 : (this.#count + 1) >> 1;
  }

  /** First tick after `t` at which the running periodic sequence reloads its element. */
  #reloadAfter(t: number): number {
    const n = this.#count, start = this.#base + Math.floor((t - this.#base) / n) * n;
    const half = start + this.#firstHalf();
    return this.mode === 3 && t < half ? half : start + n;
  }

  /** Brings a count into force whose tick has come; in mode 3 the new sequence starts with the opposite level. */
  #takePending(t: number): void {
    if (this.#nextCount === 0 || t < this.#nextTick) return;
    const at = this.#nextTick;
    const low = this.mode === 3 && this.#square(at - 1 - this.#base).out;
    this.#load(this.#nextCount, at - 1, 0, true);
    this.#baseLow = low;
  }

  /** The first tick after `t` at which OUT rises, or Infinity when that takes a write or a trigger first. */
  nextRise(t: number): number {
    this.#takePending(t);
    if (this.#held >= 0 || this.#base === Infinity) return Infinity;
    const n = this.#count;
    if (this.mode <= 1 || this.mode >= 4) {
      const at = this.#base + n + (this.mode >= 4 ? 1 : 0);
      return at > t ? at : Infinity;
    }
    const rise = this.#periodicRise(Math.max(t, this.#base));
    if (this.#nextCount === 0 || this.#nextTick >= rise) return rise;
    return this.#nextTick + (this.#nextCount >> 1); // mode 3: the low half that starts then has the new length
  }

  /** First rise after `t` (not before the load) of the running sequence; a count of 1 never toggles. */
  #periodicRise(t: number): number {
    const n = this.#count;
    if (n === 1) return Infinity;
    const phase = this.#baseLow ? n >> 1 : 0, from = this.#base + phase;
    if (t < from) return from;
    return from + (Math.floor((t - from) / n) + 1) * n;
  }

  /** True while a written count (or, after a control word, none at all) is not in the counting element yet. */
  nullCount(t: number): boolean {
    this.#takePending(t);
    return this.#nextCount !== 0 || this.#base === Infinity || (this.#held < 0 && t < this.#base);
  }

  /** State for checkpoints. */
  save(): Json {
    const finite = (x: number): number | null => x === Infinity ? null : x;
    return {
      mode: this.mode,
      bcd: this.bcd,
      gate: this.gate,
      count: this.#count,
      base: finite(this.#base),
      held: this.#held,
      baseLow: this.#baseLow,
      beforeCe: this.#beforeCe,
      beforeOut: this.#beforeOut,
      nextCount: this.#nextCount,
      nextTick: finite(this.#nextTick),
    };
  }

  /** Restores what `save` gave. */
  load(state: Json): void {
    const r = new StateReader("pit counter", state);
    this.mode = r.num("mode");
    this.bcd = r.bool("bcd");
    this.gate = r.bool("gate");
    this.#count = r.num("count");
    this.#base = r.numOrInf("base");
    this.#held = r.num("held");
    this.#baseLow = r.bool("baseLow");
    this.#beforeCe = r.num("beforeCe");
    this.#beforeOut = r.bool("beforeOut");
    this.#nextCount = r.num("nextCount");
    this.#nextTick = r.numOrInf("nextTick");
  }
}
