import { assert, assertEquals, assertGreater, assertLess, assertNotEquals } from "@std/assert";
import type { Input } from "../core/inputs.ts";
import { CapturingInputs } from "../replay/inputs.ts";
import { Recorder } from "../replay/recorder.ts";
import { ReplaySession } from "../replay/session.ts";
import { replay } from "../replay/replayer.ts";
import { runUnrecorded } from "../replay/runner.ts";
import { Bundle } from "../traces/bundle.ts";
import { BundleWriter } from "../traces/bundle_writer.ts";
import { decodeManifest, encodeManifest, MANIFEST_FILE } from "../traces/manifest.ts";
import { rewriteInputs } from "../traces/rewrite.ts";
import { DirectoryStore, MemoryStore } from "../traces/store.ts";
import { createFake, FAKE_CONFIG, FAKE_IMAGES, FakeMachine } from "./trace_fake_machine.ts";
import { copyOf, recordFake, typedInputs } from "./trace_fixture.ts";

const createMachine = createFake;

Deno.test("replay sees every exit and hash of a recording again", async () => {
  const store = new MemoryStore();
  const run = await recordFake(store);
  const again = await replay(store, { createMachine });
  assertEquals(again.divergence, null);
  assertEquals([again.exits, again.hypercalls, again.icount], [run.exits, run.hypercalls, run.icount]);
  assertEquals(again.stateHash, run.stateHash);
  assertEquals(again.outcome, run.outcome);
  assertGreater(again.checkpoints, 5);
  assertGreater(again.inputs, 5);
});

Deno.test("two recordings of the same inputs are the same bytes, whatever the batch and checkpoint size", async () => {
  const a = new MemoryStore(), b = new MemoryStore(), c = new MemoryStore();
  const first = await recordFake(a);
  await recordFake(b);
  for (const [name, bytes] of a.files) assertEquals(b.files.get(name), bytes, name);
  const other = await recordFake(c, { batchRows: 77, checkpointInterval: 11_111, commitInterval: 3000 });
  assertEquals(other.stateHash, first.stateHash);
  assertEquals((await replay(c, { createMachine })).divergence, null);
});

Deno.test("recording changes nothing for the guest", async () => {
  const plain = await runUnrecorded(FAKE_CONFIG, FAKE_IMAGES, typedInputs(), { createMachine });
  const recorded = await recordFake(new MemoryStore());
  assertEquals([plain.icount, plain.timeNs, plain.exits, plain.hypercalls], [
    recorded.icount,
    recorded.timeNs,
    recorded.exits,
    recorded.hypercalls,
  ]);
});

Deno.test("replay from every checkpoint gives the final hash", async () => {
  const store = new MemoryStore();
  const run = await recordFake(store);
  for (let fromCheckpoint = 0; fromCheckpoint < 7; fromCheckpoint++) {
    const again = await replay(store, { createMachine, fromCheckpoint });
    assertEquals(again.divergence, null);
    assertEquals(again.stateHash, run.stateHash);
  }
});

/** Records the fake machine as version 1 of the format did: with the loaded pages inside. */
function recordVersion1(store: MemoryStore): string | null {
  const inputs = new CapturingInputs(typedInputs()), machine = createFake(FAKE_CONFIG, FAKE_IMAGES, inputs);
  const bundle = new BundleWriter(store, FAKE_CONFIG, FAKE_IMAGES);
  bundle.manifest.version = 1;
  const recorder = new Recorder(bundle, machine, { checkpointInterval: 30_000 });
  machine.observer = recorder;
  recorder.start(inputs.release());
  while (machine.outcome === null) {
    recorder.tick(machine.runUntil(recorder.nextStop) === "limit");
  }
  return recorder.finish(machine.outcome);
}

