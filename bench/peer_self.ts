/**
 * Runs one image on Retrovisor: `deno run -A bench/peer_self.ts IMAGE [--jit N] [--record FOLDER]` prints a `PeerRun` as
 * JSON.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import type { Machine } from "../core/api.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import { type Inputs, NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { record, runUnrecorded } from "../replay/runner.ts";
import { Stopwatch } from "./peer.ts";

const options = parseArgs(Deno.args, { string: ["jit", "record"] });
const config: MachineConfig = {
  ...DEFAULT_CONFIG,
  name: "bench",
  type: "multiboot",
  memoryBytes: 64 << 20,
  xen: false,
  platform: "pc",
};
const engine = options.jit === undefined ? {} : { jitThreshold: Number(options.jit) };
const watch = new Stopwatch();
const runOptions = {
  createMachine: (c: MachineConfig, images: GuestImage[], inputs: Inputs): Machine =>
    createMachine(c, images, inputs, engine),
  onConsole(device: string, bytes: Uint8Array, icount: number) {
    if (device === "port-e9") { for (const b of bytes) watch.put(b, icount); }
  },
};
const image = String(options._[0]);
const images = [{ role: "kernel", name: "bench", bytes: Deno.readFileSync(image) }];
const result = options.record === undefined
  ? await runUnrecorded(config, images, new NoInputs(), runOptions)
  : await record(config, images, new NoInputs(), options.record, runOptions);
if (!watch.done) throw new Error(`Cannot time the guest: ${result.outcome.message}`);
watch.run.hostMs = result.hostMs;
console.log(JSON.stringify(watch.run));
