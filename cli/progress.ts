/**
 * One line on the terminal that says how far a run is. Nothing is printed where standard error is no terminal.
 *
 * @module
 */
import { duration, grouped, short } from "../analysis/text.ts";

const encoder = new TextEncoder();
/** Host milliseconds between updates, and the quiet before the first. */
const EVERY_MS = 250, FIRST_MS = 1000;

/** A line that is drawn over itself. */
export class ProgressLine {
  /** Other output left the cursor inside a line, which must not be drawn over. */
  midLine = false;
  readonly #started = performance.now();
  #drawn = 0;
  #shown = false;
  #lastIcount = 0;
  #rate = 0;

  /**
   * @param end icount at which the run ends, when that is known
   * @param enabled false: never draw
   */
  constructor(readonly end: number | null, readonly enabled: boolean = Deno.stderr.isTerminal()) {}

  /** Draws the line when it is time. */
  update(p: { icount: number; timeNs?: number; exits?: number }): void {
    const now = performance.now();
    if (!this.enabled || this.midLine || now - this.#started < FIRST_MS || now - this.#drawn < EVERY_MS) {
      return;
    }
    const seconds = (now - (this.#drawn || this.#started)) / 1000;
    const current = (p.icount - this.#lastIcount) / seconds;
    this.#rate = this.#rate === 0 ? current : this.#rate * 0.7 + current * 0.3;
    this.#lastIcount = p.icount;
    this.#drawn = now;
    this.#shown = true;
    const parts = [
      `${short(p.icount / 1e6)} M instructions`,
      `${short(this.#rate / 1e6)} M/s`,
    ];
    if (p.exits !== undefined) parts.push(`${grouped(p.exits)} exits`);
    if (p.timeNs !== undefined) parts.push(`guest time ${duration(p.timeNs)}`);
    if (this.end !== null && this.#rate > 0) {
      parts.push(`ETA ${Math.ceil((this.end - p.icount) / this.#rate)} s`);
    }
    Deno.stderr.writeSync(encoder.encode(`\r\x1b[K${parts.join("  ")}`));
  }

  /** Takes the line away, before anything else is printed. */
  clear(): void {
    if (!this.#shown) return;
    this.#shown = false;
    Deno.stderr.writeSync(encoder.encode("\r\x1b[K"));
  }
}

/** The same for work that is counted otherwise: any text, drawn over itself. */
export class TextLine {
  readonly #started = performance.now();
  #drawn = 0;

  /** @param enabled false: never draw */
  constructor(readonly enabled: boolean = Deno.stderr.isTerminal()) {}

  /** Draws the line when it is time. @param text made only when it is drawn */
  update(text: () => string): void {
    const now = performance.now();
    if (!this.enabled || now - this.#started < FIRST_MS || now - this.#drawn < EVERY_MS) return;
    this.#drawn = now;
    Deno.stderr.writeSync(encoder.encode(`\r\x1b[K${text()}`));
  }

  /** Takes the line away, before anything else is printed. */
  clear(): void {
    if (this.#drawn > 0) Deno.stderr.writeSync(encoder.encode("\r\x1b[K"));
    this.#drawn = 0;
  }
}
