/// <reference lib="dom" />
/**
 * One lane a vCPU below the timeline: how much it exits, when it is halted, when interrupts reach it.
 *
 * @module
 */
import { grouped } from "../../analysis/text.ts";
import type { Lane, Panels } from "../model/panels.ts";
import { el, empty } from "./dom.ts";
import { color } from "./theme.ts";
import { percentText } from "./time_text.ts";
import { AXIS_WIDTH, RIGHT_SPACE } from "./timeline.ts";

const HEIGHT = 30, TICKS = 5;

/** Draws all lanes into a host that is so wide. */
export function drawLanes(host: HTMLElement, width: number, panels: Panels): void {
  host.replaceChildren(...panels.lanes.map((lane) => laneRow(width, lane)));
  if (panels.lanes.length === 0) host.append(empty("No vCPU left the guest in this recording."));
}

function laneRow(width: number, lane: Lane): HTMLElement {
  const canvas = el("canvas", { "aria-hidden": "true" });
  draw(canvas, Math.max(64, width - AXIS_WIDTH - RIGHT_SPACE), lane);
  const text = `${grouped(lane.totalExits)} exits, ${grouped(lane.totalInterrupts)} interrupts, halted ${
    percentText(lane.haltedShare)
  }`;
  return el(
    "div",
    { class: "lane", title: `vCPU ${lane.vcpu}: ${text}` },
    el("span", { class: "lane-name" }, `vCPU ${lane.vcpu}`),
    canvas,
    el("span", { class: "lane-text" }, text),
  );
}

function draw(canvas: HTMLCanvasElement, width: number, lane: Lane): void {
  const scale = devicePixelRatio || 1, n = lane.exits.length;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(HEIGHT * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${HEIGHT}px`;
  const c = canvas.getContext("2d");
  if (c === null) return;
  c.scale(scale, scale);
  const most = Math.asinh(Math.max(1, ...lane.exits)), room = HEIGHT - TICKS;
  const fill = { exits: color("lane-exits"), halted: color("lane-halted"), ticks: color("lane-ticks") };
  for (let i = 0; i < n; i++) {
    const x = i * width / n, w = Math.max(1, (i + 1) * width / n - x);
    if (lane.halted[i] > 0) {
      c.fillStyle = fill.halted;
      c.fillRect(x, 0, w, room * lane.halted[i]);
    }
    if (lane.exits[i] > 0) {
      const h = Math.max(2, room * Math.asinh(lane.exits[i]) / most);
      c.fillStyle = fill.exits;
      c.fillRect(x, room - h, w, h);
    }
    if (lane.interrupts[i] > 0) {
      c.fillStyle = fill.ticks;
      c.fillRect(x, HEIGHT - TICKS + 1, w, TICKS - 1);
    }
  }
}
