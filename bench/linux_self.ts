/**
 * Boots Linux to its prompt on Retrovisor: `deno run -A bench/linux_self.ts JSON` with a `SelfTask`; prints a `BootRun`
 * as JSON.
 *
 * @module
 */
import type { Machine } from "../core/api.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import type { Inputs } from "../core/inputs.ts";
import { createMachine as create } from "../core/machine.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { replay } from "../replay/replayer.ts";
import { record, runUnrecorded } from "../replay/runner.ts";
import { type BootRun, cpuMs, folderBytes, peakBytes, PROMPT_BYTES } from "./linux_peer.ts";

/** What is to be run. */
export interface SelfTask {
  kernel: string;
  ramdisk: string;
  cmdline: string;
  xen: boolean;
  memoryBytes: number;
  /** How often a block runs before it is compiled; 0: interpreter; null: as configured. */
  jit: number | null;
  /** Recorded to the folder `trace`, replayed from there, or neither. */
  mode: "run" | "record" | "replay";
  trace: string;
  /** Host milliseconds that the guest goes on running behind its prompt. */
  loadMs: number;
}

/** When the prompt was seen. */
interface Prompt {
  instructions: number;
  at: number;
  cpu: number;
}

const task: SelfTask = JSON.parse(Deno.args[0]);
const { kernel, ramdisk, cmdline, xen, memoryBytes } = task;
const platform = xen ? "none" : "pc";
const config: MachineConfig = { ...DEFAULT_CONFIG, name: "linux", cmdline, xen, memoryBytes, platform };
const images = [["kernel", kernel], ["ramdisk", ramdisk]].map(([role, path]): GuestImage => ({
  role,
  name: role,
  bytes: Deno.readFileSync(path),
}));
const engine = task.jit === null ? {} : { jitThreshold: task.jit };
const inputs = new LiveInputs({
  epochSeconds: () => 1_000_000_000,
  entropy: (n) => new Uint8Array(n),
  unattended: true,
});
const stop = new AbortController();
let tail = "", prompt: Prompt | null = null, machine: Machine | null = null;
const options = {
  signal: stop.signal,
  createMachine: (c: MachineConfig, i: GuestImage[], inp: Inputs): Machine =>
    machine = create(c, i, inp, engine),
  onConsole(_device: string, bytes: Uint8Array) {
    tail = (tail + String.fromCharCode(...bytes)).slice(-100);
    if (prompt === null && tail.includes(PROMPT_BYTES)) {
      prompt = { instructions: machine!.icount, at: Date.now(), cpu: cpuMs("self") };
    }
    if (prompt !== null && Date.now() - prompt.at >= task.loadMs) stop.abort();
  },
};
const started = Date.now() - performance.now();

/** Runs the task. @returns how it ended */
async function run(): Promise<string> {
  if (task.mode === "replay") {
    const { divergence, message } = await replay(task.trace, options);
    if (divergence !== null) throw divergence;
    return message;
  }
  const { outcome } = task.mode === "run"
    ? await runUnrecorded(config, images, inputs, options)
    : await record(config, images, inputs, task.trace, options);
  return outcome.message;
}

const message = await run();
const seen = prompt as Prompt | null;
if (seen === null) throw new Error(`Cannot time the guest: ${message}`);
const result: BootRun = {
  promptMs: seen.at - started,
  cpuMs: seen.cpu,
  closedMs: Date.now() - started,
  instructions: seen.instructions,
  traceBytes: task.mode === "record" ? await folderBytes(task.trace) : null,
  peakBytes: peakBytes("self"),
};
console.log(JSON.stringify(result));
Deno.exit(0);