Deno.test("pages that the images load are in recordings of version 1 and not of later ones; both restore", async () => {
  const old = new MemoryStore(), now = new MemoryStore();
  const oldHash = recordVersion1(old), { stateHash } = await recordFake(now);
  assertEquals(oldHash, stateHash);
  const kernel = FAKE_IMAGES[0].bytes,
    stored = [old, now].map((store) => {
      const bundle = Bundle.open(store), pages = bundle.table("pages");
      const session = new ReplaySession(bundle, createMachine);
      // There and back: what has been changed becomes again what was loaded.
      for (const at of [0, 150_000, 40_000, 0, 90_001]) session.seek(at);
      session.restore(session.checkpoints[0]);
      assertEquals(session.machine.mem.read(64 * 4096, kernel.length), kernel);
      const holds = (page: Uint8Array) => kernel.every((b, i) => page[i] === b);
      const found = [...pages.batches()].some((b) =>
        Array.from({ length: b.rows }, (_, row) => b.bytes("bytes", row)).some(holds)
      );
      bundle.close();
      return found;
    });
  assertEquals(stored, [true, false]);
  for (const store of [old, now]) {
    for (let fromCheckpoint = 0; fromCheckpoint < 5; fromCheckpoint++) {
      assertEquals((await replay(store, { createMachine, fromCheckpoint })).stateHash, stateHash);
    }
  }
});

Deno.test("replay to an icount stops exactly there", async () => {
  const store = new MemoryStore();
  await recordFake(store);
  const part = await replay(store, { createMachine, to: 77_777 });
  assertEquals([part.icount, part.divergence, part.outcome], [77_777, null, null]);
});

Deno.test("seek gives the same state forwards and backwards", async () => {
  const store = new MemoryStore();
  await recordFake(store);
  const bundle = Bundle.open(store);
  const session = new ReplaySession(bundle, createMachine), hashes = new Map<number, string>();
  const places = [5, 40_000, 90_001, 150_000, 199_999];
  for (const at of places) {
    session.seek(at);
    assertEquals(session.machine.icount, at);
    hashes.set(at, session.stateHash());
  }
  assertEquals(new Set(hashes.values()).size, places.length);
  for (const at of [150_000, 5, 199_999, 90_001, 40_000]) {
    session.seek(at);
    assertEquals([session.machine.icount, session.stateHash()], [at, hashes.get(at)]);
  }
});

/** Replays a copy whose inputs were changed but whose checksums are right. */
async function replayForged(store: MemoryStore, edit: (inputs: Input[]) => Input[]) {
  const forged = new MemoryStore();
  rewriteInputs(store, forged, edit);
  const again = await replay(forged, { createMachine });
  const d = again.divergence;
  assert(d !== null);
  assertEquals(d.exitCode, 3);
  const printed = d.print();
  assert(/^Replay diverges at icount \d+, RIP 0x[0-9a-f]+: /.test(printed), printed);
  assert(/\n {2}expected exit: .+\n {2}actual exit: .+/.test(printed), printed);
  return d;
}

Deno.test("an altered, deleted, added or moved input is a divergence with both sides named", async () => {
  const store = new MemoryStore();
  await recordFake(store);
  const inputs = Bundle.open(store).table("inputs").rows;
  assertGreater(inputs, 5);
  for (let n = 0; n < inputs; n++) {
    const change = (i: Input, k: number) =>
      k !== n ? i : { ...i, payload: i.payload.map((b, at) => at === 1 ? b ^ 1 : b) };
    const altered = await replayForged(store, (all) => all.map(change));
    const deleted = await replayForged(store, (all) => all.filter((_, k) => k !== n));
    if (n > 0 && n < inputs - 1) {
      assertEquals(altered.facts.table, "exits");
      assert(altered.facts.expectedExit !== altered.facts.actualExit);
      assert(deleted.facts.icount > 0);
    }
  }
  await replayForged(store, (all) => [...all, { ...all[inputs - 1] }]);
  await replayForged(store, (all) => all.map((i, k) => k === 3 ? { ...i, icount: i.icount + 1 } : i));
  await replayForged(store, (all) => all.map((i) => i.kind === "rtc" ? { ...i, kind: "entropy" } : i));
});

