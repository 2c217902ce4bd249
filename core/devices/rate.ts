/**
 * Exact conversion between virtual nanoseconds and ticks of a fixed-frequency oscillator. Both directions start
 * from time zero, so nothing drifts however long a machine runs.
 *
 * @module
 */

const NS_PER_S = 1_000_000_000;

function gcd(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

/** An oscillator that ticks at `hz` since virtual time 0; tick 0 is at 0 ns. */
export class Rate {
  /** Reduced fraction: ticks = ns * num / den. */
  readonly #num: number;
  readonly #den: number;

  /**
   * @param hz whole ticks per second. The reduced products must stay exact: hz up to 9 MHz, or any divisor or
   * multiple of 1 GHz up to 9 GHz and the like (checked).
   */
  constructor(readonly hz: number) {
    if (!Number.isInteger(hz) || hz <= 0) {
      throw new RangeError(`Cannot make an oscillator: ${hz} Hz is not a whole frequency`);
    }
    const g = gcd(hz, NS_PER_S);
    this.#num = hz / g;
    this.#den = NS_PER_S / g;
    // Inside one second: r < 1e9 ns times num, and rest < hz ticks times den, must both be exact doubles.
    if (NS_PER_S * this.#num > Number.MAX_SAFE_INTEGER || hz * this.#den > Number.MAX_SAFE_INTEGER) {
      throw new RangeError(`Cannot make an oscillator: ${hz} Hz cannot be converted to nanoseconds exactly`);
    }
  }

  /** Ticks completed at virtual time `ns`. Monotonic. */
  ticks(ns: number): number {
    const s = Math.floor(ns / NS_PER_S);
    return s * this.hz + Math.floor((ns - s * NS_PER_S) * this.#num / this.#den);
  }

  /** The first whole nanosecond at which `ticks` have completed: `ticks(ns(k)) >= k`. Infinity stays. */
  ns(ticks: number): number {
    if (ticks === Infinity) return Infinity;
    const s = Math.floor(ticks / this.hz);
    return s * NS_PER_S + Math.ceil((ticks - s * this.hz) * this.#den / this.#num);
  }
}
