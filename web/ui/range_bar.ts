/// <reference lib="dom" />
/**
 * The selected range: shown, typed, moved by keys, remembered in the page's address.
 *
 * @module
 */
import type { TimeRange } from "../model/panels.ts";
import { button, el } from "./dom.ts";
import { momentText, parseTime } from "./time_text.ts";

/** Ranges that Backspace can go back through. */
const HISTORY_MAX = 100;

/** The bar. */
export class RangeBar {
  readonly #from = field("From");
  readonly #to = field("to");
  readonly #summary = el("span", { class: "summary", role: "status", id: "summary" });
  readonly #history: TimeRange[] = [];
  #range: TimeRange;

  constructor(
    readonly host: HTMLElement,
    readonly whole: TimeRange,
    readonly choose: (range: TimeRange) => void,
  ) {
    this.#range = whole;
    for (const input of [this.#from, this.#to]) {
      input.addEventListener("change", () => this.#typed());
    }
    host.setAttribute("role", "group");
    host.setAttribute("aria-label", "Selected range of virtual time");
    host.append(
      el("label", {}, "From ", this.#from),
      el("label", {}, " to ", this.#to),
      button("◀", "Earlier (left arrow)", () => this.#move(-0.5)),
      button("▶", "Later (right arrow)", () => this.#move(0.5)),
      button("+", "Zoom in (+)", () => this.#zoom(0.5)),
      button("−", "Zoom out (-)", () => this.#zoom(2)),
      button("Back", "The range before (Backspace)", () => this.#back()),
      button("Whole", "The whole recording (Escape)", () => this.choose(whole)),
      this.#summary,
    );
    this.#fill();
  }

  /** Shows a range. @param done false while a brush still moves */
  show(range: TimeRange, done: boolean): void {
    if (done) {
      const last = this.#history.at(-1);
      if (last === undefined || last.startNs !== range.startNs || last.endNs !== range.endNs) {
        this.#history.push(range);
        if (this.#history.length > HISTORY_MAX) this.#history.shift();
      }
      const whole = range.startNs <= this.whole.startNs && range.endNs >= this.whole.endNs;
      const address = whole ? "#" : `#t=${Math.floor(range.startNs)}-${Math.ceil(range.endNs)}`;
      if (location.hash !== address && !(whole && location.hash === "")) {
        history.replaceState(null, "", address);
      }
    }
    this.#range = range;
    this.#fill();
  }

  /** Shows what the range holds. */
  summary(text: string): void {
    this.#summary.textContent = text;
  }

  /** The range in the page's address; null: none, or not one. */
  fromAddress(): TimeRange | null {
    const m = /^#t=(\d{1,16})-(\d{1,16})$/.exec(location.hash);
    if (m === null) return null;
    const range = { startNs: Number(m[1]), endNs: Number(m[2]) };
    return range.startNs < range.endNs && range.startNs < this.whole.endNs ? range : null;
  }

  /** A key on the plots. */
  key(e: KeyboardEvent, range: TimeRange): void {
    this.#range = range;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.#move(-0.25),
      ArrowRight: () => this.#move(0.25),
      "+": () => this.#zoom(0.5),
      "=": () => this.#zoom(0.5),
      "-": () => this.#zoom(2),
      Escape: () => this.choose(this.whole),
      Home: () => this.choose(this.whole),
      Backspace: () => this.#back(),
    };
    const action = actions[e.key];
    if (action === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    action();
  }

  #fill(): void {
    const { startNs, endNs } = this.#range, span = (endNs - startNs) / 100;
    this.#from.value = momentText(startNs, span);
    this.#to.value = momentText(endNs, span);
    for (const input of [this.#from, this.#to]) input.removeAttribute("aria-invalid");
  }

  #typed(): void {
    const startNs = parseTime(this.#from.value), endNs = parseTime(this.#to.value);
    const sound = startNs !== null && endNs !== null && startNs < endNs && startNs < this.whole.endNs;
    for (const input of [this.#from, this.#to]) input.setAttribute("aria-invalid", String(!sound));
    if (sound) this.choose({ startNs, endNs });
  }

  #move(share: number): void {
    const { startNs, endNs } = this.#range, span = endNs - startNs;
    const least = this.whole.startNs - startNs, most = this.whole.endNs - endNs;
    const by = Math.max(least, Math.min(most, span * share));
    if (by !== 0) this.choose({ startNs: startNs + by, endNs: endNs + by });
  }

  #zoom(factor: number): void {
    const { startNs, endNs } = this.#range,
      middle = (startNs + endNs) / 2,
      half = (endNs - startNs) / 2 * factor;
    if (half < 5) return;
    this.choose({
      startNs: Math.max(this.whole.startNs, middle - half),
      endNs: Math.min(this.whole.endNs, middle + half),
    });
  }

  #back(): void {
    this.#history.pop();
    this.choose(this.#history.pop() ?? this.whole);
  }
}

function field(label: string): HTMLInputElement {
  return el("input", {
    type: "text",
    class: "time",
    "aria-label": `${label} (virtual time, e.g. 12.5 ms)`,
    title: "Virtual time, e.g. 12.5 ms, 1.2 s, 300 us",
    spellcheck: "false",
    maxlength: "40",
  });
}
