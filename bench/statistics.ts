/**
 * Figures from repeated runs.
 *
 * @module
 */
import type { PeerRun } from "./peer.ts";

/** Which clock speeds are taken by: the host's, or the processor time of the machine's process (all threads). */
export type TimeBase = "wall" | "cpu";

/** Middle value; mean of the two middle ones for an even count. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Geometric mean; NaN for none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}

/** Million guest instructions per second. */
export interface Speeds {
  /** First repetition in a fresh process, as a user meets it. */
  first: number;
  /** Median of the second half of the repetitions; by processor time, their sum. */
  warm: number;
  /** All repetitions together. */
  whole: number;
}

/** Speeds of one run, given how many instructions each repetition has. */
export function speedsOf(run: PeerRun, instructions: readonly number[], base: TimeBase = "wall"): Speeds {
  const rate = (from: number, to: number) => {
    let count = 0, ms = 0;
    for (let i = from; i < to; i++) {
      count += instructions[i];
      ms += base === "wall" ? run.repetitions[i].ms : run.repetitions[i].cpuMs;
    }
    return count / ms / 1000;
  };
  const n = run.repetitions.length, half = n >> 1;
  // Another process's processor time moves on in steps of milliseconds: one repetition may seem to take none.
  if (base === "cpu") return { first: rate(0, 1), warm: rate(half, n), whole: rate(0, n) };
  const warm = run.repetitions.slice(half).map((_, i) => rate(half + i, half + i + 1));
  return { first: rate(0, 1), warm: median(warm), whole: rate(0, n) };
}

/** Part of the host's time that recording takes, 0 to 1; a little below 0 when the difference is lost in the noise. */
export interface RecordingCost {
  /** Of a warm repetition. */
  warm: number;
  /** Of a whole run, with what recording does before the guest starts and after it has ended. */
  run: number;
}

/** What recording costs, from runs of the same image without and with it. */
export function recordingCost(
  plain: readonly PeerRun[],
  recorded: readonly PeerRun[],
  instructions: readonly number[],
  base: TimeBase = "wall",
): RecordingCost {
  const warm = (runs: readonly PeerRun[]) =>
    median(runs.map((r) => 1 / speedsOf(r, instructions, base).warm));
  const whole = (runs: readonly PeerRun[]) =>
    median(runs.map((r) => (base === "wall" ? r.hostMs : r.hostCpuMs) ?? NaN));
  return { warm: 1 - warm(plain) / warm(recorded), run: 1 - whole(plain) / whole(recorded) };
}

/** Medians over runs. */
export function medianSpeeds(all: readonly Speeds[]): Speeds {
  return {
    first: median(all.map((s) => s.first)),
    warm: median(all.map((s) => s.warm)),
    whole: median(all.map((s) => s.whole)),
  };
}
