/**
 * How long a machine runs before the host's event loop gets a turn. Invisible to the guest.
 *
 * @module
 */
import { setImmediate } from "node:timers";

/** Lets signals, timers and input of the host happen. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Host milliseconds that a slice should take, and between turns of the event loop. */
const SLICE_MS = 25;
const SLICE_MIN = 10_000, SLICE_MAX = 256e6;

/** Chooses slice lengths from how long the last slice took. */
export class Pacer {
  #slice = 1e6;
  #started = performance.now();

  /** icount at which the next slice ends. */
  limit(icount: number, most: number): number {
    return Math.min(most, icount + this.#slice);
  }

  /** To be called after a slice: measures it. */
  measure(): void {
    const now = performance.now(), took = now - this.#started;
    this.#started = now;
    if (took < SLICE_MS / 2) this.#slice = Math.min(SLICE_MAX, this.#slice * 2);
    else if (took > SLICE_MS * 2) this.#slice = Math.max(SLICE_MIN, Math.floor(this.#slice / 2));
  }
}
