import { assert, assertEquals, assertGreater } from "@std/assert";
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import { createMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import { listCheckpoints } from "../replay/checkpoint_reader.ts";
import { LiveInputs, TraceInputs } from "../replay/inputs.ts";
import { record } from "../replay/runner.ts";
import { Bundle } from "../traces/bundle.ts";
import { hex } from "../traces/hex.ts";

const FOLDER = await Deno.makeTempDir({ prefix: "retrovisor-twice-" });
const config: MachineConfig = { ...DEFAULT_CONFIG, name: "demo", memoryBytes: 64 << 20 };
const images = [{ role: "kernel", name: "demo", bytes: demoImage() }] as const;
const live = new LiveInputs({
  epochSeconds: () => 1_000_000_000,
  entropy: (n) => new Uint8Array(n).fill(7),
  unattended: true,
});
const first = await record(config, [...images], live, `${FOLDER}/first.trace`, {
  createMachine,
  checkpointInterval: 7_000_000,
});

/** Replays in a process of its own, in a working directory of its own. */
async function replayElsewhere(trace: string, jitThreshold: number) {
  const cwd = await Deno.makeTempDir({ dir: FOLDER });
  const child = new URL("replay_child.ts", import.meta.url).pathname;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", child, trace, String(jitThreshold)],
    cwd,
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert(text.startsWith("{"), new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

/** Every value of a table's rows, as text. */
function valuesOf(bundle: Bundle, table: string): string[] {
  const rows: string[] = [];
  for (const b of bundle.table(table).batches()) {
    for (let row = 0; row < b.rows; row++) {
      rows.push(b.columns.map((_, column) => b.showAt(column, row)).join("|"));
    }
  }
  return rows;
}

Deno.test("one recording replays to the same hashes in other processes, interpreted and compiled", async () => {
  assertEquals(first.outcome.kind, "poweroff");
  const expected = {
    divergence: null,
    icount: first.icount,
    exits: first.exits,
    hypercalls: first.hypercalls,
    checkpoints: Math.floor(first.icount / 7_000_000) + 2,
    stateHash: first.stateHash,
  };
  for (const jitThreshold of [0, 1, 2000]) {
    const again = await replayElsewhere(`${FOLDER}/first.trace`, jitThreshold);
    assertEquals(again, expected, `threshold ${jitThreshold}`);
  }
});

Deno.test("recorded again from its inputs, a run is the same whatever the batch and checkpoint sizes and the engine", async () => {
  const original = Bundle.open(`${FOLDER}/first.trace`);
  const sizes = [
    { batchRows: 64, checkpointInterval: 3_500_000, jitThreshold: 0 },
    { batchRows: 1000, checkpointInterval: 21_000_000, jitThreshold: 20 },
  ];
  for (const { batchRows, checkpointInterval, jitThreshold } of sizes) {
    const place = `${FOLDER}/${batchRows}.trace`;
    const again = await record(config, [...images], new TraceInputs(original), place, {
      createMachine: (c, i, n) => createMachine(c, i, n, { jitThreshold }),
      batchRows,
      checkpointInterval,
    });
    assertEquals([again.stateHash, again.icount], [first.stateHash, first.icount]);
    const bundle = Bundle.open(place);
    for (const table of ["exits", "hypercalls", "inputs", "interrupts", "console"]) {
      assertEquals(valuesOf(bundle, table), valuesOf(original, table), table);
    }
    assertGreater(bundle.table("exits").batchCount, Math.floor(first.exits / batchRows) - 1);
    const hashes = new Map(listCheckpoints(original).map((c) => [c.icount, hex(c.hash)]));
    const common = listCheckpoints(bundle).filter((c) => hashes.has(c.icount));
    assertGreater(common.length, 2);
    for (const c of common) assertEquals(hex(c.hash), hashes.get(c.icount), `checkpoint at ${c.icount}`);
    bundle.close();
    const replayed = await replayElsewhere(place, 2000);
    assertEquals([replayed.divergence, replayed.stateHash], [null, first.stateHash]);
  }
  original.close();
});

globalThis.addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));
