/// <reference lib="dom" />
/**
 * What the guest printed, line by line with the time at which each line began.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import type { Panels, TimeRange } from "../model/panels.ts";
import { el, empty, shown } from "./dom.ts";
import { momentText, spanText } from "./time_text.ts";

/** Times are shown to the microsecond. */
const TIME_SPAN_NS = 1e6;

/** What a line does when it is pointed at or chosen. */
export interface ConsoleEvents {
  hover(ns: number | null): void;
  choose(range: TimeRange): void;
}

/** The view. */
export class ConsoleView {
  #times: number[] = [];
  #rows: HTMLElement[] = [];
  #marked: HTMLElement | null = null;
  constructor(readonly host: HTMLElement, readonly events: ConsoleEvents) {}

  /** Shows the lines of a range. */
  show(panels: Panels): void {
    const { lines } = panels;
    this.#marked = null;
    this.#times = lines.map((l) => l.timeNs);
    if (lines.length === 0) {
      this.#rows = [];
      this.host.replaceChildren(empty("Nothing was printed in this range."));
      return;
    }
    const several = new Set(lines.map((l) => l.device)).size > 1;
    this.#rows = lines.map((line, i) => {
      const next = lines.find((l, k) => k > i && l.timeNs > line.timeNs)?.timeNs ?? panels.range.endNs;
      const at = el(
        "button",
        {
          type: "button",
          class: "at",
          title: `Select the ${spanText(next - line.timeNs)} until the next line`,
        },
        momentText(line.timeNs, TIME_SPAN_NS),
      );
      at.addEventListener("click", () => this.events.choose({ startNs: line.timeNs, endNs: next }));
      const row = el(
        "li",
        {},
        at,
        el("span", { class: "line" }, several ? `[${shown(line.device)}] ` : "", shown(line.text)),
      );
      row.addEventListener("mouseenter", () => this.events.hover(line.timeNs));
      row.addEventListener("mouseleave", () => this.events.hover(null));
      return row;
    });
    const more = panels.lineCount - lines.length;
    const list = el("ol", {}, ...this.#rows);
    if (more > 0) {
      list.append(el("li", { class: "more" }, `and ${grouped(more)} more lines; brush a shorter range`));
    }
    this.host.replaceChildren(list);
  }

  /** Marks the last line that began before a moment. */
  mark(ns: number | null): void {
    this.#marked?.classList.remove("marked");
    this.#marked = null;
    if (ns === null) return;
    let low = 0, high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[middle] <= ns) low = middle + 1;
      else high = middle;
    }
    this.#marked = this.#rows[low - 1] ?? null;
    this.#marked?.classList.add("marked");
  }
}
