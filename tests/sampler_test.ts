import { assert, assertEquals } from "@std/assert";
import { createMachine } from "../core/machine.ts";
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import { demoImage } from "../guests/demo/image.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { replay } from "../replay/replayer.ts";
import { record } from "../replay/runner.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";

const INTERVAL = 1000;

/** Records the demo guest. */
async function demo(sampleInterval: number) {
  const config: MachineConfig = { ...DEFAULT_CONFIG, name: "demo", sampleInterval };
  const store = new MemoryStore();
  const inputs = new LiveInputs({
    epochSeconds: () => 1e9,
    entropy: (n) => new Uint8Array(n),
    unattended: true,
  });
  const images = [{ role: "kernel", name: "demo", bytes: demoImage() }];
  const run = await record(config, images, inputs, store, { createMachine, maxInstructions: 20e6 });
  return { run, store, bundle: Bundle.open(store) };
}

/** A column of all rows. */
function column(bundle: Bundle, table: string, name: string): number[] {
  return [...bundle.table(table).batches()].flatMap((b) =>
    Array.from({ length: b.rows }, (_, row) => b.number(name, row))
  );
}

Deno.test("samples come at every multiple of the interval and at exits of small wrappers, and change nothing", async () => {
  const plain = await demo(0), sampled = await demo(INTERVAL);
  assertEquals(plain.bundle.table("samples").rows, 0);
  for (const name of ["icount", "reason_code", "rip"]) {
    assertEquals(column(sampled.bundle, "exits", name), column(plain.bundle, "exits", name), name);
  }
  const icounts = column(sampled.bundle, "samples", "icount");
  const timed = icounts.filter((n) => n % INTERVAL === 0);
  assertEquals(timed, Array.from({ length: timed.length }, (_, i) => (i + 1) * INTERVAL));
  assertEquals(timed.length, Math.floor(sampled.run.icount / INTERVAL));
  const exits = column(sampled.bundle, "exits", "icount"),
    reasons = column(sampled.bundle, "exits", "reason_code");
  const CPUID = 0x72, MSR = 0x7c, VMMCALL = 0x81, HLT = 0x78;
  const wanted = exits.filter((n, i) =>
    [CPUID, MSR, VMMCALL, HLT].includes(reasons[i]) && n % INTERVAL !== 0
  );
  const atExits = icounts.filter((n) => n % INTERVAL !== 0);
  assert(wanted.length > 20, `${wanted.length} such exits`);
  assert(wanted.every((n) => atExits.includes(n)), "each has its sample");
  const again = await replay(sampled.store, { createMachine });
  assertEquals([again.divergence, again.stateHash], [null, sampled.run.stateHash]);
});

Deno.test("a recording carries the symbols of its guest", async () => {
  const { bundle } = await demo(0);
  const names = [...bundle.table("symbols").batches()].flatMap((b) =>
    Array.from(
      { length: b.rows },
      (_, row) => `${b.text("name", row)} ${b.text("module", row)} ${b.text("source", row)}`,
    )
  );
  assert(names.length > 40);
  assert(names.every((n) => /^\S+ demo elf$/.test(n)), names[0]);
  const starts = column(bundle, "symbols", "start");
  assertEquals(starts, [...starts].sort((a, b) => a - b));
});
