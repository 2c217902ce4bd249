/**
 * The determinism matrix: one guest in every way that the machine can run it, all of which must end in one state.
 *
 * Ways: interpreter, compiler from the first run, with its default threshold and never; recorded in batches of odd
 * sizes and with checkpoints at odd distances; unrecorded in odd slices; replayed by another engine than recorded it,
 * and from each checkpoint. The number of vCPUs is part of the guest.
 *
 * @module
 */
import type { Machine } from "../../core/api.ts";
import type { GuestImage, MachineConfig } from "../../core/config.ts";
import { type Inputs, NoInputs } from "../../core/inputs.ts";
import { createMachine, DEFAULT_JIT_THRESHOLD } from "../../core/machine.ts";
import type { Outcome } from "../../core/outcome.ts";
import { replay } from "../../replay/replayer.ts";
import { record, type RunOptions } from "../../replay/runner.ts";
import { StateHasher } from "../../replay/state_hash.ts";
import { MemoryStore } from "../../traces/store.ts";
import { lockstep } from "./lockstep.ts";

/** A guest of the matrix. */
export interface MatrixGuest {
  name: string;
  config: MachineConfig;
  images: GuestImage[];
  /** Instructions after which the run ends, if the guest has not ended it. */
  most: number;
  /** Instructions of it that are run with everything compiled at once, which is slow; left out: 2 million. */
  atOnce?: number;
  /** How often a block runs before the ways called "soon" compile it; left out: 20. */
  soon?: number;
  /** Rows of the smallest batches; left out: 7. */
  rows?: number;
  /** Parts into which the checkpoints that it is replayed from divide its run; left out: 4. */
  parts?: number;
  /** Live inputs of a recorded run; left out: none. */
  inputs?: () => Inputs;
}

/** What must be the same in every way of running. */
export interface Essence {
  outcome: string;
  icount: number;
  timeNs: number;
  exits: number;
  hypercalls: number;
  stateHash: string;
}

/** One way of running one guest. */
export interface Cell {
  guest: string;
  way: string;
  /** What is different, with the first instruction that is; null: nothing. */
  difference: string | null;
}

/** The cells of one guest. */
export interface MatrixResult {
  cells: Cell[];
  seconds: number;
  essence: Essence;
}

/** Threshold that nothing reaches: blocks are counted, and never compiled. */
const NEVER = 2 ** 30;
/** Defaults of `soon` and `atOnce`. */
const SOON = 20, AT_ONCE = 2_000_000;
/** Instructions of an odd slice, of a guest that runs so many in all. */
const slice = (most: number): number => Math.max(997, Math.floor(most / 50) | 1);

interface Recorded extends Partial<RunOptions> {
  way: string;
  threshold: number;
}

const engine = (jitThreshold: number) => (c: MachineConfig, images: GuestImage[], inputs: Inputs): Machine =>
  createMachine(c, images, inputs, { jitThreshold });

/** What all others are compared with. */
const INTERPRETED: Recorded = { way: "interpreter, recorded", threshold: 0 };

/** The other recorded ways of a guest that runs so many instructions. */
function recordings(guest: MatrixGuest, icount: number): Recorded[] {
  const rows = guest.rows ?? 7;
  return [
    { way: "compiler by default, recorded", threshold: DEFAULT_JIT_THRESHOLD },
    { way: "compiler never, recorded in batches of 997 rows", threshold: NEVER, batchRows: 997 },
    {
      way: `compiler soon, recorded in batches of ${rows} rows with checkpoints at odd distances`,
      threshold: guest.soon ?? SOON,
      batchRows: rows,
      checkpointInterval: Math.ceil(icount / (guest.parts ?? 4)) | 1,
    },
  ];
}

/** Kind of an outcome and the guest's code. */
const ending = (o: Outcome): string => o.code === undefined ? o.kind : `${o.kind} ${o.code}`;

async function recordIn(guest: MatrixGuest, r: Recorded): Promise<{ essence: Essence; store: MemoryStore }> {
  const store = new MemoryStore(), { way: _way, threshold, ...options } = r;
  const inputs = guest.inputs?.() ?? new NoInputs();
  const run = await record(guest.config, guest.images, inputs, store, {
    createMachine: engine(threshold),
    maxInstructions: guest.most,
    ...options,
  });
  const { icount, timeNs, exits, hypercalls, stateHash } = run;
  return {
    essence: {
      outcome: ending(run.outcome),
      icount,
      timeNs,
      exits,
      hypercalls,
      stateHash: stateHash ?? "none",
    },
    store,
  };
}

/** Runs a guest that nobody records, in slices of an odd length. */
function unrecorded(guest: MatrixGuest, like: Essence, threshold: number): Essence {
  const m = createMachine(guest.config, guest.images, guest.inputs?.() ?? new NoInputs(), {
    jitThreshold: threshold,
  });
  const step = slice(like.icount);
  while (m.outcome === null && m.icount < like.icount) m.runUntil(Math.min(like.icount, m.icount + step));
  // What a run that is ended from outside does at its end.
  if (m.outcome === null) {
    m.requestStop({ kind: "instruction-limit", message: "" });
    m.runUntil(m.icount);
  }
  const hasher = new StateHasher(m.mem), state = m.saveState();
  hasher.update(m.takeDirtyPages());
  const digest = hasher.digest(state);
  return {
    outcome: ending(m.outcome!),
    icount: m.icount,
    timeNs: m.timeNs,
    exits: m.exitCount,
    hypercalls: m.hypercallCount,
    stateHash: [...digest].map((b) => b.toString(16).padStart(2, "0")).join(""),
  };
}

