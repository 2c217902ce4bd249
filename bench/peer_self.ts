/**
 * Runs one image on Retrovisor: `deno run -A bench/peer_self.ts IMAGE` prints a `PeerRun` as JSON.
 *
 * @module
 */
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import type { Observer } from "../core/exits.ts";
import { NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { Stopwatch } from "./peer.ts";

const config: MachineConfig = {
  ...DEFAULT_CONFIG,
  name: "bench",
  type: "multiboot",
  memoryBytes: 64 << 20,
  xen: false,
  platform: "pc",
};
const watch = new Stopwatch();
const observer: Observer = {
  onExit() {},
  onHypercall() {},
  onInterrupt() {},
  onInput() {},
  onConsole(icount, _timeNs, device, bytes) {
    if (device === "port-e9") { for (const b of bytes) watch.put(b, icount); }
  },
};
const bytes = Deno.readFileSync(Deno.args[0]);
const machine = createMachine(config, [{ role: "kernel", name: "bench", bytes }], new NoInputs());
machine.observer = observer;
while (machine.runUntil(Number.MAX_SAFE_INTEGER) === "limit");
if (!watch.done) {
  throw new Error(`Cannot time the guest: ${machine.outcome?.message ?? "it waits for input"}`);
}
console.log(JSON.stringify(watch.run));
