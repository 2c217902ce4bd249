/// <reference lib="dom" />
/**
 * The page's skeleton.
 *
 * @module
 */
import { el, shown } from "./dom.ts";

/** Where everything goes. */
export interface Layout {
  root: HTMLElement;
  title: HTMLElement;
  facts: HTMLElement;
  themeHost: HTMLElement;
  scaleHost: HTMLElement;
  bar: HTMLElement;
  /** Holds both plots and takes the keyboard for them. */
  plots: HTMLElement;
  overview: HTMLElement;
  detail: HTMLElement;
  legend: HTMLElement;
  lanes: HTMLElement;
  hotspotHost: HTMLElement;
  hotspots: HTMLElement;
  calls: HTMLElement;
  interrupts: HTMLElement;
  stackHost: HTMLElement;
  search: HTMLInputElement;
  flame: HTMLElement;
  console: HTMLElement;
  sql: HTMLElement;
  /** Says what is being waited for; an empty text ends it. */
  progress(what: string, share: number): void;
  /** Says why there is no page. */
  fail(why: string): void;
  /** Says what went wrong with one question. */
  warn(why: string): void;
}

/** Makes the skeleton. */
export function buildLayout(): Layout {
  const host = (name: string) => el("div", { class: name, id: name });
  const search = el("input", {
    type: "search",
    placeholder: "find a function…",
    "aria-label": "Find in the flame graph",
    maxlength: "200",
  });
  const status = el("p", { class: "status", role: "status", id: "status" });
  const parts = {
    title: el("h1", {}, "Recording"),
    facts: el("dl", { class: "facts" }),
    themeHost: host("theme"),
    scaleHost: host("scale"),
    bar: host("bar"),
    overview: host("overview"),
    detail: host("detail"),
    legend: host("legend"),
    lanes: host("lanes"),
    hotspotHost: host("hotspot-choice"),
    hotspots: host("hotspots"),
    calls: host("calls"),
    interrupts: host("interrupts"),
    stackHost: host("stack-choice"),
    search,
    flame: host("flame"),
    console: host("console"),
    sql: host("sql"),
  };
  const plots = el(
    "div",
    {
      class: "plots",
      id: "plots",
      tabindex: "0",
      role: "group",
      "aria-label":
        "Timeline. Drag to select a range. Left and right arrows move it, plus and minus zoom, Escape selects all, Backspace goes back.",
    },
    parts.overview,
    parts.detail,
  );
  parts.legend.setAttribute("role", "group");
  parts.legend.setAttribute("aria-label", "Exit reasons: show or hide");
  const root = el(
    "div",
    { class: "page" },
    el("header", {}, el("div", { class: "head" }, parts.title, parts.themeHost), parts.facts, status),
    parts.bar,
    el(
      "main",
      {},
      panel(
        "wide",
        "Exits over virtual time",
        "time",
        [parts.scaleHost],
        plots,
        parts.legend,
        laneKey(),
        parts.lanes,
      ),
      panel("", "Where exits come from", "where", [parts.hotspotHost], parts.hotspots),
      panel("", "Hypercalls and interrupts", "mix", [], parts.calls, parts.interrupts),
      panel("wide", "Stacks", "stacks", [parts.stackHost, search], parts.flame),
      panel("", "Console", "output", [], parts.console),
      panel("", "SQL", "ask", [], parts.sql),
    ),
  );
  return {
    root,
    plots,
    ...parts,
    progress(what, share) {
      status.textContent = what === "" ? "" : `${what} ${Math.round(share * 100)}%`;
    },
    fail(why) {
      status.textContent = `Cannot show the recording: ${shown(why)}`;
      status.classList.add("error");
      document.documentElement.dataset.ready = "failed";
    },
    warn(why) {
      status.textContent = shown(why);
      status.classList.add("error");
    },
  };
}

function panel(
  kind: string,
  title: string,
  id: string,
  tools: HTMLElement[],
  ...content: HTMLElement[]
): HTMLElement {
  const heading = el("h2", { id: `${id}-title` }, title);
  return el(
    "section",
    { class: `panel ${kind}`, "aria-labelledby": `${id}-title`, id },
    el("div", { class: "head" }, heading, ...tools),
    ...content,
  );
}

function laneKey(): HTMLElement {
  const key = (name: string, text: string) => el("span", {}, el("i", { class: `key ${name}` }), text);
  return el(
    "p",
    { class: "note keys" },
    key("lane-exits", "exits (height, logarithmic)"),
    key("lane-halted", "halted"),
    key("lane-ticks", "interrupts delivered"),
  );
}
