/// <reference lib="dom" />
/**
 * Exits over virtual time: the whole recording to brush on, and the selected range by exit reason.
 *
 * @module
 */
import uPlot from "uplot";
import type { Panels, TimeRange } from "../model/panels.ts";
import { color, LOOKS, seriesColor, seriesDash } from "./theme.ts";
import { momentText, rateText } from "./time_text.ts";

/** Space left of both plots for the axis, so that everything below lines up. */
export const AXIS_WIDTH = 64, RIGHT_SPACE = 16;
const OVERVIEW_HEIGHT = 96, DETAIL_HEIGHT = 250;

/** What the plots tell the page. */
export interface TimelineEvents {
  /** A range was brushed; `done` is false while the brush still moves. */
  brush(range: TimeRange, done: boolean): void;
  /** The pointer is over a moment, and over this bucket of the detail; null: it left. */
  hover(ns: number | null, bucket: number | null): void;
}

/** Series of the detail plot, in the order in which they are drawn. */
export interface PlottedSeries {
  reason: string;
  /** Rank in the whole recording, which gives the colour. */
  rank: number;
  counts: number[];
}

/**
 * How rates are drawn: as they are, or by the inverse hyperbolic sine, which is logarithmic above one exit a bucket and keeps
 * zero at the bottom.
 */
class RateScale {
  readonly #one: number;
  /** @param bucketNs width of a bucket */
  constructor(readonly log: boolean, bucketNs: number) {
    this.#one = 1e6 / bucketNs;
  }

