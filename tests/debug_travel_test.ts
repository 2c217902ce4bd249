import { assert, assertEquals, assertGreater, assertNotEquals } from "@std/assert";
import { WatchKind } from "../core/mmu/watch.ts";
import { createMachine } from "../core/machine.ts";
import { ReplaySession } from "../replay/session.ts";
import type { Arrival } from "../replay/gdb/debuggee.ts";
import { Bundle } from "../traces/bundle.ts";
import { demoSymbol, open, type Opened, recordDemo } from "./debug_fixture.ts";
import { seeded } from "./trace_fixture.ts";

const demo = await recordDemo();

/** Where a traveler is: all that must be the same when it comes again. */
function place(o: Opened): string {
  const { traveler: t } = o;
  return `${t.icount} ${t.debug.address().toString(16)} ${t.session.stateHash()} ${
    JSON.stringify(t.session.counts())
  }`;
}

/** Steps on with stops armed to the end. @returns icount of every stop; for watchpoints of the instruction */
async function allStops(o: Opened): Promise<number[]> {
  const out: number[] = [];
  for (;;) {
    const a = await o.traveler.resume();
    if (a.kind === "end") return out;
    assert(a.kind === "breakpoint" || a.kind === "watchpoint", a.kind);
    out.push(a.kind === "watchpoint" ? a.hit.icount : o.traveler.icount);
  }
}

/** The same from the end to the beginning. */
async function allStopsBack(o: Opened): Promise<number[]> {
  const out: number[] = [];
  for (;;) {
    const a: Arrival = await o.traveler.resumeBack();
    if (a.kind === "begin") return out;
    out.push(o.traveler.icount);
  }
}

Deno.test("seeks from anywhere arrive at the state of an undisturbed replay", async () => {
  const seed = 6, random = seeded(seed), o = open(demo.store);
  const plain = new ReplaySession(Bundle.open(demo.store), createMachine);
  const targets = Array.from({ length: 12 }, () => random(demo.run.icount));
  const expected = new Map<number, string>();
  for (const at of [...targets].sort((a, b) => a - b)) {
    plain.runTo(at);
    expected.set(at, plain.stateHash());
  }
  for (const at of targets) {
    await o.traveler.seek(at);
    assertEquals(o.traveler.icount, at);
    assertEquals(o.traveler.session.stateHash(), expected.get(at), `seed ${seed}, icount ${at}`);
  }
  assertGreater(o.traveler.snapshots.list.length, 10);
});

Deno.test("a debugged run ends with the recorded icount and hash whatever is watched on its way", async () => {
  const o = open(demo.store), { traveler: t } = o;
  for (const name of ["quicksort", "page_fault_entry", "upcall_entry", "collatz_length"]) {
    t.breakpoints.add(demoSymbol(name));
  }
  const stack = 0x10ee00;
  t.watchpoints = [{ kind: WatchKind.ACCESS, address: stack + 0x70, length: 8 }];
  let stops = 0;
  for (let a = await t.resume(); a.kind !== "end"; a = await t.resume()) {
    stops++;
    if (stops % 50 === 0) await t.step();
    if (stops === 100) await t.stepBack();
    // Everything is watched for the rest: only what is counted is slow.
    if (stops === 400) {
      t.breakpoints.clear();
      t.watchpoints = [{ kind: WatchKind.WRITE, address: stack, length: 1 }, {
        kind: WatchKind.READ,
        address: 0x100000,
        length: 4,
      }];
    }
  }
  assertGreater(stops, 400);
  assertEquals(t.icount, demo.run.icount);
  if (t.machine.outcome === null) t.session.runTo(t.icount + 1);
  assertEquals(t.machine.outcome?.kind, demo.run.outcome.kind);
  assertEquals(t.session.stateHash(), demo.run.stateHash);
  assert(t.session.exhausted);
});

Deno.test("stepping back retraces every step forward", async () => {
  const o = open(demo.store), { traveler: t } = o;
  await t.seek(1_234_567);
  const places: string[] = [];
  for (let i = 0; i < 40; i++) {
    places.push(place(o));
    assertEquals((await t.step()).kind, "there");
  }
  while (places.length > 0) {
    assertEquals((await t.stepBack()).kind, "there");
    assertEquals(place(o), places.pop());
  }
});

