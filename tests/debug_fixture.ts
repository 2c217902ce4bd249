/** The demo guest recorded in memory, opened for a debugger, and its symbols. */
import { DEFAULT_CONFIG } from "../core/config.ts";
import { createMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import { openForDebugging } from "../replay/gdb/open.ts";
import type { Target } from "../replay/gdb/target.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { record, type RunResult } from "../replay/runner.ts";
import type { Traveler } from "../replay/traveler.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";

/** Records the demo guest, with a checkpoint every few million instructions. */
export async function recordDemo(vcpus = 1): Promise<{ store: MemoryStore; run: RunResult }> {
  const store = new MemoryStore();
  const inputs = new LiveInputs({
    epochSeconds: () => 1e9,
    entropy: (n) => new Uint8Array(n),
    unattended: true,
  });
  const config = { ...DEFAULT_CONFIG, name: "demo", memoryBytes: 32 << 20, vcpus };
  const images = [{ role: "kernel" as const, name: "demo", bytes: demoImage() }];
  const run = await record(config, images, inputs, store, { createMachine, checkpointInterval: 8e6 });
  return { store, run };
}

/** An opened recording. */
export interface Opened {
  bundle: Bundle;
  traveler: Traveler;
  target: Target;
}

/** Opens a recording for a debugger. */
export function open(store: MemoryStore): Opened {
  const bundle = Bundle.open(store);
  return { bundle, ...openForDebugging(bundle) };
}

/** Address of a function of the demo guest, from its ELF file's symbol table. */
export function demoSymbol(name: string): number {
  const bytes = demoImage(), v = new DataView(bytes.buffer);
  const at = Number(v.getBigUint64(40, true)), size = v.getUint16(58, true), count = v.getUint16(60, true);
  for (let s = 0; s < count; s++) {
    const header = at + s * size;
    if (v.getUint32(header + 4, true) !== 2) continue;
    const symbols = Number(v.getBigUint64(header + 24, true)),
      length = Number(v.getBigUint64(header + 32, true));
    const strings = Number(v.getBigUint64(at + v.getUint32(header + 40, true) * size + 24, true));
    for (let e = symbols; e < symbols + length; e += 24) {
      const from = strings + v.getUint32(e, true), to = bytes.indexOf(0, from);
      if (new TextDecoder().decode(bytes.subarray(from, to)) === name) {
        return Number(v.getBigUint64(e + 8, true));
      }
    }
  }
  throw new Error(`The demo guest has no symbol ${name}`);
}
