/// <reference lib="dom" />
/**
 * A flame graph, outermost frames on top. One stop for the keyboard: arrows move, Enter zooms, Escape zooms out.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import type { Flame, FlameNode } from "../model/flame.ts";
import { el, empty, shown } from "./dom.ts";
import { percentText } from "./time_text.ts";

const ROW = 20;
/** Frames narrower than this many pixels are not drawn. */
const WIDTH_MIN = 2;
/** Most frames drawn. */
const FRAMES_MAX = 3000;

/** A drawn frame. */
interface Frame {
  node: FlameNode;
  path: FlameNode[];
  depth: number;
  left: number;
  width: number;
}

/** The view. */
export class FlameView {
  #flame: Flame = { names: [], total: 0, roots: [] };
  #what = "exits";
  /** Names from the root to the frame that fills the width: kept when the data changes. */
  #zoom: string[] = [];
  #search = "";
  /** Width of the area; asked for only when it may have changed, because asking lays the page out. */
  #width = 0;
  readonly #note = el("p", { class: "note", "aria-live": "polite" });
  readonly #area = el("div", { class: "flame", role: "group", "aria-label": "Flame graph" });

  /** @param colorOf colour of a frame that is an exit reason; null for functions */
  constructor(readonly host: HTMLElement, readonly colorOf: (name: string) => string | null) {
    host.append(this.#note, this.#area);
    this.#area.addEventListener("keydown", (e) => this.#key(e));
  }

  /** Shows a graph. @param none what to say when there are no stacks */
  show(flame: Flame, what: string, none: string): void {
    this.#flame = flame;
    this.#what = what;
    if (flame.total > 0) this.redraw();
    else {
      this.#note.textContent = "";
      this.#area.style.height = "auto";
      this.#area.replaceChildren(empty(none));
    }
  }

  /** Marks frames whose name has a text in it. */
  search(text: string): void {
    this.#search = text.toLowerCase();
    if (this.#flame.total > 0) this.redraw();
  }

  /** Forgets the width, after a change of size. */
  resize(): void {
    this.#width = 0;
  }

  /** Draws again. */
  redraw(): void {
    if (this.#flame.total === 0) return;
    if (this.#width === 0) this.#width = Math.max(200, this.#area.clientWidth);
    const { frames, fits } = this.#layout();
    const elements = frames.map((f) => this.#element(f));
    if (elements.length > 0) elements[0].tabIndex = 0;
    const deepest = frames.reduce((d, f) => Math.max(d, f.depth), 0);
    this.#area.style.height = `${(deepest + 1) * ROW}px`;
    this.#area.replaceChildren(...elements);
    const zoomed = this.#zoom.length === 0 ? "" : `; zoomed to ${shown(this.#zoom.at(-1) ?? "")}`;
    this.#note.textContent = `${grouped(this.#flame.total)} ${this.#what}${zoomed}${this.#matched()}${
      fits ? "" : "; the narrowest frames are left out"
    }. Width is the share of ${this.#what}; click or Enter zooms, Escape zooms out.`;
  }

  #matched(): string {
    if (this.#search === "") return "";
    const count = (nodes: readonly FlameNode[]): number =>
      nodes.reduce((n, node) => n + (this.#matches(node) ? node.value : count(node.children)), 0);
    return `; ${percentText(count(this.#flame.roots) / this.#flame.total)} match`;
  }

  #matches(node: FlameNode): boolean {
    return this.#search !== "" && this.#flame.names[node.name].toLowerCase().includes(this.#search);
  }

  #layout(): { frames: Frame[]; fits: boolean } {
    const frames: Frame[] = [], width = this.#width;
    let nodes = this.#flame.roots, from = 0, whole = this.#flame.total, fits = true;
    const above: FlameNode[] = [];
    for (const name of this.#zoom) {
      const found = nodes.find((n) => this.#flame.names[n.name] === name);
      if (found === undefined) break;
      above.push(found);
      frames.push({ node: found, path: [...above], depth: above.length - 1, left: 0, width });
      whole = found.value;
      nodes = found.children;
      from = above.length;
    }
    this.#zoom.length = from;
    const place = (list: readonly FlameNode[], left: number, depth: number, path: FlameNode[]) => {
      for (const node of list) {
        const w = node.value / whole * width;
        if (w >= WIDTH_MIN && frames.length < FRAMES_MAX) {
          const own = [...path, node];
          frames.push({ node, path: own, depth, left, width: w });
          place(node.children, left, depth + 1, own);
        } else fits = false;
        left += w;
      }
    };
    place(nodes, 0, from, above);
    return { frames, fits };
  }

  #element(f: Frame): HTMLElement {
    const { names, total } = this.#flame, name = names[f.node.name];
    const share = `${grouped(f.node.value)} ${this.#what}, ${percentText(f.node.value / total)}`;
    const e = el("button", {
      type: "button",
      class: this.#matches(f.node) ? "frame match" : "frame",
      tabindex: "-1",
      title: `${shown(name)}: ${share}`,
      "aria-label": `${shown(name)}, depth ${f.depth + 1}, ${share}`,
    }, f.width > 24 ? shown(name) : "");
    e.style.left = `${f.left}px`;
    e.style.width = `${Math.max(1, f.width - 1)}px`;
    e.style.top = `${f.depth * ROW}px`;
    const own = this.colorOf(name);
    if (own !== null) {
      e.style.borderLeft = `4px solid ${own}`;
      e.classList.add("reason");
    } else e.style.setProperty("--shade", String(shade(name)));
    e.addEventListener("click", () => this.#zoomTo(f.path));
    return e;
  }

  #zoomTo(path: readonly FlameNode[]): void {
    const names = path.map((n) => this.#flame.names[n.name]);
    const again = names.length === this.#zoom.length && names.every((n, i) => n === this.#zoom[i]);
    this.#zoom = again ? names.slice(0, -1) : names;
    this.redraw();
    (this.#area.children[Math.max(0, this.#zoom.length - 1)] as HTMLElement | undefined)?.focus();
  }

  #key(e: KeyboardEvent): void {
    const elements = [...this.#area.children] as HTMLElement[],
      at = elements.indexOf(e.target as HTMLElement);
    if (at < 0) return;
    if (e.key === "Escape" && this.#zoom.length > 0) {
      this.#zoom.pop();
      this.redraw();
      (this.#area.firstElementChild as HTMLElement | null)?.focus();
    } else {
      const next = neighbour(elements, at, e.key);
      if (next === null) return;
      elements[at].tabIndex = -1;
      elements[next].tabIndex = 0;
      elements[next].focus();
    }
    e.preventDefault();
    e.stopPropagation();
  }
}

/** The frame that an arrow key leads to; null: none. */
function neighbour(elements: readonly HTMLElement[], at: number, key: string): number | null {
  const here = elements[at].getBoundingClientRect();
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ??
    [0, 0];
  if (dx === 0 && dy === 0) return null;
  let best: number | null = null, distance = Infinity;
  elements.forEach((e, i) => {
    const r = e.getBoundingClientRect();
    const rows = Math.round((r.top - here.top) / ROW);
    if (rows !== dy) return;
    const way = dy === 0 ? (r.left - here.left) * dx : r.left + r.width / 2 < here.left && dy > 0 ? -1 : 1;
    const overlap = Math.min(r.right, here.right) - Math.max(r.left, here.left);
    const d = dy === 0 ? way : -overlap;
    if (i === at || (dy === 0 && way <= 0) || (dy !== 0 && overlap <= 0) || d >= distance) return;
    best = i;
    distance = d;
  });
  return best;
}

/** A number from 0 to 1 that belongs to a name. */
function shade(name: string): number {
  let h = 0;
  for (let i = 0; i < name.length; i++) h = Math.imul(h, 31) + name.charCodeAt(i) | 0;
  return (h >>> 0) % 100 / 100;
}
