/** Small recordings of the fake machine, for tests of traces and replay. */
import type { MachineConfig } from "../core/config.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { record, type RunOptions, type RunResult } from "../replay/runner.ts";
import { parseScript } from "../replay/script.ts";
import { MemoryStore, type Store } from "../traces/store.ts";
import { createFake, FAKE_CONFIG, FAKE_IMAGES } from "./trace_fake_machine.ts";

/** Inputs typed at fixed virtual times. */
export function typedInputs(count = 60, everyNs = 5000): LiveInputs {
  const lines = Array.from({ length: count }, (_, i) => `at ${i * everyNs + 17} send "command ${i}\\n"`);
  const script = parseScript(lines.join("\n"));
  return new LiveInputs({
    epochSeconds: () => 12345,
    entropy: (n) => new Uint8Array(n),
    unattended: true,
    script,
  });
}

/** Records the fake machine. */
export function recordFake(
  store: Store,
  options: Partial<RunOptions> = {},
  config: MachineConfig = FAKE_CONFIG,
): Promise<RunResult> {
  const defaults = {
    createMachine: createFake,
    checkpointInterval: 30_000,
    batchRows: 500,
    commitInterval: 20_000,
  };
  return record(config, FAKE_IMAGES, typedInputs(), store, { ...defaults, ...options });
}

/** A copy of a store in memory. */
export function copyOf(store: MemoryStore): MemoryStore {
  const copy = new MemoryStore();
  for (const [name, bytes] of store.files) copy.files.set(name, bytes.slice());
  return copy;
}

/** A small seeded generator (mulberry32): whole numbers below `n`. */
export function seeded(seed: number): (n: number) => number {
  let a = seed >>> 0;
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ a >>> 15, a | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) % n;
  };
}
