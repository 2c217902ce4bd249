/** The demo guest recorded in memory, opened for a debugger, and its symbols. */
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import { createMachine, type RetrovisorMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import { LiveDebuggee } from "../replay/gdb/live.ts";
import { liveTarget, openForDebugging } from "../replay/gdb/open.ts";
import type { Target } from "../replay/gdb/target.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { record, type RunResult } from "../replay/runner.ts";
import type { Traveler } from "../replay/traveler.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";

const CHECKPOINT_INTERVAL = 8e6;

function demoInputs(): LiveInputs {
  return new LiveInputs({ epochSeconds: () => 1e9, entropy: (n) => new Uint8Array(n), unattended: true });
}

function demoGuest(vcpus: number): [MachineConfig, GuestImage[]] {
  const config = { ...DEFAULT_CONFIG, name: "demo", memoryBytes: 32 << 20, vcpus };
  return [config, [{ role: "kernel", name: "demo", bytes: demoImage() }]];
}

/** Records the demo guest, with a checkpoint every few million instructions. */
export async function recordDemo(vcpus = 1): Promise<{ store: MemoryStore; run: RunResult }> {
  const store = new MemoryStore(), [config, images] = demoGuest(vcpus);
  const options = { createMachine, checkpointInterval: CHECKPOINT_INTERVAL };
  return { store, run: await record(config, images, demoInputs(), store, options) };
}

/** Records the demo guest while a debugger is attached, which `use` plays; then it runs to its end. */
export async function recordDebuggedDemo(
  use: (live: LiveDebuggee, target: Target) => Promise<void>,
  vcpus = 1,
): Promise<{ store: MemoryStore; run: RunResult }> {
  const store = new MemoryStore(), [config, images] = demoGuest(vcpus), inputs = demoInputs();
  let live!: LiveDebuggee, used = Promise.resolve();
  const run = await record(config, images, inputs, store, {
    createMachine,
    checkpointInterval: CHECKPOINT_INTERVAL,
    gate: {
      open: () => live.open(),
      get limit() {
        return live.limit;
      },
      ran: () => live.ran(),
    },
    onMachine: (m) => {
      live = new LiveDebuggee(m as RetrovisorMachine, inputs, "live");
      used = use(live, liveTarget(m as RetrovisorMachine, images)).finally(() => live.release());
    },
  });
  await used;
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
