/**
 * How long each vCPU was halted up to any moment.
 *
 * @module
 */
import { lowerBoundNear, type ModelColumns } from "./data.ts";

/** Halted time of one vCPU. */
export class HaltedTime {
  readonly #start: Float64Array;
  readonly #end: Float64Array;
  /** Nanoseconds halted before each halt. */
  readonly #before: Float64Array;

  private constructor(starts: readonly number[], ends: readonly number[]) {
    this.#start = Float64Array.from(starts);
    this.#end = Float64Array.from(ends);
    this.#before = new Float64Array(starts.length + 1);
    for (let i = 0; i < starts.length; i++) this.#before[i + 1] = this.#before[i] + ends[i] - starts[i];
  }

  /** That of every vCPU that ever halts. Halts of one vCPU follow each other. */
  static ofAll({ haltVcpu, haltStart, haltEnd }: ModelColumns): Map<number, HaltedTime> {
    const lists = new Map<number, [number[], number[]]>();
    for (let i = 0; i < haltVcpu.length; i++) {
      let list = lists.get(haltVcpu[i]);
      if (list === undefined) lists.set(haltVcpu[i], list = [[], []]);
      list[0].push(haltStart[i]);
      list[1].push(haltEnd[i]);
    }
    return new Map([...lists].map(([vcpu, [starts, ends]]) => [vcpu, new HaltedTime(starts, ends)]));
  }

  /** Nanoseconds halted before each of some moments, which ascend. */
  before(moments: Float64Array): Float64Array {
    let n = 0;
    return moments.map((ns) => {
      n = lowerBoundNear(this.#start, ns, n);
      return n === 0 ? 0 : this.#before[n] - Math.max(0, this.#end[n - 1] - ns);
    });
  }
}
