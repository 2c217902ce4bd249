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
  /** Processor milliseconds of all threads of the machine's process: what other load does not change. */
  cpuMs: number;
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
  /** Processor milliseconds of the machine's whole process at its end; left out by other machines. */
  hostCpuMs?: number;
}

/** Turns a guest's report (see bench/guests/guest.h) into repetitions. */
export class Stopwatch {
  readonly run: PeerRun = { startMs: 0, repetitions: [] };
  /** True after the guest's last line. */
  done = false;
  #line = "";
  #lastMs: number;
  #lastCpuMs: number;
  #lastInstructions = 0;

  /** @param cpuMs processor milliseconds that the machine's process has used */
  constructor(readonly cpuMs: () => number) {
    this.#lastMs = performance.now();
    this.#lastCpuMs = cpuMs();
  }

  /** One character of output; `instructions`: retired so far, or null. */
  put(char: number, instructions: number | null): void {
    if (char !== 10) {
      if (this.#line.length < 80) this.#line += String.fromCharCode(char);
      return;
    }
    const now = performance.now(), cpu = this.cpuMs(), ms = now - this.#lastMs;
    const [tag, number, checksum] = this.#line.split(" ");
    this.#line = "";
    if (tag === "B") this.run.startMs = ms;
    else if (tag === "R") this.#repetition(parseInt(number, 16), checksum, ms, cpu, instructions);
    else if (tag === "E") this.done = true;
    this.#lastMs = now;
    this.#lastCpuMs = cpu;
    this.#lastInstructions = instructions ?? 0;
  }

  #repetition(number: number, checksum: string, ms: number, cpu: number, instructions: number | null): void {
    const list = this.run.repetitions;
    if (number !== list.length) {
      throw new Error(
        `Cannot time the guest: repetition ${number} was reported where ${list.length} was due`,
      );
    }
    const count = instructions === null ? null : instructions - this.#lastInstructions;
    list.push({ checksum, ms, cpuMs: cpu - this.#lastCpuMs, instructions: count });
  }
}
