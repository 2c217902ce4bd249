/// <reference lib="dom" />
/**
 * The page: one selected range of time, and panels that all show that range.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import type { Panels, TimeRange } from "../model/panels.ts";
import { ConsoleView } from "./console_view.ts";
import { button, choice, el, empty, reasonText, shown } from "./dom.ts";
import { FlameView } from "./flame_view.ts";
import { drawLanes } from "./lanes.ts";
import { buildLayout, type Layout } from "./layout.ts";
import { RangeBar } from "./range_bar.ts";
import type { Overview, Source } from "./source.ts";
import { SqlBox } from "./sql_box.ts";
import { callTable, hotspotTable, interruptTable } from "./tables.ts";
import { LOOKS, onThemeChange, seriesColor, seriesDash, toggleTheme } from "./theme.ts";
import { percentText, rateText, spanText } from "./time_text.ts";
import { OTHERS, type PlottedSeries, plottedSeries, Timeline } from "./timeline.ts";

/** Times of the page's own work, for whoever wants to know (and for the tests). */
export interface Timings {
  /** Milliseconds from the start of navigation to the first plot, and to a page that can be brushed. */
  firstPlot: number;
  interactive: number;
  /** Milliseconds of the last brush, from the pointer to the last panel drawn. */
  brush: number;
  /** Brushes answered so far. */
  brushes: number;
}

/** Starts the page on a source. */
export async function start(source: Source): Promise<void> {
  const layout = buildLayout();
  document.body.prepend(layout.root);
  layout.root.setAttribute("aria-busy", "true");
  let app: App | null = null;
  try {
    const overview = await source.open(bucketsFor(layout), {
      step: (what, share) => layout.progress(what, share),
      preview: (early) => app ??= new App(source, early, layout, true),
    });
    layout.progress("", 1);
    if (app === null) app = new App(source, overview, layout, false);
    else (app as App).adopt(overview);
    layout.root.setAttribute("aria-busy", "false");
  } catch (error) {
    layout.fail(error instanceof Error ? error.message : String(error));
  }
}

/** Two pixels a bucket. */
function bucketsFor(layout: Layout): number {
  return Math.max(100, Math.min(1000, Math.floor(layout.detail.clientWidth / 2)));
}

class App {
  #whole: Panels;
  readonly #ranks = new Map<string, number>();
  readonly #timeline: Timeline;
  readonly #flame: FlameView;
  readonly #console: ConsoleView;
  readonly #sql: SqlBox;
  readonly #bar: RangeBar;
  readonly #hidden = new Set<string>();
  readonly #timings: Timings = { firstPlot: 0, interactive: 0, brush: 0, brushes: 0 };
  #panels: Panels;
  #range: TimeRange;
  #series: PlottedSeries[] = [];
  #hotspots: "function" | "address" = "function";
  #stacks: "exits" | "samples" = "exits";
  #asked = 0;
  #busy = false;
  /** True while a brush moves. */
  #moving = false;
  #waiting: { range: TimeRange; from: number } | null = null;
  #legendValues: HTMLElement[] = [];