Deno.test("going back meets every breakpoint that going forward met", async () => {
  const o = open(demo.store), { traveler: t } = o;
  // Entries of fault and interrupt handlers share their icount with what was interrupted.
  for (const name of ["upcall_entry", "matrix_multiply", "page_fault_entry", "pvh_start"]) {
    t.breakpoints.add(demoSymbol(name));
  }
  await t.seek(0);
  const forward = await allStops(o);
  assertGreater(forward.length, 20);
  const middle = forward.findIndex((i) => i > 12_067_000);
  await t.seek(forward[middle] + 1);
  for (const icount of forward.slice(middle - 12, middle + 1).toReversed()) {
    assertEquals([(await t.resumeBack()).kind, t.icount], ["breakpoint", icount]);
    assert(t.breakpoints.has(t.debug.address()));
  }
  await t.seek(forward[3] + 1);
  assertEquals((await allStopsBack(o)).filter((i) => i > 0), forward.slice(0, 4).toReversed());
  assertEquals((await t.stepBack()).kind, "begin");
});

Deno.test("going back meets every changing write that going forward met, and finds the value of before", async () => {
  const o = open(demo.store), { traveler: t } = o;
  const address = 0x10ee68;
  t.watchpoints = [{ kind: WatchKind.WRITE, address, length: 8 }];
  await t.seek(29_999_000);
  const forward: [number, string][] = [];
  for (let a = await t.resume(); a.kind === "watchpoint" && forward.length < 30; a = await t.resume()) {
    forward.push([a.hit.icount, String(a.hit.before)]);
    assertNotEquals(String(t.debug.peek(address, 8)), String(a.hit.before));
  }
  assertGreater(forward.length, 5);
  const last = forward.at(-1)!;
  await t.seek(last[0] + 1);
  for (const [icount, before] of forward.toReversed()) {
    const a = await t.resumeBack();
    assertEquals([a.kind, t.icount, String(t.debug.peek(address, 8))], ["watchpoint", icount, before]);
  }
});

Deno.test("a watchpoint tells reads from writes and other addresses", async () => {
  const o = open(demo.store), { traveler: t } = o, address = 0x10ee68;
  const hits = async (kind: number, at: number): Promise<number[]> => {
    t.watchpoints = [{ kind, address: at, length: 4 }];
    await t.seek(29_999_000);
    const out: number[] = [];
    for (let a = await t.resume(); a.kind === "watchpoint"; a = await t.resume()) {
      if (a.hit.icount >= 30_000_000) break;
      out.push(a.hit.icount);
    }
    return out;
  };
  const access = await hits(WatchKind.ACCESS, address), reads = await hits(WatchKind.READ, address);
  const writes = await hits(WatchKind.WRITE, address);
  assertGreater(reads.length, 2);
  assertGreater(writes.length, 2);
  assert(reads.every((i) => access.includes(i)) && writes.every((i) => access.includes(i)));
  assert(access.length >= Math.max(reads.length, writes.length));
  assertEquals(await hits(WatchKind.ACCESS, 0x10ee68 + 0x800), []);
});

Deno.test("a breakpoint in the middle of code that runs compiled stops where one set before it ran does", async () => {
  const at = demoSymbol("fibonacci") + 5, from = Math.floor(demo.run.icount * 0.9);
  const stops = async (o: Opened): Promise<number[]> => {
    await o.traveler.seek(from);
    o.traveler.breakpoints.add(at);
    const out: number[] = [];
    for (let n = 0; n < 20 && (await o.traveler.resume()).kind === "breakpoint"; n++) {
      out.push(o.traveler.icount);
    }
    return out;
  };
  const fresh = open(demo.store), warm = open(demo.store);
  fresh.traveler.breakpoints.add(at);
  fresh.traveler.debug.set(fresh.traveler.breakpoints, []);
  for (let n = 0; n < 3; n++) {
    await warm.traveler.seek(warm.traveler.end);
    await warm.traveler.seek(from);
  }
  const expected = await stops(fresh);
  assertGreater(expected.length, 5);
  assertEquals(await stops(warm), expected);
});
