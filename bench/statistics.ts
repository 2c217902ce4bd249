/**
 * Figures from repeated runs.
 *
 * @module
 */
import type { PeerRun } from "./peer.ts";

/** Middle value; mean of the two middle ones for an even count. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Million guest instructions per second. */
export interface Speeds {
  /** First repetition in a fresh process, as a user meets it. */
  first: number;
  /** Median of the second half of the repetitions. */
  warm: number;
  /** All repetitions together. */
  whole: number;
}

/** Speeds of one run, given how many instructions each repetition has. */
export function speedsOf(run: PeerRun, instructions: readonly number[]): Speeds {
  const rate = (from: number, to: number) => {
    let count = 0, ms = 0;
    for (let i = from; i < to; i++) {
      count += instructions[i];
      ms += run.repetitions[i].ms;
    }
    return count / ms / 1000;
  };
  const n = run.repetitions.length, half = n >> 1;
  const warm = run.repetitions.slice(half).map((_, i) => rate(half + i, half + i + 1));
  return { first: rate(0, 1), warm: median(warm), whole: rate(0, n) };
}

/** Medians over runs. */
export function medianSpeeds(all: readonly Speeds[]): Speeds {
  return {
    first: median(all.map((s) => s.first)),
    warm: median(all.map((s) => s.warm)),
    whole: median(all.map((s) => s.whole)),
  };
}
