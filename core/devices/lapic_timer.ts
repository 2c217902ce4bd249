/**
 * The local APIC's timer: one-shot, periodic, TSC-deadline. The count is computed from virtual time.
 *
 * Source: Intel SDM volume 3, section 11.5.4 "APIC Timer".
 *
 * @module
 */
import type { Json } from "../bus.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Rate } from "./rate.ts";
import { StateReader } from "./state.ts";

/** Timer modes as LVT bits 18:17 code them (3 is reserved: it never fires). */
export const TIMER_ONE_SHOT = 0, TIMER_PERIODIC = 1, TIMER_DEADLINE = 2;

/**
 * Periodic interrupts come at most this often: a shorter period raises one interrupt for several periods (the count
 * register stays exact), so that a guest cannot make the machine stop after every instruction.
 */
export const MIN_PERIOD_NS = 1000;

/** How guest TSC values relate to virtual time. */
export interface TscClock {
  /** Virtual nanoseconds at which the vCPU's TSC reaches `tsc`. */
  nsAtTsc(vcpu: number, tsc: number): number;
}

/** Timer of one local APIC. */
export class LapicTimer {
  mode = TIMER_ONE_SHOT;
  /** The LVT entry is masked: nothing needs to fire, the count runs all the same. */
  masked = true;
  /** Input clocks per count: 1, 2, 4 ... 128. */
  divide = 2;
  initial = 0;
  /** Deadline in TSC cycles as two words; 0: disarmed. */
  deadlineLo = 0;
  deadlineHi = 0;
  /** Input tick at which `initial` was loaded. */
  #start = 0;
  readonly #timer: Timer;

  /** @param rate input clock ("bus" or crystal clock). @param expire raises the LVT timer interrupt. */
  constructor(
    readonly clock: Clock,
    readonly rate: Rate,
    readonly vcpu: number,
    readonly tsc: TscClock | null,
    readonly expire: () => void,
  ) {
    this.#timer = clock.timer(`lapic${vcpu}`, () => this.#fire());
  }

  #tick(): number {
    return this.rate.ticks(this.clock.now());
  }

  /** Value of the current-count register. */
  current(): number {
    if (this.initial === 0 || this.mode >= TIMER_DEADLINE) return 0;
    const done = Math.floor((this.#tick() - this.#start) / this.divide);
    if (this.mode === TIMER_PERIODIC) return this.initial - done % this.initial;
    return Math.max(0, this.initial - done);
  }

  /** Write of the initial-count register; 0 stops the timer. Ignored in TSC-deadline mode. */
  setInitial(value: number): void {
    if (this.mode === TIMER_DEADLINE) return;
    this.initial = value;
    this.#start = this.#tick();
    this.#plan();
  }

  /** Write of the divide configuration register (bits 0, 1, 3). The count goes on from where it is. */
  setDivide(register: number): void {
    const left = this.current();
    const code = (register >> 1 & 4) | register & 3;
    this.divide = code === 7 ? 1 : 2 << code;
    this.#start = this.#tick() - (this.initial - left) * this.divide;
    this.#plan();
  }

  /** Write of the LVT entry. Entering or leaving TSC-deadline mode disarms the timer. */
  setLvt(mode: number, masked: boolean): void {
    if ((mode === TIMER_DEADLINE) !== (this.mode === TIMER_DEADLINE)) {
      this.initial = 0;
      this.deadlineLo = this.deadlineHi = 0;
    } else if (mode !== this.mode && this.initial !== 0) {
      const left = this.current();
      if (left === 0) this.initial = 0; // a one-shot that has run out does not start again
      else this.#start = this.#tick() - (this.initial - left) * this.divide;
    }
    this.mode = mode;
    this.masked = masked;
    this.#plan();
  }

  /** Write of IA32_TSC_DEADLINE; 0 disarms. Ignored outside TSC-deadline mode. */
  setDeadline(lo: number, hi: number): void {
    if (this.mode !== TIMER_DEADLINE) return;
    this.deadlineLo = lo >>> 0;
    this.deadlineHi = hi >>> 0;
    this.#plan();
  }

  /** The vCPU's TSC was written or its rate changed: the deadline comes at another time. */
  replan(): void {
    this.#plan();
  }

  /** Back to the state after reset: stopped. */
  reset(): void {
    this.mode = TIMER_ONE_SHOT;
    this.masked = true;
    this.divide = 2;
    this.initial = 0;
    this.deadlineLo = this.deadlineHi = 0;
    this.#plan();
  }

  #plan(): void {
    this.clock.arm(this.#timer, this.#nextNs());
  }

  #nextNs(): number {
    if (this.mode === TIMER_DEADLINE) {
      // A deadline expires (and its MSR clears) even when the entry is masked.
      if (this.deadlineLo === 0 && this.deadlineHi === 0) return Infinity;
      return this.tsc?.nsAtTsc(this.vcpu, this.deadlineHi * 0x1_0000_0000 + this.deadlineLo) ?? Infinity;
    }
    if (this.masked || this.initial === 0 || this.mode > TIMER_DEADLINE) return Infinity;
    const period = this.initial * this.divide;
    if (this.mode === TIMER_ONE_SHOT) {
      const end = this.#start + period;
      return end > this.#tick() ? this.rate.ns(end) : Infinity;
    }
    const from = Math.max(this.#tick(), this.rate.ticks(this.#lastFireNs + MIN_PERIOD_NS) - 1);
    return this.rate.ns(this.#start + (Math.floor((from - this.#start) / period) + 1) * period);
  }

  /** When the last periodic interrupt was raised; keeps `MIN_PERIOD_NS`. */
  #lastFireNs = -MIN_PERIOD_NS;

  #fire(): void {
    if (this.mode === TIMER_DEADLINE) {
      this.deadlineLo = this.deadlineHi = 0;
      if (!this.masked) this.expire();
      return;
    }
    this.#lastFireNs = this.clock.now();
    this.expire();
    if (this.mode === TIMER_PERIODIC) this.#plan();
  }

  /** State for checkpoints (when it fires is in the clock's). */
  save(): Json {
    return {
      mode: this.mode,
      masked: this.masked,
      divide: this.divide,
      initial: this.initial,
      deadlineLo: this.deadlineLo,
      deadlineHi: this.deadlineHi,
      start: this.#start,
      lastFireNs: this.#lastFireNs,
    };
  }

  /** Restores what `save` gave. */
  load(state: Json): void {
    const r = new StateReader("lapic timer", state);
    this.mode = r.num("mode");
    this.masked = r.bool("masked");
    this.divide = r.num("divide");
    this.initial = r.num("initial");
    this.deadlineLo = r.num("deadlineLo");
    this.deadlineHi = r.num("deadlineHi");
    this.#start = r.num("start");
    this.#lastFireNs = r.num("lastFireNs");
  }
}
