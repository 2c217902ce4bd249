/**
 * Boots Linux to its prompt on Retrovisor, recorded: `deno run -A bench/linux_self.ts JSON` with a `SelfTask`; prints a
 * `BootRun` as JSON.
 *
 * @module
 */
import type { Machine } from "../core/api.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import type { Inputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { record, runUnrecorded } from "../replay/runner.ts";
import { type BootRun, cpuMs, folderBytes, PROMPT_BYTES } from "./linux_peer.ts";

/** What is to be run. */
export interface SelfTask {
  kernel: string;
  ramdisk: string;
  cmdline: string;
  xen: boolean;
  memoryBytes: number;
  /** How often a block runs before it is compiled; 0: interpreter; null: as configured. */
  jit: number | null;
  /** Folder of the recording; null: not recorded. */
  trace: string | null;
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
let tail = "", prompt: Prompt | null = null;
const options = {
  signal: stop.signal,
  createMachine: (c: MachineConfig, i: GuestImage[], inp: Inputs): Machine =>
    createMachine(c, i, inp, engine),
  onConsole(_device: string, bytes: Uint8Array, icount: number) {
    tail = (tail + String.fromCharCode(...bytes)).slice(-100);
    if (prompt !== null || !tail.includes(PROMPT_BYTES)) return;
    prompt = { instructions: icount, at: Date.now(), cpu: cpuMs("self") };
    stop.abort();
  },
};
const started = Date.now() - performance.now();
const result = task.trace === null
  ? await runUnrecorded(config, images, inputs, options)
  : await record(config, images, inputs, task.trace, options);
const seen = prompt as Prompt | null;
if (seen === null) throw new Error(`Cannot time the guest: ${result.outcome.message}`);
const run: BootRun = {
  promptMs: seen.at - started,
  cpuMs: seen.cpu,
  closedMs: Date.now() - started,
  instructions: seen.instructions,
  traceBytes: task.trace === null ? null : await folderBytes(task.trace),
};
console.log(JSON.stringify(run));
Deno.exit(0);
