/**
 * How much is spent on compiling. A region costs as much as interpreting some hundred thousand instructions; code that is
 * warm for a moment and never again, of which a booting kernel is full, does not earn that.
 *
 * Regions are paid for with credit, which comes with retired instructions. While there is plenty, a block is compiled when
 * its counter first fires; the less there is, the more often it must have fired, up to a bound at which it always is.
 *
 * @module
 */

/** Instructions for which one region may be compiled, and how many regions can be saved up. */
const INSTRUCTIONS_PER_REGION = 2e6, REGIONS_MAX = 48;
/** Bytes of WebAssembly that count as one region. */
const REGION_BYTES = 4096;
/** A block that has fired this often is compiled whatever the credit. */
const FIRINGS_MAX = 16;
/** Below this threshold somebody wants code compiled early, and it is. */
const THRESHOLD_MIN = 1000;

/** The credit of one compiler. */
export class CompileBudget {
  #credit = REGIONS_MAX;
  #icount = 0;
  /** How often blocks have fired that are not compiled yet, by record. */
  readonly #firings = new Map<number, number>();

  /**
   * Asks whether a block whose counter has fired is to be compiled now; if so, it is paid for.
   * @param rec first record of the block
   * @param threshold how often a block runs until its counter fires
   * @param icount instructions retired so far
   */
  grants(rec: number, threshold: number, icount: number): boolean {
    if (threshold < THRESHOLD_MIN) return true;
    const earned = Math.max(0, icount - this.#icount) / INSTRUCTIONS_PER_REGION;
    this.#icount = icount;
    this.#credit = Math.min(REGIONS_MAX, this.#credit + earned);
    const fired = (this.#firings.get(rec) ?? 0) + 1;
    if (fired < this.#wanted()) {
      this.#firings.set(rec, fired);
      return false;
    }
    this.#firings.delete(rec);
    this.#credit = Math.max(0, this.#credit - 1);
    return true;
  }

  /** Takes what a region costs beyond what `grants` took. @param bytes of its module */
  charge(bytes: number): void {
    this.#credit = Math.max(0, this.#credit - Math.max(0, bytes / REGION_BYTES - 1));
  }

  /** How often a block must have fired. */
  #wanted(): number {
    const spent = 1 - this.#credit / REGIONS_MAX;
    return Math.ceil(FIRINGS_MAX ** spent);
  }

  /** True for a block that has fired and not been granted. */
  waits(rec: number): boolean {
    return this.#firings.has(rec);
  }

  /** Blocks are other ones from now on. */
  forget(): void {
    this.#firings.clear();
  }
}