/** Names the fields in which two runs differ. */
function differing(expected: Essence, got: Essence): string | null {
  const names = (Object.keys(expected) as (keyof Essence)[]).filter((k) => expected[k] !== got[k]);
  return names.length === 0 ? null : names.map((k) => `${k} ${got[k]} instead of ${expected[k]}`).join(", ");
}

/** The first instruction at which an engine leaves the interpreter's way, in words. */
function firstDifference(guest: MatrixGuest, threshold: number, icount: number): string {
  const { parting } = lockstep({
    config: guest.config,
    images: guest.images,
    inputs: () => guest.inputs?.() ?? new NoInputs(),
    thresholds: [0, threshold],
    slice: slice(icount),
    most: icount,
  });
  if (parting === null) {
    return "in lock step the engines agree: what differs is how it was recorded or sliced";
  }
  const registers = parting.registers.map((r) => `${r.name} ${r.a} and ${r.b}`).join(", ");
  const memory = parting.memory.map((gpa) => `0x${gpa.toString(16)}`).join(" ");
  return `first at icount ${parting.icount}, ${parting.instruction}: ${registers || "no register"}; ` +
    `memory: ${memory || "none"}`;
}

/** Told about each way that was tried. */
type Tell = (way: string, difference: string | null) => void;

/** Replays a recording from its start by one engine, and from each of its checkpoints, if wanted, by both in turn. */
async function replays(
  store: MemoryStore,
  expected: Essence,
  by: number,
  checkpointsBy: readonly number[],
  tell: Tell,
): Promise<void> {
  const name = (threshold: number): string => threshold === 0 ? "interpreter" : "compiler";
  const judge = async (threshold: number, fromCheckpoint?: number) => {
    const from = fromCheckpoint === undefined ? {} : { fromCheckpoint };
    const r = await replay(store, { createMachine: engine(threshold), ...from });
    const same = r.stateHash === expected.stateHash && r.icount === expected.icount;
    const where = fromCheckpoint === undefined ? "" : ` from checkpoint ${fromCheckpoint}`;
    const other = same ? null : `it ends in another state, at icount ${r.icount}`;
    tell(`replayed${where} by the ${name(threshold)}`, r.divergence?.message ?? other);
    return r.checkpoints;
  };
  const checkpoints = await judge(by);
  if (checkpointsBy.length === 0) return;
  // The last checkpoint is of the machine that has ended.
  for (let n = 0; n < checkpoints - 1; n++) await judge(checkpointsBy[n % checkpointsBy.length], n);
}

/** The interpreter's recording, or its beginning, replayed with each block compiled before it runs. */
async function atOnce(
  guest: MatrixGuest,
  store: MemoryStore,
  like: Essence,
  tell: Tell,
): Promise<void> {
  const to = Math.min(guest.atOnce ?? AT_ONCE, like.icount), whole = to === like.icount;
  const [expected, got] = await Promise.all(
    [0, 1].map((t) => replay(store, { createMachine: engine(t), ...(whole ? {} : { to }) })),
  );
  const same = got.stateHash === expected.stateHash && got.icount === expected.icount;
  const difference = got.divergence?.message ?? (same ? null : `another state at icount ${got.icount}`);
  tell(
    `compiler at once, ${whole ? "all" : `${to} instructions`}`,
    difference && `${difference}; ${firstDifference(guest, 1, to)}`,
  );
}

/** Runs one guest in every way. Differences are in the cells; nothing is thrown for them. */
export async function runMatrix(guest: MatrixGuest): Promise<MatrixResult> {
  const started = performance.now(), cells: Cell[] = [], soon = guest.soon ?? SOON;
  const tell: Tell = (way, difference) => void cells.push({ guest: guest.name, way, difference });
  const where = (difference: string | null, threshold: number, icount: number): string | null =>
    difference && `${difference}; ${firstDifference(guest, threshold, icount)}`;
  const { essence: first, store } = await recordIn(guest, INTERPRETED);
  tell(INTERPRETED.way, null);
  await replays(store, first, soon, [], tell);
  await atOnce(guest, store, first, tell);
  for (const r of recordings(guest, first.icount)) {
    const { essence, store } = await recordIn(guest, r);
    tell(r.way, where(differing(first, essence), r.threshold, Math.min(first.icount, essence.icount)));
    if (r.checkpointInterval !== undefined) await replays(store, first, 0, [soon, 0], tell);
  }
  for (const threshold of [0, soon]) {
    const way = `${threshold === 0 ? "interpreter" : "compiler"}, unrecorded in odd slices`;
    tell(way, where(differing(first, unrecorded(guest, first, threshold)), threshold, first.icount));
  }
  return { cells, seconds: (performance.now() - started) / 1000, essence: first };
}

/** One line on what was tried. */
export function matrixLine(results: readonly MatrixResult[]): string {
  const cells = results.flatMap((r) => r.cells), bad = cells.filter((c) => c.difference !== null).length;
  const seconds = results.reduce((n, r) => n + r.seconds, 0).toFixed(1);
  const verdict = bad === 0 ? "all state hashes equal" : `${bad} differ`;
  return `determinism matrix: ${cells.length} cells of ${results.length} guests, ${verdict}, ${seconds} s`;
}
