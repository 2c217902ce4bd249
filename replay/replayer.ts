/**
 * Re-executes a recording and compares all of it.
 *
 * @module
 */
import type { CreateMachine } from "../core/api.ts";
import type { Outcome } from "../core/outcome.ts";
import { Bundle } from "../traces/bundle.ts";
import type { Closing } from "../traces/manifest.ts";
import type { Store } from "../traces/store.ts";
import { Divergence } from "./divergence.ts";
import { eventLoopTurn, Pacer } from "./pacing.ts";
import { ReplaySession } from "./session.ts";

/** What a caller may choose about a replay. */
export interface ReplayOptions {
  createMachine: CreateMachine;
  /** Stop at this icount instead of the end. */
  to?: number;
  /** Start at this checkpoint (its number) instead of the beginning. */
  fromCheckpoint?: number;
  /** Stop early when aborted. */
  signal?: AbortSignal;
  /** Called now and then. */
  onProgress?: (p: { icount: number; end: number; exits: number }) => void;
  /** Called with guest output. */
  onConsole?: (device: string, bytes: Uint8Array) => void;
}

/** What a replay found. */
export interface ReplayResult {
  /** Null when everything that was replayed is as recorded. */
  divergence: Divergence | null;
  /** Instructions replayed to. */
  icount: number;
  /** Virtual nanoseconds there. */
  timeNs: number;
  /** Exits, hypercalls and inputs compared. */
  exits: number;
  /** Hypercalls compared. */
  hypercalls: number;
  /** Inputs compared. */
  inputs: number;
  /** Checkpoints whose hashes were found equal. */
  checkpoints: number;
  /** Hash of the state in which the replay ended, lower-case hexadecimal. */
  stateHash: string;
  /** How the replayed run ended; null when it was stopped before its end. */
  outcome: Outcome | null;
  /** The recording had been cut. */
  recovered: boolean;
  /** One sentence for people. */
  message: string;
  /** Host milliseconds it took. */
  hostMs: number;
}

/** Outcomes that the host brought about: replay brings them about at the same icount. */
const HOST_MADE: ReadonlySet<Outcome["kind"]> = new Set<Outcome["kind"]>([
  "host-stop",
  "instruction-limit",
  "idle",
]);

/**
 * Replays a recording, from its start or a checkpoint, to its end or an icount.
 * @throws TraceError when the recording is damaged; GuestError when the machine cannot be made from it
 */
export async function replay(place: string | Store, options: ReplayOptions): Promise<ReplayResult> {
  const started = performance.now();
  const bundle = Bundle.open(place);
  let session: ReplaySession | null = null, divergence: Divergence | null = null;
  try {
    session = new ReplaySession(bundle, options.createMachine);
    session.comparer.onText = options.onConsole ?? null;
    await run(session, options);
  } catch (e) {
    if (!(e instanceof Divergence)) throw e;
    divergence = session?.explain(e) ?? e;
  } finally {
    bundle.close();
  }
  return summary(bundle, session, divergence, performance.now() - started);
}

async function run(session: ReplaySession, options: ReplayOptions): Promise<void> {
  const { bundle, machine, checkpoints } = session, closing = bundle.manifest.closing;
  const end = closing?.icount ?? bundle.icount, to = Math.min(options.to ?? Infinity, end);
  let next = 0;
  if (options.fromCheckpoint !== undefined) {
    const from = checkpoints[options.fromCheckpoint];
    if (from === undefined) {
      throw new RangeError(
        `Cannot start at checkpoint ${options.fromCheckpoint}: there are ${checkpoints.length}`,
      );
    }
    session.restore(from);
    next = options.fromCheckpoint + 1;
  }
  const pacer = new Pacer();
  // The last checkpoint of a closed recording is of the machine that has ended.
  const inner = closing === null ? checkpoints.length : checkpoints.length - 1;
  for (; next < inner && checkpoints[next].icount <= to; next++) {
    session.holdBehind(checkpoints[next]);
    if (!await advance(session, checkpoints[next].icount, pacer, options, end)) return;
    session.runToCheckpoint(checkpoints[next]);
  }
  session.holdBehind(null);
  if (!await advance(session, to, pacer, options, end)) return;
  if (options.to !== undefined && options.to < end) return;
  if (closing === null) {
    // Events at the very icount of the cut: let them happen, too.
    if (!session.exhausted && machine.outcome === null) session.runTo(end);
    if (!session.exhausted) expectNothingLeft(session);
    return;
  }
  finish(session, closing);
}