  /** @param early true: only exits over time are known so far */
  constructor(
    readonly source: Source,
    public overview: Overview,
    readonly layout: Layout,
    private early: boolean,
  ) {
    this.#whole = this.#panels = overview.panels;
    this.#range = overview.panels.range;
    overview.panels.series.forEach((s, i) => this.#ranks.set(s.reason, i));
    this.#timeline = new Timeline(layout.overview, layout.detail, {
      brush: (range, done) => this.select(range, done),
      hover: (ns, bucket) => this.#hover(ns, bucket),
    });
    this.#timeline.log = isSkewed(overview.panels);
    this.#flame = new FlameView(layout.flame, (name) => {
      const rank = this.#ranks.get(name);
      return rank === undefined ? null : seriesColor(rank);
    });
    this.#console = new ConsoleView(layout.console, {
      hover: (ns) => this.#timeline.point(ns),
      choose: (range) => this.select(range, true),
    });
    this.#sql = new SqlBox(layout.sql, source, () => this.#range);
    this.#bar = new RangeBar(layout.bar, this.#whole.range, (range) => this.select(range, true));
    this.#header();
    this.#controls();
    this.#draw(true);
    this.#timings.firstPlot = performance.now();
    (globalThis as { retrovisor?: unknown }).retrovisor = {
      timings: this.#timings,
      endNs: overview.panels.range.endNs,
      select: this.select.bind(this),
      settled: () => !this.#busy && this.#waiting === null,
    };
    if (!early) queueMicrotask(() => this.#ready());
  }

  /** Takes what was early for what is now known. What was brushed meanwhile is answered. */
  adopt(overview: Overview): void {
    this.overview = overview;
    this.early = false;
    const all = this.#range.endNs >= this.#whole.range.endNs && this.#range.startNs === 0;
    this.#whole = this.#panels = overview.panels;
    if (all) this.#range = overview.panels.range;
    overview.panels.series.forEach((s, i) => this.#ranks.set(s.reason, i));
    this.#header();
    this.#draw(true);
    queueMicrotask(() => {
      this.#ready();
      void this.#follow();
    });
  }

  #ready(): void {
    this.#timings.interactive = performance.now();
    document.documentElement.dataset.ready = "true";
    void this.#sql.loadNames().catch(() => {});
    const linked = this.#bar.fromAddress();
    if (linked !== null) this.select(linked, true);
  }

  /** Selects a range; panels follow. While one answer is awaited only the last wish is kept. */
  select(range: TimeRange, done: boolean): void {
    const from = performance.now();
    const { endNs } = this.#whole.range;
    const startNs = Math.max(0, Math.min(range.startNs, endNs - 1));
    this.#range = { startNs, endNs: Math.min(endNs, Math.max(range.endNs, startNs + 1)) };
    this.#bar.show(this.#range, done);
    if (done) this.#markSelection();
    // A page that gets shorter may scroll away under the brush.
    const { root } = this.layout;
    if (!done && root.style.minHeight === "") root.style.minHeight = `${root.offsetHeight}px`;
    this.#moving = !done;
    this.#waiting = { range: this.#range, from };
    void this.#follow();
  }

  async #follow(): Promise<void> {
    if (this.#busy || this.early) return;
    this.#busy = true;
    while (this.#waiting !== null) {
      const { range, from } = this.#waiting;
      this.#waiting = null;
      const number = ++this.#asked;
      try {
        const panels = await this.source.panels(range, bucketsFor(this.layout));
        if (number !== this.#asked) continue;
        this.#panels = panels;
        this.#draw();
        await painted();
        this.#timings.brush = performance.now() - from;
        this.#timings.brushes++;
      } catch (error) {
        this.layout.warn(error instanceof Error ? error.message : String(error));
      }
    }
    if (!this.#moving) this.layout.root.style.minHeight = "";
    this.#busy = false;
  }

  #header(): void {
    const { info, panels } = this.overview;
    document.title = `${shown(info.guest)}: Retrovisor`;
    this.layout.title.textContent = shown(info.guest);
    const facts: [string, string][] = [
      ["Machine", info.machine],
      ["Outcome", info.outcome],
      ["Instructions", grouped(info.icount)],
      ["Virtual time", spanText(panels.range.endNs)],
      ["Exits", grouped(panels.exits)],
      ["Hypercalls", grouped(panels.hypercalls)],
    ];
    if (info.cmdline !== "") facts.splice(1, 0, ["Command line", info.cmdline]);
    if (info.recovered) facts.push(["Note", "the recording was cut and ends at its last whole batch"]);
    this.layout.facts.replaceChildren(
      ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, shown(value)))),
    );
  }

  #controls(): void {
    const { layout } = this;
    layout.themeHost.append(button("Light / dark", "Change between light and dark colours", toggleTheme));
    layout.scaleHost.append(
      choice(
        "Scale",
        [["log", "logarithmic"], ["linear", "linear"]],
        this.#timeline.log ? "log" : "linear",
        (v) => {
          this.#timeline.log = v === "log";
          this.#drawTime(true);
        },
      ),
    );
    layout.hotspotHost.append(
      choice("Hotspots by", [["function", "function"], ["address", "address"]], "function", (v) => {
        this.#hotspots = v;
        this.#drawHotspots();
      }),
    );
    layout.stackHost.append(
      choice("Stacks of", [["exits", "exits"], ["samples", "instructions (PC samples)"]], "exits", (v) => {
        this.#stacks = v;
        this.#drawFlame();
      }),
    );
    layout.search.addEventListener("input", () => this.#flame.search(layout.search.value));
    layout.plots.addEventListener("keydown", (e) => this.#bar.key(e, this.#range));
    onThemeChange(() => this.#draw(true));
    let timer: ReturnType<typeof setTimeout> | undefined;
    addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        this.#flame.resize();
        this.#draw(true);
        this.select(this.#range, true);
      }, 150);
    });
  }

  /**
   * Draws everything. The plots come first and paint in a microtask of theirs: text on a canvas has the browser work out all
   * styles, which is quick as long as nothing else has changed.
   */
  #draw(overviewToo = false): void {
    const { layout } = this, width = layout.lanes.clientWidth;
    this.#drawTime(overviewToo);
    queueMicrotask(() => this.#drawPanels(width));
  }

  #drawPanels(width: number): void {
    const { layout } = this;
    this.#drawLegend();
    drawLanes(layout.lanes, width, this.#panels);
    this.#drawSummary();
    if (this.early) {
      for (const host of [layout.hotspots, layout.calls, layout.interrupts, layout.console]) {
        host.replaceChildren(empty("The recording is being read."));
      }
      return;
    }
    this.#drawHotspots();
    layout.calls.replaceChildren(callTable(this.#panels));
    layout.interrupts.replaceChildren(interruptTable(this.#panels));
    this.#drawFlame();
    this.#console.show(this.#panels);
  }

  #drawTime(overviewToo: boolean): void {
    this.#series = plottedSeries(this.#panels, this.#ranks);
    if (overviewToo) {
      this.#timeline.drawOverview(this.#whole);
      this.#markSelection();
    }
    this.#timeline.drawDetail(this.#panels, this.#series, this.#hidden);
  }

  #markSelection(): void {
    const { startNs, endNs } = this.#whole.range;
    const all = this.#range.startNs <= startNs && this.#range.endNs >= endNs;
    this.#timeline.select(all ? null : this.#range);
  }

  #drawLegend(): void {
    const totals = new Map(this.#panels.series.map((s) => [s.reason, s.total]));
    this.#legendValues = [];
    const items = this.#series.map((s) => {
      const total = totals.get(s.reason) ?? s.counts.reduce((a, b) => a + b, 0);
      const value = el("span", { class: "value" }, grouped(total));
      this.#legendValues.push(value);
      const name = s.reason === OTHERS ? OTHERS : reasonText(s.reason);
      const b = button("", `Show or hide ${name}`, () => {
        if (!this.#hidden.delete(s.reason)) this.#hidden.add(s.reason);
        b.setAttribute("aria-pressed", String(!this.#hidden.has(s.reason)));
        this.#drawTime(false);
      });
      b.setAttribute("aria-pressed", String(!this.#hidden.has(s.reason)));
      b.append(swatch(s.rank), el("span", { class: "name" }, name), value);
      return b;
    });
    this.layout.legend.replaceChildren(...items);
  }

  #hover(ns: number | null, bucket: number | null): void {
    this.#console.mark(ns);
    if (bucket === null && ns !== null) return;
    this.#series.forEach((s, i) => {
      const total = this.#panels.series.find((p) => p.reason === s.reason)?.total ??
        s.counts.reduce((a, b) => a + b, 0);
      const at = bucket === null ? null : s.counts[Math.min(bucket, s.counts.length - 1)];
      const value = this.#legendValues[i];
      if (value === undefined) return;
      value.textContent = at === null ? grouped(total) : `${rateText(at / this.#panels.bucketNs * 1e6)}/ms`;
    });
  }

  #drawHotspots(): void {
    if (this.early) return;
    this.layout.hotspots.replaceChildren(hotspotTable(this.#panels, this.#hotspots));
  }

  #drawFlame(): void {
    if (this.early) return;
    const { sampleInterval } = this.overview.info;
    if (this.#stacks === "exits") {
      this.#flame.show(this.#panels.exitFlame, "exits", "No exits in this range.");
    } else {
      const none = sampleInterval > 0
        ? "No sample in this range."
        : "This recording has no samples: record with --sample 100000 to see where instructions go.";
      this.#flame.show(this.#panels.sampleFlame, "samples", none);
    }
  }

  #drawSummary(): void {
    const p = this.#panels, spanNs = p.range.endNs - p.range.startNs;
    const facts = [
      `${grouped(p.exits)} exits (${percentText(p.exits / Math.max(1, this.#whole.exits))} of all)`,
      `${rateText(p.exits / spanNs * 1e6)} a virtual ms`,
      `${grouped(p.hypercalls)} hypercalls`,
      `${grouped(p.interrupts)} interrupts`,
      `${grouped(p.samples)} samples`,
    ];
    this.#bar.summary(`${spanText(spanNs)} selected: ${facts.join(", ")}`);
  }
}

function swatch(rank: number): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [k, v] of Object.entries({ width: "26", height: "10", "aria-hidden": "true" })) {
    svg.setAttribute(k, v);
  }
  const look = Math.min(rank, LOOKS - 1);
  const attributes = { x1: "0", x2: "26", y1: "5", y2: "5", stroke: seriesColor(look), "stroke-width": "3" };
  for (const [k, v] of Object.entries(attributes)) line.setAttribute(k, v);
  line.setAttribute("stroke-dasharray", seriesDash(look).join(" "));
  svg.append(line);
  return svg;
}

/** True when a few buckets dwarf all others, as early calibration loops do. */
function isSkewed(panels: Panels): boolean {
  const totals = panels.series[0]?.counts.map((_, i) => panels.series.reduce((n, s) => n + s.counts[i], 0)) ??
    [];
  const some = totals.filter((n) => n > 0).sort((a, b) => a - b);
  return some.length > 0 && some[some.length - 1] > 10 * some[some.length >> 1];
}

/** Waits until what was changed has been painted. */
function painted(): Promise<void> {
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
}
