/**
 * From runs to figures: speeds, ratios, geometric means, costs.
 *
 * @module
 */
import type { Compared } from "./compare.ts";
import type { Bits, Group } from "./kernels.ts";
import { PEERS } from "./peers.ts";
import {
  geometricMean,
  medianSpeeds,
  type RecordingCost,
  recordingCost,
  type Speeds,
  speedsOf,
  type TimeBase,
} from "./statistics.ts";

/** Speeds of one peer on one kernel. */
export interface PeerResult {
  /** By the host's clock. */
  wall: Speeds;
  /** By the processor time of the machine's process. */
  cpu: Speeds;
}

/** One kernel's figures. Plain JSON. */
export interface KernelResult {
  kernel: string;
  bits: Bits;
  group: Group;
  /** Guest instructions of the first repetition. */
  instructions: number;
  /** What one round does and how many instructions it has; null: not of interest. */
  unit: { name: string; instructions: number } | null;
  peers: Record<string, PeerResult>;
  missing: Record<string, string>;
  /** What recording costs where "self" and "record" ran: by either clock. */
  cost: Record<TimeBase, RecordingCost> | null;
  /** The same without compiler, and of checkpoints alone. */
  interpreterCost: Record<TimeBase, RecordingCost> | null;
  checkpointCost: Record<TimeBase, RecordingCost> | null;
}

/** The figures of one kernel. */
export function summarize(c: Compared): KernelResult {
  const peers: Record<string, PeerResult> = {};
  for (const [peer, runs] of c.runs) {
    const of = (base: TimeBase) => medianSpeeds(runs.map((r) => speedsOf(r, c.instructions, base)));
    peers[peer] = { wall: of("wall"), cpu: of("cpu") };
  }
  const cost = (plain: string, recorded: string) => {
    const a = c.runs.get(plain), b = c.runs.get(recorded);
    if (a === undefined || b === undefined) return null;
    return {
      wall: recordingCost(a, b, c.instructions, "wall"),
      cpu: recordingCost(a, b, c.instructions, "cpu"),
    };
  };
  const { name, group, unit, rounds } = c.kernel;
  return {
    kernel: name,
    bits: c.bits,
    group,
    instructions: c.instructions[0],
    unit: unit === undefined ? null : { name: unit, instructions: c.instructions[0] / rounds },
    peers,
    missing: Object.fromEntries(c.missing),
    cost: cost("self", "record"),
    interpreterCost: cost("interpreter", "interpreter-record"),
    checkpointCost: cost("record-bare", "record"),
  };
}

/** How many times faster one peer is than another on a kernel; NaN unless both ran. */
export function ratio(
  r: KernelResult,
  peer: string,
  other: string,
  phase: keyof Speeds,
  base: TimeBase,
): number {
  return (r.peers[peer]?.[base][phase] ?? NaN) / (r.peers[other]?.[base][phase] ?? NaN);
}

/** Geometric mean of `ratio` over the kernels that both ran; NaN for none. */
export function meanRatio(
  results: readonly KernelResult[],
  peer: string,
  other: string,
  phase: keyof Speeds,
  base: TimeBase,
): number {
  return geometricMean(
    results.map((r) => ratio(r, peer, other, phase, base)).filter((x) => isFinite(x) && x > 0),
  );
}

/** Nanoseconds of one round of a kernel with a unit; NaN where that says nothing. */
export function unitNs(r: KernelResult, peer: string, base: TimeBase): number {
  return r.unit === null ? NaN : r.unit.instructions * 1000 / (r.peers[peer]?.[base].warm ?? NaN);
}

/** Peers that ran anything, in their usual order. */
export function peersOf(results: readonly KernelResult[]): string[] {
  return Object.keys(PEERS).filter((p) => results.some((r) => r.peers[p] !== undefined));
}
