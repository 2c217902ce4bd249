/// <reference lib="dom" />
/**
 * Tables with bars: hotspots, hypercalls, interrupts.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import type { Panels } from "../model/panels.ts";
import { el, empty, reasonText, shown } from "./dom.ts";
import { percentText } from "./time_text.ts";

/** One row: text cells, then a count that is shown with its share and a bar. */
interface CountRow {
  cells: string[];
  /** Longer explanation. */
  title?: string;
  count: number;
  after?: string;
}

function countTable(
  caption: string,
  heads: readonly string[],
  total: number,
  rows: readonly CountRow[],
  more: number,
): HTMLElement {
  const largest = Math.max(1, ...rows.map((r) => r.count));
  const body = el("tbody");
  for (const r of rows) {
    const bar = el("div", { class: "meter" });
    bar.style.width = `${100 * r.count / largest}%`;
    const line = el("tr", r.title === undefined ? {} : { title: r.title });
    r.cells.forEach((cell, i) =>
      line.append(el(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {}, cell))
    );
    line.append(
      el("td", { class: "number" }, grouped(r.count)),
      el("td", { class: "number" }, percentText(r.count / total)),
      el("td", { class: "bars" }, bar),
    );
    if (r.after !== undefined) line.append(el("td", { class: "after" }, r.after));
    body.append(line);
  }
  if (more > 0) {
    body.append(
      el("tr", {}, el("td", { colspan: "8", class: "more" }, `and ${grouped(more)} more; ask in SQL below`)),
    );
  }
  const numbers = new Set(["Exits", "Calls", "Count", "Share"]);
  const head = heads.map((h) => el("th", { scope: "col", class: numbers.has(h) ? "number" : "" }, h));
  const table = el(
    "table",
    {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...head)),
    body,
  );
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
}

/** Functions, or addresses, that exit most. */
export function hotspotTable(panels: Panels, by: "function" | "address"): HTMLElement {
  const spots = by === "function" ? panels.byFunction : panels.byAddress;
  if (spots.length === 0) return empty("No exits in this range.");
  const rows = spots.map((s): CountRow => {
    const name = s.name === null ? "(no symbol)" : shown(s.name);
    const reasons = s.reasons.map(([r, n]) => `${reasonText(r)} ${grouped(n)}`).join(", ");
    return {
      cells: by === "function" ? [name] : [s.address ?? "", name],
      title: `${name}: ${reasons}`,
      count: s.exits,
      after: s.reasons.map(([r]) => reasonText(r)).join(", "),
    };
  });
  const heads = by === "function" ? ["Function"] : ["Address", "Function"];
  const all = by === "function" ? panels.functionCount : panels.addressCount;
  return countTable(
    by === "function" ? "Functions by exits" : "Addresses by exits",
    [...heads, "Exits", "Share", "", "Reasons"],
    panels.exits,
    rows,
    all - rows.length,
  );
}

/** Hypercalls by name. */
export function callTable(panels: Panels): HTMLElement {
  if (panels.calls.length === 0) return empty("No hypercalls in this range.");
  const rows = panels.calls.map((r): CountRow => ({
    cells: [shown(r.name), r.subop === null ? "" : shown(r.subop)],
    count: r.calls,
    after: r.failed > 0 ? `${grouped(r.failed)} failed` : "",
  }));
  const heads = ["Hypercall", "Sub-operation", "Calls", "Share", "", "Errors"];
  return countTable("Hypercalls", heads, panels.hypercalls, rows, 0);
}

/** Interrupts by vector. */
export function interruptTable(panels: Panels): HTMLElement {
  if (panels.interruptMix.length === 0) return empty("No interrupts were delivered in this range.");
  const rows = panels.interruptMix.map((r): CountRow => ({
    cells: [`0x${r.vector.toString(16)}`, shown(r.source)],
    count: r.count,
  }));
  return countTable("Interrupts", ["Vector", "Source", "Count", "Share", ""], panels.interrupts, rows, 0);
}
