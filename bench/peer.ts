/**
 * What a peer (a machine that runs a benchmark guest) reports, and the stopwatch that all peers share.
 *
 * @module
 */

/** One repetition of the workload. */
export interface Repetition {
  checksum: string;
  /** Host milliseconds. */
  ms: number;
  /** Guest instructions, as the peer counts them; null when it does not. */
  instructions: number | null;
}

/** One run of one image on one peer. */
export interface PeerRun {
  /** Host milliseconds from starting the machine to the guest's first output. */
  startMs: number;
  repetitions: Repetition[];
  /** Host milliseconds from making the machine to the end of its run (and recording); left out by other machines. */
  hostMs?: number;
}

/** Turns a guest's report (see bench/guests/guest.h) into repetitions. */
export class Stopwatch {
  readonly run: PeerRun = { startMs: 0, repetitions: [] };
  /** True after the guest's last line. */
  done = false;
  #line = "";
  #lastMs: number;
  #lastInstructions = 0;

  constructor() {
    this.#lastMs = performance.now();
  }

  /** One character of output; `instructions`: retired so far, or null. */
  put(char: number, instructions: number | null): void {
    if (char !== 10) {
      if (this.#line.length < 80) this.#line += String.fromCharCode(char);
      return;
    }
    const now = performance.now(), ms = now - this.#lastMs;
    const [tag, checksum] = this.#line.split(" ");
    this.#line = "";
    if (tag === "B") this.run.startMs = ms;
    else if (tag === "R") {
      const count = instructions === null ? null : instructions - this.#lastInstructions;
      this.run.repetitions.push({ checksum, ms, instructions: count });
    } else if (tag === "E") this.done = true;
    this.#lastMs = now;
    this.#lastInstructions = instructions ?? 0;
  }
}
