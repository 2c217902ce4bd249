/// <reference lib="dom" />
/**
 * Questions in SQL, with the views at hand.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import type { TimeRange } from "../model/panels.ts";
import { button, el, empty, shown } from "./dom.ts";
import type { Nameable, Source, SqlAnswer } from "./source.ts";

const FIRST = "SELECT * FROM exit_summary";

/** The box. */
export class SqlBox {
  readonly #text = el("textarea", {
    rows: "4",
    spellcheck: "false",
    id: "sql-text",
    "aria-label": "SQL",
    "aria-describedby": "sql-help",
    maxlength: "16000",
  });
  readonly #run = button("Run", "Run (Ctrl+Enter)", () => void this.run());
  readonly #status = el("span", { class: "note", role: "status" });
  readonly #answer = el("div", { class: "answer" });
  readonly #views = el("select", { "aria-label": "Views and tables", id: "sql-views" });
  readonly #about = el("p", { class: "note", id: "sql-about" });
  #nameables: Nameable[] = [];
  #running = false;

  constructor(readonly host: HTMLElement, readonly source: Source, readonly range: () => TimeRange) {
    this.#text.value = FIRST;
    this.#text.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
        e.preventDefault();
        void this.run();
      }
    });
    this.#run.id = "sql-run";
    this.#run.classList.add("primary");
    this.#views.addEventListener("change", () => this.#choose());
    host.append(
      el("div", { class: "row" }, el("label", { for: "sql-views" }, "Ask a view or table "), this.#views),
      this.#about,
      this.#text,
      el("div", { class: "row" }, this.#run, this.#status),
      el(
        "p",
        { class: "note", id: "sql-help" },
        "DuckDB's dialect, one SELECT. $t0 and $t1 stand for the selected range's start and end in virtual nanoseconds, " +
          "e.g. SELECT * FROM exits WHERE time_ns BETWEEN $t0 AND $t1.",
      ),
      this.#answer,
    );
  }

  /** Fills the list of views. */
  async loadNames(): Promise<void> {
    this.#nameables = await this.source.nameables();
    const options = this.#nameables.map((n, i) =>
      el("option", { value: String(i) }, `${n.signature}: ${n.summary}`)
    );
    this.#views.replaceChildren(el("option", { value: "" }, "choose…"), ...options);
  }

  #choose(): void {
    const chosen = this.#nameables[Number(this.#views.value)];
    if (this.#views.value === "" || chosen === undefined) return;
    const call = chosen.signature.replace(/\(.*\)$/, "(1000000)");
    this.#text.value = `SELECT * FROM ${call}`;
    this.#about.textContent = `Columns: ${chosen.columns.join(", ")}`;
    this.#text.focus();
  }

  /** Runs what is in the box. */
  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    this.#run.disabled = true;
    this.#status.classList.remove("error");
    this.#status.textContent = "Running; the first question takes longest…";
    const from = performance.now(), { startNs, endNs } = this.range();
    const text = this.#text.value.replace(/\$t0\b/g, String(Math.floor(startNs))).replace(
      /\$t1\b/g,
      String(Math.ceil(endNs)),
    );
    try {
      const answer = await this.source.sql(text);
      this.#show(answer);
      const took = performance.now() - from;
      this.#status.textContent = `${grouped(answer.rows.length)} row${answer.rows.length === 1 ? "" : "s"}${
        answer.cut ? " shown, there are more" : ""
      }, ${took < 1000 ? `${Math.round(took)} ms` : `${(took / 1000).toFixed(1)} s`}`;
    } catch (error) {
      this.#answer.replaceChildren();
      this.#status.classList.add("error");
      this.#status.textContent = shownLines(error instanceof Error ? error.message : String(error));
    } finally {
      this.#running = false;
      this.#run.disabled = false;
    }
  }

  #show(answer: SqlAnswer): void {
    if (answer.rows.length === 0) return this.#answer.replaceChildren(empty("No rows."));
    const kind = answer.columns.map((c) => c.numeric ? "number" : "");
    const head = answer.columns.map((c, i) => el("th", { scope: "col", class: kind[i] }, shown(c.name)));
    const rows = answer.rows.map((r) =>
      el("tr", {}, ...r.map((cell, i) => el("td", { class: kind[i] }, cell)))
    );
    const table = el(
      "table",
      {},
      el("caption", {}, "Answer"),
      el("thead", {}, el("tr", {}, ...head)),
      el("tbody", {}, ...rows),
    );
    this.#answer.replaceChildren(
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Answer" }, table),
    );
  }
}

/** Errors keep their lines: DuckDB marks the place in the text. */
function shownLines(text: string): string {
  return text.split("\n").map(shown).join("\n");
}
