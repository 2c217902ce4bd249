/**
 * `--profile`: where the host's time goes while a guest runs, by V8's sampling profiler (`deno --cpu-prof`). Nothing of
 * it is in the machine: a run without `--profile` pays nothing.
 *
 * @module
 */

import { buildGuest } from "./build.ts";
import type { CompareOptions } from "./compare.ts";
import { PEERS, runPeer } from "./peers.ts";

/** What host time is spent on, and what its column is called. */
export const AREAS = {
  interpreter: "interp.",
  "compiled code": "compiled",
  compiling: "compiling",
  decoding: "decoding",
  "page walks": "walks",
  "processor in TypeScript": "ts cpu",
  "exits and devices": "exits",
  recording: "recording",
  "garbage collection": "gc",
  start: "start",
  other: "other",
} as const;
/** One of `AREAS`. */
export type Area = keyof typeof AREAS;
const NAMES = Object.keys(AREAS) as Area[];

/** A node of a .cpuprofile file (Chrome DevTools Protocol, Profiler.ProfileNode), as far as it is used. */
interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string };
  children?: number[];
}
/** A .cpuprofile file (Profiler.Profile). */
export interface CpuProfile {
  nodes: ProfileNode[];
  samples: number[];
  /** Microseconds before each sample. */
  timeDeltas: number[];
}

/** Where one run's time went. */
export interface TimeShares {
  /** Milliseconds in all that the main thread was seen busy. */
  ms: number;
  /** Share of them by area; they add up to 1. */
  shares: Record<Area, number>;
}

/** Areas by part of a source's path; the first that matches. null: whoever called it counts. */
const PLACES: [part: string, area: Area | null][] = [
  ["wasm://wasm/interpreter", "interpreter"],
  ["wasm://wasm/", "compiled code"],
  ["/core/cpu/jit/", "compiling"],
  ["/core/cpu/interp.ts", "start"],
  ["/core/cpu/decode/forms.ts", "start"],
  ["/core/cpu/decode/maps.ts", "start"],
  ["/core/cpu/semantics/", null],
  ["/core/cpu/emit.ts", null],
  ["/core/cpu/fuse.ts", null],
  ["/core/cpu/form.ts", null],
  ["/core/cpu/runtime.ts", null],
  ["/core/wasm/", null],
  ["/core/cpu/decode/", "decoding"],
  ["/core/cpu/code_cache.ts", "decoding"],
  ["/core/mmu/", "page walks"],
  ["/core/cpu/", "processor in TypeScript"],
  ["/core/boot/", "start"],
  ["/core/", "exits and devices"],
  ["/replay/", "recording"],
  ["/traces/", "recording"],
];

/** Area of a frame by itself: null when its caller decides, undefined for what is not counted (idleness). */
function areaOf(node: ProfileNode): Area | null | undefined {
  const { functionName, url } = node.callFrame;
  if (functionName === "(idle)") return undefined;
  if (functionName === "(garbage collector)") return "garbage collection";
  return PLACES.find(([part]) => url.includes(part))?.[1] ?? null;
}

/** Adds a profile up by area. */
export function timeShares(profile: CpuProfile): TimeShares {
  const nodes = new Map(profile.nodes.map((n) => [n.id, n])), areas = new Map<number, Area | undefined>();
  const visit = (node: ProfileNode, above: Area): void => {
    const own = areaOf(node), area = own === null ? above : own;
    areas.set(node.id, area);
    for (const child of node.children ?? []) visit(nodes.get(child)!, area ?? above);
  };
  visit(profile.nodes[0], "other");
  const us = new Map<Area, number>();
  profile.samples.forEach((id, i) => {
    const area = areas.get(id);
    if (area !== undefined) us.set(area, (us.get(area) ?? 0) + Math.max(0, profile.timeDeltas[i]));
  });
  const total = [...us.values()].reduce((a, b) => a + b, 0);
  const shares = Object.fromEntries(NAMES.map((a) => [a, (us.get(a) ?? 0) / Math.max(1, total)]));
  return { ms: total / 1000, shares: shares as Record<Area, number> };
}

/** A profiled run: kernel, width and peer, and where its time went. */
export interface Profiled {
  name: string;
  time: TimeShares;
}

/** Builds a kernel and profiles one run of it on each of the peers that is Retrovisor. */
export async function profileKernel(o: Omit<CompareOptions, "runs">): Promise<Profiled[]> {
  const { kernel, bits } = o, image = buildGuest(o), file = `${image}.profile`, profiled: Profiled[] = [];
  for (const peer of o.peers) {
    if (PEERS[peer].command[0] !== "peer_self.ts") continue;
    o.onRun?.(`${kernel.name} ${bits}-bit: profiling ${peer}`);
    const source = PEERS[peer].replays, recording = `${image}.${peer}`;
    if (source !== undefined) await runPeer(source, kernel, bits, image, recording);
    await runPeer(peer, kernel, bits, image, recording, file);
    const time = timeShares(JSON.parse(Deno.readTextFileSync(file)));
    profiled.push({ name: `${kernel.name} ${bits} ${peer}`, time });
    await Deno.remove(recording, { recursive: true }).catch(() => {});
  }
  return profiled;
}

/** Shares of several runs as a table, one run a line. */
export function profileTable(runs: readonly Profiled[]): string {
  const used = NAMES.filter((a) => runs.some((r) => r.time.shares[a] >= 0.0005));
  const width = Math.max(...runs.map((r) => r.name.length), 4) + 2;
  return [
    "share of the main thread's time in %, by what it is spent on",
    `${"".padEnd(width)}${"ms".padStart(7)}${used.map((a) => AREAS[a].padStart(11)).join("")}`,
    ...runs.map(({ name, time }) =>
      name.padEnd(width) + time.ms.toFixed(0).padStart(7) +
      used.map((a) => (time.shares[a] * 100).toFixed(1).padStart(11)).join("")
    ),
    "",
  ].join("\n");
}
