/**
 * One guest on every engine: whether, when and how code is compiled, recorded, sliced or checkpointed must not show.
 */
import { assert, assertEquals } from "@std/assert";
import type { Machine } from "../core/api.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import { type Inputs, NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import { record, type RunResult } from "../replay/runner.ts";
import { replay } from "../replay/replayer.ts";
import { MemoryStore } from "../traces/store.ts";

/** A machine maker with a compile threshold (0: interpreter only, 1: everything is compiled at once). */
const engine = (jitThreshold: number) => (c: MachineConfig, images: GuestImage[], inputs: Inputs): Machine =>
  createMachine(c, images, inputs, { jitThreshold });

const images = (): GuestImage[] => [{ role: "kernel", name: "demo", bytes: demoImage() }];

/** What must agree between two runs. */
const essence = (r: RunResult) => ({
  outcome: r.outcome.kind,
  icount: r.icount,
  timeNs: r.timeNs,
  exits: r.exits,
  hypercalls: r.hypercalls,
  stateHash: r.stateHash,
});

Deno.test("demo guest ends in one state whatever the engine, batches and checkpoints", async (t) => {
  const config = { ...DEFAULT_CONFIG, name: "demo" };
  const runs: { name: string; jit: number; batchRows?: number; checkpointInterval?: number }[] = [
    { name: "interpreter", jit: 0 },
    { name: "compiler, default", jit: 2000 },
    { name: "compiler, threshold 40, checkpoints each 3.5 M", jit: 40, checkpointInterval: 3_500_000 },
    { name: "compiler never, batches of 997 rows", jit: 2 ** 30, batchRows: 997 },
    {
      name: "compiler, threshold 20, batches of 7 rows, checkpoints each 2^24",
      jit: 20,
      batchRows: 7,
      checkpointInterval: 1 << 24,
    },
  ];
  const stores: MemoryStore[] = [];
  let first: ReturnType<typeof essence> | null = null;
  for (const { name, jit, ...options } of runs) {
    await t.step(`recorded: ${name}`, async () => {
      const store = new MemoryStore();
      const got = essence(
        await record(config, images(), new NoInputs(), store, { createMachine: engine(jit), ...options }),
      );
      assertEquals(got.outcome, "poweroff");
      assertEquals(got, first ??= got);
      stores.push(store);
    });
  }
  await t.step("replayed from each checkpoint by another engine than recorded it", async () => {
    // The last checkpoint is of the machine that has ended.
    const store = stores[2],
      checkpoints = (await replay(store, { createMachine: engine(0) })).checkpoints - 1;
    assert(checkpoints > 5, `only ${checkpoints} checkpoints`);
    for (let fromCheckpoint = 0; fromCheckpoint < checkpoints; fromCheckpoint++) {
      const r = await replay(store, { createMachine: engine(fromCheckpoint % 2 ? 0 : 20), fromCheckpoint });
      assertEquals(r.divergence?.message ?? null, null, `from checkpoint ${fromCheckpoint}`);
      assertEquals([r.icount, r.stateHash], [first!.icount, first!.stateHash], `from ${fromCheckpoint}`);
    }
  });
  for (const [from, to, jit] of [["interpreter", "compiler", 20], ["compiler", "interpreter", 0]] as const) {
    await t.step(`replayed: recorded by the ${from}, replayed by the ${to}`, async () => {
      const r = await replay(stores[from === "interpreter" ? 0 : 1], { createMachine: engine(jit) });
      assertEquals(r.divergence?.message ?? null, null);
      assertEquals({ icount: r.icount, exits: r.exits, stateHash: r.stateHash }, {
        icount: first!.icount,
        exits: first!.exits,
        stateHash: first!.stateHash,
      });
    });
  }
});

Deno.test("a guest run in small slices compiled at once retires what one interpreted run retires", () => {
  const config = { ...DEFAULT_CONFIG, name: "demo" };
  const whole = createMachine(config, images(), new NoInputs(), { jitThreshold: 0 });
  whole.runUntil(400_000);
  for (const step of [1_000, 7_919]) {
    const sliced = createMachine(config, images(), new NoInputs(), { jitThreshold: 1 });
    while (sliced.icount < 400_000) sliced.runUntil(Math.min(400_000, sliced.icount + step));
    assertEquals(sliced.where(), whole.where());
    assertEquals(new TextDecoder().decode(sliced.saveState()), new TextDecoder().decode(whole.saveState()));
  }
});
