/**
 * Runs one image on Retrovisor: `deno run -A bench/peer_self.ts IMAGE BITS [--jit N] [--xen] [--record FOLDER
 * [--checkpoint-interval N] | --replay FOLDER]` prints a `PeerRun` as JSON.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import type { Machine } from "../core/api.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import { type Inputs, NoInputs } from "../core/inputs.ts";
import { createMachine as create } from "../core/machine.ts";
import { replay } from "../replay/replayer.ts";
import { record, runUnrecorded } from "../replay/runner.ts";
import { ownCpuMs } from "./cpu_time.ts";
import { Stopwatch } from "./peer.ts";

const options = parseArgs(Deno.args, {
  string: ["jit", "record", "replay", "checkpoint-interval"],
  boolean: ["xen"],
});
const config: MachineConfig = {
  ...DEFAULT_CONFIG,
  name: "bench",
  type: "multiboot",
  memoryBytes: 64 << 20,
  xen: options.xen,
  platform: "pc",
};
const engine = options.jit === undefined ? {} : { jitThreshold: Number(options.jit) };
const interval = options["checkpoint-interval"];
const createMachine = (c: MachineConfig, images: GuestImage[], inputs: Inputs): Machine =>
  create(c, images, inputs, engine);

/** Runs the image as the options say. @returns host milliseconds, and why it ended */
async function run(watch: Stopwatch): Promise<{ hostMs: number; message: string }> {
  const onConsole = (device: string, bytes: Uint8Array, icount: number | null = null) => {
    if (device === "port-e9") { for (const b of bytes) watch.put(b, icount); }
  };
  if (options.replay !== undefined) {
    const { hostMs, message, divergence } = await replay(options.replay, {
      createMachine,
      onConsole: (device, bytes) => onConsole(device, bytes),
    });
    if (divergence !== null) throw divergence;
    return { hostMs, message };
  }
  const images = [{ role: "kernel", name: "bench", bytes: Deno.readFileSync(String(options._[0])) }];
  const runOptions = {
    createMachine,
    onConsole,
    ...(interval === undefined ? {} : { checkpointInterval: Number(interval) }),
  };
  const { hostMs, outcome } = options.record === undefined
    ? await runUnrecorded(config, images, new NoInputs(), runOptions)
    : await record(config, images, new NoInputs(), options.record, runOptions);
  return { hostMs, message: outcome.message };
}

const watch = new Stopwatch(ownCpuMs);
const { hostMs, message } = await run(watch);
if (!watch.done) throw new Error(`Cannot time the guest: ${message}`);
watch.run.hostMs = hostMs;
watch.run.hostCpuMs = ownCpuMs();
console.log(JSON.stringify(watch.run));
