import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { createMachine } from "../core/machine.ts";
import { GdbServer } from "../replay/gdb/listener.ts";
import { encodePacket, hexText, unhexText } from "../replay/gdb/packets.ts";
import { GdbSession } from "../replay/gdb/server.ts";
import { eventLoopTurn } from "../replay/pacing.ts";
import { replay } from "../replay/replayer.ts";
import { Bundle } from "../traces/bundle.ts";
import { readInputs } from "../traces/inputs_reader.ts";
import { MemoryStore } from "../traces/store.ts";
import { gdbAt, whens } from "./debug_client.ts";
import { demoSymbol, open, recordDebuggedDemo, recordDemo } from "./debug_fixture.ts";
import { hasProgram } from "./programs.ts";
import { seeded } from "./trace_fixture.ts";

const plain = await recordDemo();

/** Sends packets and asserts that each is answered as it should be; "" means anything but an error. */
async function say(
  session: GdbSession,
  ...packets: (string | [packet: string, answer: string])[]
): Promise<void> {
  for (const p of packets) {
    const [packet, answer] = typeof p === "string" ? [p, ""] : p;
    const said = (await session.answer(packet)).text ?? "";
    if (answer !== "") assertEquals(said, answer, packet);
    else assert(!said.startsWith("E"), `${packet}: ${said}`);
  }
}

/** What `monitor` answers. */
async function ask(session: GdbSession, line: string): Promise<string> {
  const { text } = await session.answer(`qRcmd,${hexText(line)}`);
  return text === null || text === "OK" ? "" : unhexText(text) ?? text;
}

/** A hexadecimal address without 0x. */
function at(name: string): string {
  return demoSymbol(name).toString(16);
}

