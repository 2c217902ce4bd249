/**
 * Runs a machine on live inputs, recorded or not.
 *
 * @module
 */
import type { CreateMachine, Machine } from "../core/api.ts";
import { guestSymbols } from "../core/boot/guest_symbols.ts";
import type { SymbolFile } from "../core/boot/symbol_file.ts";
import type { GuestImage, MachineConfig } from "../core/config.ts";
import type { Observer } from "../core/exits.ts";
import type { Inputs } from "../core/inputs.ts";
import type { Outcome } from "../core/outcome.ts";
import { type BundleOptions, BundleWriter } from "../traces/bundle_writer.ts";
import { DirectoryStore, type Store } from "../traces/store.ts";
import { CapturingInputs } from "./inputs.ts";
import { eventLoopTurn, Pacer } from "./pacing.ts";
import { Recorder, type RecorderOptions } from "./recorder.ts";

/** Holds a run up and lets it go on: a debugger. Where it does must not show in what is recorded, and does not. */
export interface RunGate {
  /** Resolves when the run may go on. */
  open(): Promise<void>;
  /** icount at which the run comes back to the gate at the latest. */
  readonly limit: number;
  /** Told after each stretch of the run. */
  ran(): void;
}

/** What a caller may choose about a run. */
export interface RunOptions extends RecorderOptions, BundleOptions {
  createMachine: CreateMachine;
  /** Ends the run with outcome "instruction-limit". */
  maxInstructions?: number;
  /** Ends the run with outcome "host-stop". */
  signal?: AbortSignal;
  /**
   * An idle guest's time passes no faster than the host's, while there may be input. Left out: it jumps to whatever is
   * due next. Makes no difference to what is recorded about a guest that is never idle.
   */
  realTime?: boolean;
  /** Symbols of the kernel, from a file of the user's; left out: those that the images carry. */
  symbols?: SymbolFile;
  /** Called with guest output as it comes. */
  onConsole?: (device: string, bytes: Uint8Array, icount: number, timeNs: number) => void;
  /** Called some times a second. */
  onProgress?: (p: { icount: number; timeNs: number; exits: number; hypercalls: number }) => void;
  /** Called once with the machine before it runs, for debuggers and tests. */
  onMachine?: (m: Machine) => void;
  /** Asked before each stretch of the run. */
  gate?: RunGate;
}

/** How a run went. */
export interface RunResult {
  /** How the run ended. */
  outcome: Outcome;
  /** Instructions retired. */
  icount: number;
  /** Virtual nanoseconds. */
  timeNs: number;
  /** Exits in all. */
  exits: number;
  /** Hypercalls in all. */
  hypercalls: number;
  /** Final state hash, lower-case hexadecimal; null when the run was not recorded to its end. */
  stateHash: string | null;
  /** Why recording stopped before the run did; null when it did not. */
  recordingStopped: string | null;
  /** Host milliseconds it took. */
  hostMs: number;
}

/** Longest wait for input at once, in host milliseconds; the same when time passes as the host's does. */
const WAIT_MS = 200, REAL_TIME_WAIT_MS = 4;
/** Host milliseconds after which a guest that waits for its host has what was recorded written out. */
const IDLE_COMMIT_MS = 100;

/**
 * Runs a guest and records it.
 * @param place folder of the recording (made when missing), or a store
 * @throws GuestError when the machine cannot be made; StorageError when the recording cannot be begun
 */
export async function record(
  config: MachineConfig,
  images: GuestImage[],
  inputs: Inputs,
  place: string | Store,
  options: RunOptions,
): Promise<RunResult> {
  const started = performance.now();
  const captured = new CapturingInputs(inputs);
  const machine = options.createMachine(config, images, captured);
  const asked = captured.release();
  if (typeof place === "string") new DirectoryStore(place).make();
  const bundle = new BundleWriter(
    typeof place === "string" ? new DirectoryStore(place) : place,
    config,
    images,
    options,
  );
  const recorder = new Recorder(bundle, machine, options);
  recorder.onText = options.onConsole ?? null;
  machine.observer = recorder;
  options.onMachine?.(machine);
  recorder.start(asked);
  const outcome = await drive(machine, inputs, options, recorder);
  recorder.symbols(guestSymbols(images, machine.mem, options.symbols ?? null));
  const stateHash = recorder.finish(outcome);
  return result(machine, outcome, stateHash, recorder.stopped, performance.now() - started);
}

