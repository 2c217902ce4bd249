/**
 * Retrovisor: runs a kernel deterministically, records every hypercall and VM exit, replays the recording bit for bit
 * and answers questions about it in SQL.
 *
 * ```ts
 * import { defineConfig, openTrace, record, replay } from "@retrovisor/retrovisor";
 *
 * const kernel = { role: "kernel", name: "demo.elf", bytes: await Deno.readFile("demo.elf") };
 * const run = await record(defineConfig({ name: "demo" }), [kernel], "demo.trace");
 * console.log(run.outcome.message);
 *
 * const again = await replay("demo.trace");
 * console.log(again.divergence === null);
 *
 * const trace = await openTrace("demo.trace");
 * console.log(trace.query("FROM exit_summary"));
 * trace.close();
 * ```
 *
 * @module
 */
import { Trace } from "./analysis/trace.ts";
import type { Row } from "./analysis/rows.ts";
import type { Machine } from "./core/api.ts";
import { consoleTarget, DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "./core/config.ts";
import { type Inputs, NoInputs } from "./core/inputs.ts";
import { createMachine as createRetrovisorMachine } from "./core/machine.ts";
import { LiveInputs } from "./replay/inputs.ts";
import { replay as replayTrace, type ReplayResult } from "./replay/replayer.ts";
import { record as recordRun, type RunResult } from "./replay/runner.ts";
import { parseScript } from "./replay/script.ts";

export type { Column, Row, RowStream, Value } from "./analysis/rows.ts";
export { QueryError } from "./analysis/engine.ts";
export type { TraceSummary } from "./analysis/summary.ts";
export { Trace } from "./analysis/trace.ts";
export type { Machine } from "./core/api.ts";
export { GuestError } from "./core/config.ts";
export type { GuestImage, GuestType, InterceptPreset, MachineConfig } from "./core/config.ts";
export { ExitEvent, Reason, reasonName } from "./core/exits.ts";
export type { HypercallEvent, InterruptEvent, Observer, SampleEvent } from "./core/exits.ts";
export type { Due, Input, InputKind, Inputs } from "./core/inputs.ts";
export { PhysMem } from "./core/mmu/physmem.ts";
export type { CodeWriteHandler, PageKind } from "./core/mmu/physmem.ts";
export { isSuccess } from "./core/outcome.ts";
export type { Outcome, OutcomeKind } from "./core/outcome.ts";
export { Divergence } from "./replay/divergence.ts";
export type { DivergenceFacts } from "./replay/divergence.ts";
export type { ReplayResult } from "./replay/replayer.ts";
export type { RunResult } from "./replay/runner.ts";
export { StorageError, TraceError } from "./traces/errors.ts";
export type { TraceLocation } from "./traces/errors.ts";

/** What a caller may choose about a recording. */
export interface RecordOptions {
  /** Ends the run with outcome "instruction-limit". */
  maxInstructions?: number;
  /** Instructions between checkpoints; 0: only at start and end; left out: chosen from how much changes. */
  checkpointInterval?: number;
  /** Console input as a script of `wait "TEXT"`, `send "TEXT"` and `at ICOUNT send "TEXT"` lines. */
  script?: string;
  /** What the guest's clock says at boot, in seconds since 1970; left out: the host's clock. */
  epochSeconds?: number;
  /** Ends the run with outcome "host-stop". */
  signal?: AbortSignal;
  /** Called with the guest's output as it comes. */
  onConsole?: (device: string, bytes: Uint8Array) => void;
}

/** What a caller may choose about a replay. */
export interface ReplayOptions {
  /** Stop at this icount instead of the end. */
  to?: number;
  /** Start at this checkpoint (its number) instead of the beginning. */
  fromCheckpoint?: number;
  /** Stop early when aborted. */
  signal?: AbortSignal;
  /** Called with the guest's output. */
  onConsole?: (device: string, bytes: Uint8Array) => void;
}

/** A whole configuration from the fields that differ from the defaults: one vCPU, 128 MiB, PVH on Xen. */
export function defineConfig(fields: Partial<MachineConfig> = {}): MachineConfig {
  return { ...DEFAULT_CONFIG, ...fields };
}

/**
 * Makes a machine with its guest loaded, ready to run.
 * @param images the guest's files by role ("kernel", "ramdisk", "bios", "module1", ...)
 * @param inputs where what the guest cannot compute comes from; left out: no input, and a fixed clock
 * @throws GuestError when an image or the configuration cannot be used
 */
export function createMachine(
  config: MachineConfig,
  images: GuestImage[],
  inputs: Inputs = new NoInputs(),
): Machine {
  return createRetrovisorMachine(config, images, inputs);
}

/**
 * Runs a guest to its end and records it.
 * @param path folder of the recording, made when it is not there
 * @throws GuestError when the guest cannot be started, StorageError when the recording cannot be begun
 */
export function record(
  config: MachineConfig,
  images: GuestImage[],
  path: string,
  options: RecordOptions = {},
): Promise<RunResult> {
  const { script, epochSeconds, onConsole, ...rest } = options;
  const inputs = new LiveInputs({
    epochSeconds: () => epochSeconds ?? Math.floor(Date.now() / 1000),
    entropy: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    unattended: true,
    ...(script === undefined ? {} : { script: parseScript(script, consoleTarget(config)) }),
  });
  return recordRun(config, images, inputs, path, {
    ...rest,
    createMachine: createRetrovisorMachine,
    onConsole: (device, bytes, _icount, timeNs) => {
      inputs.observeOutput(bytes, timeNs);
      onConsole?.(device, bytes);
    },
  });
}

/**
 * Runs a recording again and compares every exit, input and checkpoint; a difference is in the result's `divergence`.
 * @throws TraceError when the recording is damaged, GuestError when its guest cannot be started
 */
export function replay(path: string, options: ReplayOptions = {}): Promise<ReplayResult> {
  return replayTrace(path, { ...options, createMachine: createRetrovisorMachine });
}

/** Opens a recording for questions in SQL. @throws TraceError when it is damaged */
export function openTrace(path: string): Promise<Trace> {
  return Trace.open(path);
}

/** Answers one question about a recording. For more than one, `openTrace` is quicker. @throws QueryError, TraceError */
export async function query(path: string, sql: string): Promise<Row[]> {
  const trace = await openTrace(path);
  try {
    return trace.query(sql);
  } finally {
    trace.close();
  }
}