/** Little-endian bytes of a register, as a packet has them. */
function le64(value: bigint): string {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** Everything in a recording's store, by file. */
function files(store: MemoryStore): Map<string, string> {
  const b = Bundle.open(store);
  return new Map(b.tables().map((t) => [t.spec.name, t.blocks.map((k) => `${k.bytes}:${k.crc32c}`).join()]));
}

for (const vcpus of [1, 2]) {
  Deno.test(`attaching to a live machine with ${vcpus} vCPU(s), stepping, stopping and watching change nothing`, async () => {
    const undisturbed = vcpus === 1 ? plain : await recordDemo(vcpus);
    let stops = 0;
    const debugged = await recordDebuggedDemo(async (live, target) => {
      const s = new GdbSession(live, target);
      await say(s, "qSupported:multiprocess+", `Z0,${at("quicksort")},1`, "Z2,10ee70,8", "Z0,100100,1");
      for (let n = 0; n < 60; n++) {
        await say(s, n % 3 === 0 ? "vCont;s:1" : n % 3 === 1 ? "vCont;c" : "g", "m100000,40", "p10", "?");
        stops++;
      }
      await say(
        s,
        "z2,10ee70,8",
        `Z0,${at("upcall_entry")},1`,
        "vCont;c",
        "vCont;c",
        "vCont;s:1",
        "qRcmd,7768656e",
      );
      await s.end();
    }, vcpus);
    assertEquals(stops, 60);
    assertEquals(debugged.run.stateHash, undisturbed.run.stateHash);
    assertEquals(debugged.run.icount, undisturbed.run.icount);
    const tables = files(debugged.store);
    for (const name of ["exits", "hypercalls", "inputs", "interrupts", "console", "checkpoints", "pages"]) {
      const rows = (store: MemoryStore) => Bundle.open(store).table(name).rows;
      assertEquals(rows(debugged.store), rows(undisturbed.store), name);
      assert(tables.has(name));
    }
  });
}

Deno.test("what a debugger writes into a live machine is recorded, and replayed to the same hash", async () => {
  let refused = "";
  const debugged = await recordDebuggedDemo(async (live, target) => {
    const s = new GdbSession(live, target);
    await say(s, `Z0,${at("fibonacci")},1`, "c", "s", `z0,${at("fibonacci")},1`);
    // A register, all of a 128-bit one, memory by both packets, across a page.
    await say(s, [`P8=${le64(0x1234_5678_9abc_def0n)}`, "OK"], [
      "P28=000102030405060708090a0b0c0d0e0f",
      "OK",
    ]);
    await say(s, ["M10aff8,c:0102030405060708090a0b0c", "OK"], ["m10aff8,c", "0102030405060708090a0b0c"]);
    await say(s, ["X10b100,3:\u0001\u00ff}", "OK"], ["m10b100,3", "01ff7d"]);
    await say(s, ["p8", le64(0x1234_5678_9abc_def0n)], ["p28", "000102030405060708090a0b0c0d0e0f"]);
    refused = (await s.answer(`P1b=00000000`)).text ?? "";
    await say(s, "s", "s");
    await s.end();
  });
  assertMatch(refused, /^E/);
  assertNotEquals(debugged.run.stateHash, plain.run.stateHash);
  const inputs = [...readInputs(Bundle.open(debugged.store))].filter((i) => i.kind === "debugger");
  assertEquals(inputs.map((i) => i.target), ["v0.r8", "v0.xmm0", "memory", "memory", "memory"]);
  const again = await replay(debugged.store, { createMachine });
  assertEquals([again.divergence, again.stateHash], [null, debugged.run.stateHash]);
});

Deno.test("where an interrupt has been taken but nothing executed, a write is refused and the reason given", async () => {
  const debugged = await recordDebuggedDemo(async (live, target) => {
    const s = new GdbSession(live, target);
    await say(s, `Z0,${at("upcall_entry")},1`, "c", `z0,${at("upcall_entry")},1`);
    assertStringIncludes((await s.answer(`P0=${le64(1n)}`)).text ?? "", "stepi once, then write");
    await say(s, "s", [`P0=${le64(1n)}`, "OK"]);
    await s.end();
  });
  const again = await replay(debugged.store, { createMachine });
  assertEquals([again.divergence, again.stateHash], [null, debugged.run.stateHash]);
});

Deno.test("a branch of a recording takes writes, is recorded with a label, and leaves the recording as it was", async () => {
  const o = open(plain.store), place = new MemoryStore();
  const s = new GdbSession(o.traveler, o.target, () => false, { branchPlace: () => place });
  await ask(s, "seek 30000000");
  const before = (await s.answer("g")).text, hash = o.traveler.session.stateHash();
  assertStringIncludes((await s.answer("M100000,1:00")).text ?? "", "monitor branch");
  assertMatch(await ask(s, "branch"), /^A branch at icount 30000000, recorded in /);
  assertEquals((await s.answer("g")).text, before);
  await say(s, ["M10ee70,8:2a00000000000000", "OK"], ["m10ee70,8", "2a00000000000000"]);
  assertStringIncludes((await s.answer("bs")).text ?? "", "goes forwards only");
  assertStringIncludes(await ask(s, "when"), "icount 30000000 (branch of demo at icount 30000000)");
  await say(s, "s", "s");
  assertEquals((await s.answer("c")).text, "T05replaylog:end;thread:1;");
  assertMatch(await ask(s, "branch end"), /^The branch ended at icount \d+, state [0-9a-f]{64}\./);
  assertEquals([(await s.answer("g")).text, o.traveler.session.stateHash()], [before, hash]);
  assertStringIncludes(await ask(s, "branch end"), "There is no branch here");
  const branch = Bundle.open(place);
  assertEquals(branch.manifest.label, "branch of demo at icount 30000000");
  const again = await replay(place, { createMachine });
  assertEquals([again.divergence, again.stateHash], [null, branch.manifest.closing?.stateHash]);
  assertGreater(again.inputs, o.bundle.table("inputs").rows);
});

Deno.test("a live machine and a branch outlive 10,000 seeded malformed packets", async () => {
  const words = [
    "g",
    "G00",
    `P0=${le64(5n)}`,
    "P10=0000000000000000",
    "M100000,4:00112233",
    "X10b000,2:ab",
    "Z0,100e10,1;X3,220027",
  ];
  words.push(
    "vCont;s:1",
    "s",
    "Hg1",
    "m10b000,20",
    "qRcmd,7768656e",
    "qRcmd,6272616e636820656e64",
    "Z2,10ee70,8",
    "z2,10ee70,8",
  );
  const seed = 33, random = seeded(seed);
  const noise = async (s: GdbSession) => {
    for (let n = 0; n < 5_000; n++) {
      let packet = words[random(words.length)];
      const cut = random(packet.length + 1);
      if (random(3) === 0) {
        packet = packet.slice(0, cut) + String.fromCharCode(random(256)) + packet.slice(cut + random(3));
      }
      if (/^(c|bc|vCont;[cC])/.test(packet)) continue;
      const { text } = await s.answer(packet);
      assert(text === null || text.length <= 0x4000, `seed ${seed}, packet ${n}`);
    }
    await s.end();
  };
  const debugged = await recordDebuggedDemo((live, target) => noise(new GdbSession(live, target)));
  const again = await replay(debugged.store, { createMachine });
  assertEquals([again.divergence, again.stateHash], [null, debugged.run.stateHash], `seed ${seed}`);
  const o = open(plain.store), place = new MemoryStore();
  const s = new GdbSession(o.traveler, o.target, () => false, { branchPlace: () => place });
  await ask(s, "branch");
  await noise(s);
  assertEquals((await replay(place, { createMachine })).divergence, null, `seed ${seed}`);
});

Deno.test({
  name:
    "gdb stops, writes and leaves a live machine, which runs on; a second client is turned away meanwhile",
  ignore: !hasProgram("gdb"),
  fn: async () => {
    let said = "", refused = false;
    const debugged = await recordDebuggedDemo(async (live, target) => {
      const server = new GdbServer(live, target, "127.0.0.1", 0), serving = server.serve();
      server.onClient = (what) => {
        if (what === "refused") refused = true;
      };
      const first = gdbAt(server.port, [
        "break *matrix_multiply",
        "continue",
        "monitor when",
        "stepi",
        "set var $r8 = 77",
        "print $r8",
        "set var *(long *)0x10b000 = 99",
        "print *(long *)0x10b000",
        "delete",
        `python import socket; s = socket.create_connection(("127.0.0.1", ${server.port})); print("second", s.recv(10)); s.close()`,
        "monitor seek 5",
        "detach",
      ]);
      said = await first;
      server.close();
      await serving;
    });
    assertMatch(said, /Breakpoint 1, 0x[0-9a-f]+ in matrix_multiply \(\)/);
    assertGreater(whens(said)[0], 0);
    assertStringIncludes(said, "$1 = 77\n$2 = 99\n");
    assertStringIncludes(said, "second b''");
    assertStringIncludes(said, "monitor seek is for recordings");
    assert(refused);
    assertEquals((await replay(debugged.store, { createMachine })).divergence, null);
  },
});

Deno.test("a live machine stops when the client interrupts, and runs on when clients break off in the middle", async () => {
  let interrupt = false, answer = "";
  const seen: string[] = [];
  const debugged = await recordDebuggedDemo(async (live, target) => {
    const s = new GdbSession(live, target, () => interrupt);
    const going = s.answer("c");
    await eventLoopTurn();
    interrupt = true;
    answer = (await going).text ?? "";
    interrupt = false;
    await s.end();
    const server = new GdbServer(live, target, "127.0.0.1", 0), serving = server.serve();
    let left = Promise.withResolvers<void>();
    server.onClient = (what) => {
      seen.push(what);
      if (what === "left") left.resolve();
    };
    for (const half of [true, false]) {
      left = Promise.withResolvers<void>();
      const c = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      await c.write(encodePacket("vCont;c"));
      if (half) await c.closeWrite();
      else c.close();
      await left.promise;
      if (half) c.close();
    }
    server.close();
    await serving;
  });
  assertEquals(answer, "T02thread:1;");
  assertEquals(seen, ["connected", "left", "connected", "left"]);
  assertEquals(debugged.run.stateHash, plain.run.stateHash);
});