  height(rate: number): number {
    return this.log ? Math.asinh(rate / this.#one) : rate;
  }

  rate(height: number): number {
    return this.log ? Number((Math.sinh(height) * this.#one).toPrecision(6)) : height;
  }

  /** Zero and powers of ten below a height, at most so many. */
  splits(most: number, count: number): number[] {
    const powers: number[] = [];
    for (let p = Math.ceil(Math.log10(this.#one)); powers.length < 30 && this.height(10 ** p) <= most; p++) {
      powers.push(p);
    }
    const every = Math.max(1, Math.ceil(powers.length / count));
    return [
      0,
      ...powers.filter((_, i) => i % every === every - 1 || every === 1).map((p) => this.height(10 ** p)),
    ];
  }
}

/** One plot with a brush. */
class Plot {
  #plot: uPlot | null = null;
  #brushing = false;
  constructor(
    readonly host: HTMLElement,
    readonly height: number,
    readonly events: TimelineEvents,
    readonly keepSelection: boolean,
  ) {}

  /** Draws from scratch. */
  draw(range: TimeRange, data: number[][], series: uPlot.Series[], scale: RateScale, label: string): void {
    this.#plot?.destroy();
    const span = range.endNs - range.startNs;
    const rate = Math.max(...data.slice(1).flat(), 0), most = scale.height(rate > 0 ? rate : 1);
    const axis = {
      stroke: color("muted"),
      grid: { stroke: color("grid"), width: 1 },
      ticks: { stroke: color("grid") },
    };
    const options: uPlot.Options = {
      width: this.#width(),
      height: this.height,
      padding: [10, RIGHT_SPACE, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 4 },
        points: { show: false },
      },
      scales: {
        x: { time: false, range: [range.startNs, range.endNs] },
        y: { range: [0, most * 1.08] },
      },
      axes: [
        {
          ...axis,
          size: 34,
          values: (_u, ticks) => ticks.map((t) => momentText(t, span)),
          space: 90,
        },
        {
          ...axis,
          size: AXIS_WIDTH,
          label,
          labelSize: 16,
          labelFont: "11px system-ui, sans-serif",
          space: this.height > 120 ? 28 : 22,
          ...scale.log
            ? {
              splits: () => scale.splits(most, this.height > 120 ? 8 : 3),
              values: (_u, t) => t.map((y) => rateText(scale.rate(y))),
            }
            : { values: (_u, t) => t.map(rateText) },
        },
      ],
      series: [{}, ...series],
      hooks: {
        setSelect: [(u) => this.#selected(u, true)],
        setCursor: [(u) => this.#moved(u)],
        ready: [(u) => {
          u.over.addEventListener("mousedown", () => this.#brushing = true);
          addEventListener("mouseup", () => this.#brushing = false, { capture: true });
        }],
      },
    };
    const heights = data.map((values, i) => i === 0 ? values : values.map((v) => scale.height(v)));
    this.#plot = new uPlot(options, heights as uPlot.AlignedData, this.host);
  }

  /** Marks a range without telling anybody. */
  select(range: TimeRange | null): void {
    const u = this.#plot;
    if (u === null) return;
    const left = range === null ? 0 : u.valToPos(range.startNs, "x");
    const width = range === null ? 0 : Math.max(2, u.valToPos(range.endNs, "x") - left);
    u.setSelect({ left, width, top: 0, height: u.over.clientHeight }, false);
  }

  /** Puts the cursor at a moment; null takes it away. */
  point(ns: number | null): void {
    const u = this.#plot;
    // Moving the cursor would move the brush with it.
    if (u === null || this.#brushing) return;
    const left = ns === null ? -10 : u.valToPos(ns, "x");
    u.setCursor({ left: left < 0 || left > u.over.clientWidth ? -10 : left, top: 0 }, false);
  }

  show(series: number, visible: boolean): void {
    this.#plot?.setSeries(series, { show: visible });
  }

  resize(): void {
    this.#plot?.setSize({ width: this.#width(), height: this.height });
  }

  #width(): number {
    return Math.max(320, this.host.clientWidth);
  }

  #selected(u: uPlot, done: boolean): void {
    const { left, width } = u.select;
    if (width < 3) return;
    const range = { startNs: u.posToVal(left, "x"), endNs: u.posToVal(left + width, "x") };
    if (done && !this.keepSelection) u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.events.brush(range, done);
  }

  #moved(u: uPlot): void {
    const { left, idx } = u.cursor;
    const over = left !== undefined && left !== null && left >= 0;
    this.events.hover(over ? u.posToVal(left, "x") : null, over && !this.keepSelection ? idx ?? null : null);
    // Everything follows while the brush moves, but the plot that is brushed on stays as it is.
    if (this.#brushing && this.keepSelection) this.#selected(u, false);
  }
}

/** Both plots. */
export class Timeline {
  readonly #overview: Plot;
  readonly #detail: Plot;
  log = true;

  constructor(readonly overviewHost: HTMLElement, readonly detailHost: HTMLElement, events: TimelineEvents) {
    const shared = (other: () => Plot): TimelineEvents => ({
      brush: events.brush,
      hover: (ns, bucket) => {
        other().point(ns);
        events.hover(ns, bucket);
      },
    });
    this.#overview = new Plot(overviewHost, OVERVIEW_HEIGHT, shared(() => this.#detail), true);
    this.#detail = new Plot(detailHost, DETAIL_HEIGHT, shared(() => this.#overview), false);
  }

  /** Draws the whole recording. */
  drawOverview(whole: Panels): void {
    const totals = new Array<number>(whole.series[0]?.counts.length ?? 1).fill(0);
    for (const s of whole.series) s.counts.forEach((n, i) => totals[i] += n);
    const accent = color("accent");
    this.#overview.draw(
      whole.range,
      [edges(whole), padded(rates(totals, whole.bucketNs))],
      [{
        stroke: accent,
        fill: `${accent}55`,
        width: 1,
        paths: uPlot.paths.stepped!({ align: 1 }),
      }],
      new RateScale(this.log, whole.bucketNs),
      "exits/ms",
    );
  }

  /** Draws a range by reason. */
  drawDetail(panels: Panels, series: readonly PlottedSeries[], hidden: ReadonlySet<string>): void {
    const data = [edges(panels), ...series.map((s) => padded(rates(s.counts, panels.bucketNs)))];
    const looks = series.map((s): uPlot.Series => ({
      stroke: seriesColor(s.rank),
      fill: `${seriesColor(s.rank)}18`,
      dash: seriesDash(s.rank),
      width: 1.5,
      show: !hidden.has(s.reason),
      paths: uPlot.paths.stepped!({ align: 1 }),
    }));
    this.#detail.draw(
      panels.range,
      data,
      looks,
      new RateScale(this.log, panels.bucketNs),
      "exits per virtual ms",
    );
  }

  /** Marks the selected range in the overview. */
  select(range: TimeRange | null): void {
    this.#overview.select(range);
  }

  point(ns: number | null): void {
    this.#overview.point(ns);
    this.#detail.point(ns);
  }

  resize(): void {
    this.#overview.resize();
    this.#detail.resize();
  }
}

/** The most frequent reasons by themselves, the rest as one. `ranks` orders them by the whole recording. */
export function plottedSeries(panels: Panels, ranks: ReadonlyMap<string, number>): PlottedSeries[] {
  const own: PlottedSeries[] = [], rest = new Array<number>(panels.series[0]?.counts.length ?? 0).fill(0);
  let others = 0;
  for (const s of panels.series) {
    const rank = ranks.get(s.reason) ?? LOOKS;
    if (rank < LOOKS - 1) own.push({ reason: s.reason, rank, counts: s.counts });
    else {
      others++;
      s.counts.forEach((n, i) => rest[i] += n);
    }
  }
  own.sort((a, b) => a.rank - b.rank);
  return others === 0 ? own : [...own, { reason: OTHERS, rank: LOOKS, counts: rest }];
}

/** Stands for all reasons without a colour of their own. */
export const OTHERS = "other reasons";

function edges(panels: Panels): number[] {
  const n = panels.series[0]?.counts.length ?? 1;
  return Array.from({ length: n + 1 }, (_, i) => panels.range.startNs + i * panels.bucketNs);
}

/** Exits per virtual millisecond. */
function rates(counts: readonly number[], bucketNs: number): number[] {
  return counts.map((n) => n / bucketNs * 1e6);
}

/** The last step is drawn as wide as the others. */
function padded(values: number[]): number[] {
  return [...values, values.at(-1) ?? 0];
}