/** Runs towards an icount in slices. @returns false when aborted */
async function advance(
  session: ReplaySession,
  to: number,
  pacer: Pacer,
  options: ReplayOptions,
  end: number,
): Promise<boolean> {
  const m = session.machine;
  while (m.icount < to && m.outcome === null) {
    if (options.signal?.aborted) return false;
    const before = m.icount;
    const why = session.runTo(pacer.limit(m.icount, to));
    if (why === "waiting" && m.icount === before) break;
    pacer.measure();
    options.onProgress?.({ icount: m.icount, end, exits: session.comparer.reached("exits") });
    await eventLoopTurn();
  }
  return true;
}

/** Brings the run to its recorded end and compares the closing record. */
function finish(session: ReplaySession, closing: Closing): void {
  const { machine, comparer, checkpoints } = session, last = checkpoints.at(-1);
  const { outcome } = closing;
  if (HOST_MADE.has(outcome.kind)) {
    if (machine.idleLimitNs !== undefined) machine.idleLimitNs = closing.timeNs;
    // A run that waited for input had gone on past the limit to find out that there was nothing to do.
    if (Math.floor(machine.timeNs) < closing.timeNs || outcome.kind === "idle") {
      session.runTo(machine.icount + 1);
    }
    // A debugger may have written at the very end.
    const inputsLeft = comparer.reached("inputs") < session.bundle.table("inputs").rows;
    if (machine.outcome === null && inputsLeft) session.runTo(closing.icount);
    if (machine.outcome === null && machine.icount === closing.icount) machine.requestStop(outcome);
    if (machine.outcome === null) session.runTo(machine.icount);
  } else if (machine.outcome === null) session.runTo(closing.icount + 1);
  const ended = machine.outcome;
  if (ended !== null && (ended.kind !== outcome.kind || ended.code !== outcome.code)) {
    comparer.diverge("closing", 0, "outcome", JSON.stringify(outcome), JSON.stringify(ended));
  }
  if (ended === null && !HOST_MADE.has(outcome.kind)) {
    comparer.diverge(
      "closing",
      0,
      "outcome",
      JSON.stringify(outcome),
      "none: the machine goes on or waits for input",
    );
  }
  if (machine.icount !== closing.icount) {
    comparer.diverge("closing", 0, "icount", String(closing.icount), String(machine.icount));
  }
  expectNothingLeft(session);
  if (last !== undefined) session.compareState(last);
  const hash = session.stateHash();
  if (hash !== closing.stateHash) comparer.diverge("closing", 0, "state_hash", closing.stateHash, hash);
}

/** Recorded rows that did not happen are a difference. */
function expectNothingLeft(session: ReplaySession): void {
  const { comparer, bundle } = session;
  for (const table of ["exits", "hypercalls", "inputs", "interrupts", "console", "samples"] as const) {
    const row = comparer.reached(table), rows = bundle.table(table).rows;
    if (row < rows) comparer.diverge(table, row, "row", `${rows} rows`, `${row} rows`);
  }
}

function summary(
  bundle: Bundle,
  session: ReplaySession | null,
  divergence: Divergence | null,
  hostMs: number,
): ReplayResult {
  const machine = session?.machine, reached = session?.comparer;
  const exits = reached?.reached("exits") ?? 0;
  const sentence = divergence?.message ??
    `Replayed to icount ${machine?.icount ?? 0}: ${exits} exits and ${
      session?.compared ?? 0
    } checkpoints are as recorded.`;
  return {
    divergence,
    icount: machine?.icount ?? 0,
    timeNs: machine?.timeNs ?? 0,
    exits,
    hypercalls: reached?.reached("hypercalls") ?? 0,
    inputs: reached?.reached("inputs") ?? 0,
    checkpoints: session?.compared ?? 0,
    stateHash: session?.stateHash() ?? "",
    outcome: machine?.outcome ?? null,
    recovered: bundle.recovered,
    message: bundle.notice === null ? sentence : `${bundle.notice} ${sentence}`,
    hostMs,
  };
}
