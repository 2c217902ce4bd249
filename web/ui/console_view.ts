/// <reference lib="dom" />
/**
 * What the guest printed, line by line with the time at which each line began.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import type { ConsoleLine, Panels, TimeRange } from "../model/panels.ts";
import { el, empty, shown } from "./dom.ts";
import { momentText, spanText } from "./time_text.ts";

/** Times are shown to the microsecond. */
const TIME_SPAN_NS = 1e6;

/** What a line does when it is pointed at or chosen. */
export interface ConsoleEvents {
  hover(ns: number | null): void;
  choose(range: TimeRange): void;
}

/** Lines that are made at once: more than are seen. The rest follows when the brush rests. */
const LINES_FIRST = 120, REST_MS = 200;

/** The view. */
export class ConsoleView {
  #lines: ConsoleLine[] = [];
  #endNs = 0;
  #rows: HTMLElement[] = [];
  #marked: HTMLElement | null = null;
  #rest: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly host: HTMLElement, readonly events: ConsoleEvents) {
    const lineOf = (e: Event) => this.#rows.indexOf((e.target as Element).closest("li") as HTMLElement);
    host.addEventListener("mouseover", (e) => events.hover(this.#lines[lineOf(e)]?.timeNs ?? null));
    host.addEventListener("mouseleave", () => events.hover(null));
    host.addEventListener("click", (e) => {
      const i = lineOf(e);
      if (i < 0 || (e.target as Element).closest("button") === null) return;
      events.choose({ startNs: this.#lines[i].timeNs, endNs: this.#next(i) });
    });
  }

  /** Shows the lines of a range. */
  show(panels: Panels): void {
    clearTimeout(this.#rest);
    this.#lines = panels.lines;
    this.#endNs = panels.range.endNs;
    this.#marked = null;
    this.#rows = [];
    if (panels.lines.length === 0) {
      this.host.replaceChildren(empty("Nothing was printed in this range."));
      return;
    }
    const list = el("ol");
    this.#add(list, LINES_FIRST);
    this.host.replaceChildren(list);
    this.host.scrollTop = 0;
    const more = panels.lineCount - panels.lines.length;
    this.#rest = setTimeout(() => {
      this.#add(list, Infinity);
      if (more > 0) {
        list.append(el("li", { class: "more" }, `and ${grouped(more)} more lines; brush a shorter range`));
      }
    }, REST_MS);
  }

  /** Makes rows up to a number of lines. */
  #add(list: HTMLElement, upTo: number): void {
    const several = new Set(this.#lines.map((l) => l.device)).size > 1, rows: HTMLElement[] = [];
    for (let i = this.#rows.length; i < Math.min(upTo, this.#lines.length); i++) {
      const { timeNs, device, text } = this.#lines[i];
      const title = `Select the ${spanText(this.#next(i) - timeNs)} until the next line`;
      rows.push(el(
        "li",
        {},
        el("button", { type: "button", class: "at", title }, momentText(timeNs, TIME_SPAN_NS)),
        el("span", { class: "line" }, several ? `[${shown(device)}] ` : "", shown(text)),
      ));
    }
    this.#rows.push(...rows);
    list.append(...rows);
  }

  /** When the next line began that did not begin together with this one. */
  #next(i: number): number {
    const { timeNs } = this.#lines[i];
    for (let k = i + 1; k < this.#lines.length; k++) {
      if (this.#lines[k].timeNs > timeNs) return this.#lines[k].timeNs;
    }
    return this.#endNs;
  }

  /** Marks the last line that began before a moment. */
  mark(ns: number | null): void {
    this.#marked?.classList.remove("marked");
    this.#marked = null;
    if (ns === null) return;
    let low = 0, high = this.#lines.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#lines[middle].timeNs <= ns) low = middle + 1;
      else high = middle;
    }
    this.#marked = this.#rows[low - 1] ?? null;
    this.#marked?.classList.add("marked");
  }
}