Deno.test("a machine that differs in one exit column is caught at that exit", async () => {
  const store = new MemoryStore();
  await recordFake(store);
  class Wrong extends FakeMachine {
    override get timeNs(): number {
      return super.timeNs + (this.icount > 50_000 ? 1 : 0);
    }
  }
  const again = await replay(store, { createMachine: (c, i, n) => new Wrong(c, i, n) });
  assertEquals([again.divergence?.facts.column], ["time_ns"]);
  assertGreater(again.divergence?.facts.icount ?? 0, 50_000);
  assertLess(again.divergence?.facts.icount ?? Infinity, 51_000);
});

Deno.test("a machine whose memory differs is caught at the next checkpoint", async () => {
  const store = new MemoryStore();
  await recordFake(store);
  class Wrong extends FakeMachine {
    override runUntil(limit: number) {
      const why = super.runUntil(limit);
      if (this.icount > 100_000) this.mem.write(0, Uint8Array.of(1));
      return why;
    }
  }
  const again = await replay(store, { createMachine: (c, i, n) => new Wrong(c, i, n) });
  assertEquals([again.divergence?.facts.table, again.divergence?.facts.column], ["checkpoints", "hash"]);
});

Deno.test("runs ended by the host replay to the same hash", async () => {
  const limited = new MemoryStore();
  const limit = await recordFake(limited, { maxInstructions: 45_678 });
  assertEquals([limit.outcome.kind, limit.icount], ["instruction-limit", 45_678]);
  const stopped = new MemoryStore(), controller = new AbortController();
  const stop = await recordFake(stopped, {
    signal: controller.signal,
    checkpointInterval: 10_000,
    onProgress: (p) => p.icount > 50_000 && controller.abort(),
  });
  assertEquals(stop.outcome.kind, "host-stop");
  const idle = new MemoryStore();
  const wait = await recordFake(idle, {}, { ...FAKE_CONFIG, cmdline: "end=10000000" });
  assertEquals(wait.outcome.kind, "idle");
  for (const [store, run] of [[limited, limit], [stopped, stop], [idle, wait]] as const) {
    const again = await replay(store, { createMachine });
    assertEquals(again.divergence?.print() ?? null, null);
    assertEquals(again.stateHash, run.stateHash);
    assertEquals(again.outcome?.kind, run.outcome.kind);
  }
});

Deno.test("a recording that was cut replays to its last commit and says so", async () => {
  const original = new MemoryStore();
  await recordFake(original);
  const manifest = decodeManifest(original.files.get(MANIFEST_FILE) ?? new Uint8Array());
  manifest.closing = null;
  original.files.set(MANIFEST_FILE, encodeManifest(manifest));
  for (const keep of [0.3, 0.5, 0.8, 0.95]) {
    const store = copyOf(original), exits = store.files.get("exits.arrows") ?? new Uint8Array();
    store.files.set("exits.arrows", exits.slice(0, Math.floor(exits.length * keep)));
    const bundle = Bundle.open(store);
    const again = await replay(store, { createMachine });
    assertEquals(again.divergence, null);
    assert(again.recovered && again.message.startsWith("The recording was cut"));
    assertEquals([again.icount, again.exits], [bundle.icount, bundle.table("exits").rows]);
    assertGreater(again.exits, 100);
  }
});

Deno.test("kill -9 while recording leaves a recording that replays", async () => {
  const folder = await Deno.makeTempDir();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("trace_kill_child.ts", import.meta.url).pathname, folder],
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    for (let n = 0; n < 200; n++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const size = await Deno.stat(`${folder}/exits.arrows`).then((s) => s.size, () => 0);
      // Several commits: one is made every 500,000 instructions, some 12 MB.
      if (size > 40e6) break;
    }
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  try {
    const again = await replay(new DirectoryStore(folder), { createMachine });
    assertEquals(again.divergence, null);
    assert(again.recovered);
    assertGreater(again.exits, 10_000);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("state hashes tell different inputs apart", async () => {
  const a = await recordFake(new MemoryStore(), { maxInstructions: 60_000 });
  const b = await recordFake(new MemoryStore(), { maxInstructions: 60_001 });
  assertNotEquals(a.stateHash, b.stateHash);
});