/** Runs a guest without recording it. @throws GuestError when the machine cannot be made */
export async function runUnrecorded(
  config: MachineConfig,
  images: GuestImage[],
  inputs: Inputs,
  options: RunOptions,
): Promise<RunResult> {
  const started = performance.now();
  const machine = options.createMachine(config, images, inputs);
  const onConsole = options.onConsole;
  if (onConsole !== undefined) {
    machine.observer = consoleOnly((icount, timeNs, device, bytes) =>
      onConsole(device, bytes, icount, timeNs)
    );
  }
  options.onMachine?.(machine);
  const outcome = await drive(machine, inputs, options, null);
  return result(machine, outcome, null, null, performance.now() - started);
}

function consoleOnly(onConsole: Observer["onConsole"]): Observer {
  return { onConsole, onHypercall() {}, onInterrupt() {}, onInput() {} };
}

/** Runs until the guest ends or is ended. */
async function drive(m: Machine, inputs: Inputs, o: RunOptions, recorder: Recorder | null): Promise<Outcome> {
  const pacer = new Pacer(), most = o.maxInstructions ?? Infinity;
  const started = performance.now();
  let committed = started, realTime = o.realTime ?? false;
  while (m.outcome === null) {
    await o.gate?.open();
    if (o.signal?.aborted) {
      // A debugger may have stopped the machine in front of what is due here, and replay will not.
      if (o.gate !== undefined) m.runUntil(m.icount);
      return stop(m, "host-stop", "The run was stopped by its user");
    }
    if (m.icount >= most) {
      return stop(m, "instruction-limit", `The limit of ${most} instructions was reached`);
    }
    if (m.idleLimitNs !== undefined) {
      m.idleLimitNs = realTime ? (performance.now() - started) * 1e6 : Infinity;
    }
    const nearest = Math.min(most, recorder?.nextStop ?? Infinity, o.gate?.limit ?? Infinity);
    const why = m.runUntil(pacer.limit(m.icount, nearest));
    o.gate?.ran();
    recorder?.tick(why === "limit");
    if (why === "ended") break;
    const stopped = performance.now();
    const more = why !== "waiting" || await inputs.wait(realTime ? REAL_TIME_WAIT_MS : WAIT_MS);
    const now = performance.now(), idle = realTime && why === "waiting" || now - stopped > IDLE_COMMIT_MS;
    // Only who waits for the host, whose inputs no other run has at the same time, lets the host's clock end batches.
    if (idle && now - committed > IDLE_COMMIT_MS) {
      recorder?.commit();
      committed = now;
    }
    if (!more) {
      if (realTime) {
        // Nobody is left who could notice how fast time passes.
        realTime = false;
        continue;
      }
      return stop(m, "idle", "The guest waits for input, and there is no more");
    }
    pacer.measure();
    o.onProgress?.({ icount: m.icount, timeNs: m.timeNs, exits: m.exitCount, hypercalls: m.hypercallCount });
    await eventLoopTurn();
  }
  if (m.outcome === null) throw new Error("The machine ended without saying how");
  return m.outcome;
}

/** Ends a run from outside. */
function stop(m: Machine, kind: Outcome["kind"], why: string): Outcome {
  const message = `${why}, at icount ${m.icount}, RIP 0x${m.where().rip.toString(16)}.`;
  m.requestStop({ kind, message });
  if (m.outcome === null) m.runUntil(m.icount);
  return m.outcome ?? { kind, message };
}

function result(
  m: Machine,
  outcome: Outcome,
  stateHash: string | null,
  recordingStopped: string | null,
  hostMs: number,
): RunResult {
  const { icount, timeNs, exitCount: exits, hypercallCount: hypercalls } = m;
  return { outcome, icount, timeNs, exits, hypercalls, stateHash, recordingStopped, hostMs };
}
