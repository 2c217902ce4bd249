import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { GdbServer } from "../replay/gdb/listener.ts";
import { encodePacket, hexText, PacketReader } from "../replay/gdb/packets.ts";
import { GdbSession } from "../replay/gdb/server.ts";
import { open, recordDemo } from "./debug_fixture.ts";
import { seeded } from "./trace_fixture.ts";

const demo = await recordDemo();

/** Packets that ask for much, or for nonsense, in the protocol's own words. */
const WORDS = [
  "?",
  "g",
  "G00",
  "p0",
  "p10",
  "pffff",
  "P0=00",
  "m100000,40",
  "m0,ffffffff",
  "mffffffffffffffff,8",
  "M0,1:00",
  "X100,1:a",
  "X0,0:",
  "Hg0",
  "Hg1",
  "Hg99",
  "Hc-1",
  "T1",
  "T2",
  "Z0,100e10,1",
  "Z1,7fffffffffffffff,1",
  "Z2,10ee70,8",
  "Z2,10ee70,0",
  "Z3,0,ffffffff",
  "Z4,10ee70,1",
  "Z9,1,1",
  "z0,100e10,1",
  "z2,10ee70,8",
  "Z0,100e10,1;X5,2200220022",
  "vCont?",
  "vCont;",
  "vCont;q",
  "vMustReplyEmpty",
  "qSupported:multiprocess+",
  "qXfer:features:read:target.xml:0,fff",
  "qXfer:features:read:target.xml:ffffffff,1",
  "qXfer:features:read:../x:0,1",
  "qXfer:memory-map:read::0,1",
  "qfThreadInfo",
  "qsThreadInfo",
  "qThreadExtraInfo,1",
  "qThreadExtraInfo,zz",
  "qC",
  "QStartNoAckMode",
  "s",
  "bs",
  "s5",
  "c100",
  "b",
  "bx",
  "Qqemu.PhyMemMode:1",
  "Qqemu.PhyMemMode:7",
  "qqemu.PhyMemMode",
  "!",
  "R00",
  "A",
  "i",
  "t",
  "",
  "vFile:open:2f,0,0",
  "vFile:open:2f7265636f726465642d6b65726e656c,0,0",
  "vFile:pread:3,ffffffff,0",
  "vFile:pread:3,10,ffffffffffff",
  "vFile:fstat:3",
  "vFile:close:3",
  "qXfer:exec-file:read:1:0,fff",
  "qSearch:memory:0;ffffffff;00",
  "qCRC:0,ffffffff",
  "vKillx",
  "qRcmd,",
  "qRcmd,zz",
  ...[
    "",
    "when",
    "help",
    "exits",
    "exits 99999999",
    "exits -1",
    "xp 0",
    "xp 0x100000 1025",
    "seek",
    "seek -5",
    "seek 12",
    "seek 0x10000",
    "next-exit",
    "prev-exit FOO",
    "next-exit HLT x y",
    "checkpoint",
    "\u0000\uffff",
    "x".repeat(3000),
  ].map((m) => `qRcmd,${hexText(m)}`),
];

/** A packet's contents with some of its characters changed, cut or doubled. */
function damage(random: (n: number) => number, text: string): string {
  let out = text;
  for (let n = random(3); n > 0; n--) {
    const at = random(out.length + 1), c = String.fromCharCode(random(256));
    const kind = random(3);
    if (kind === 0) out = out.slice(0, at) + c + out.slice(at + 1);
    else if (kind === 1) out = out.slice(0, at) + out.slice(at + random(8));
    else out = out.slice(0, at) + c.repeat(random(20)) + out.slice(at);
  }
  return out;
}

Deno.test("10,000 seeded malformed packets leave the debugger answering, and the recording as it was", async () => {
  const seed = 20, random = seeded(seed), o = open(demo.store);
  const session = new GdbSession(o.traveler, o.target);
  const hash = o.traveler.session.stateHash();
  for (let n = 0; n < 10_000; n++) {
    const packet = damage(random, WORDS[random(WORDS.length)]);
    // Long journeys are not what is tested here.
    if (/^(c|bc|vCont;[cC])/.test(packet)) continue;
    const answer = await session.answer(packet);
    assert(answer.text === null || answer.text.length <= 0x4000, `seed ${seed}, packet ${n}`);
    // What was sent can be read again.
    if (answer.text !== null && n % 16 === 0) {
      const read = new PacketReader().push(encodePacket(answer.text));
      assertEquals(read, [{ kind: "packet", text: answer.text }], `seed ${seed}, packet ${n}`);
    }
  }
  await session.answer(`qRcmd,${hexText("seek 0")}`);
  assertEquals(o.traveler.session.stateHash(), hash);
});

Deno.test("a packet reader finds the sound packets between damaged ones however they are cut", () => {
  const bytes = [
    ..."junk$g#67+$g#00-\x03$qC$?#3f$}\x03#",
  ].map((c) => c.charCodeAt(0));
  const sum = (0x7d + 3 & 0xff).toString(16).padStart(2, "0");
  bytes.push(sum.charCodeAt(0), sum.charCodeAt(1));
  const whole = new PacketReader().push(Uint8Array.from(bytes));
  assertEquals(whole, [
    { kind: "packet", text: "g" },
    { kind: "ack" },
    { kind: "bad" },
    { kind: "nack" },
    { kind: "interrupt" },
    { kind: "packet", text: "?" },
    { kind: "packet", text: "#" },
  ]);
  const reader = new PacketReader();
  assertEquals(bytes.flatMap((b) => reader.push(Uint8Array.of(b))), whole);
});

/** Sends bytes, closes the sending side if asked, and reads until the server closes or `until` is seen. */
async function talk(port: number, bytes: Uint8Array, half: boolean, until: string | null): Promise<string> {
  const c = await Deno.connect({ hostname: "127.0.0.1", port });
  let said = "";
  try {
    await c.write(bytes);
    if (half) await c.closeWrite();
    const buffer = new Uint8Array(4096);
    while (until === null || !said.includes(until)) {
      const n = await c.read(buffer);
      if (n === null) break;
      said += String.fromCharCode(...buffer.subarray(0, n));
    }
  } catch (e) {
    if (!(e instanceof Deno.errors.ConnectionReset || e instanceof Deno.errors.BrokenPipe)) throw e;
  } finally {
    c.close();
  }
  return said;
}

Deno.test("a server outlives noise, endless packets and half-closed connections, and turns a second client away", async () => {
  const o = open(demo.store), server = new GdbServer(o.traveler, o.target, "127.0.0.1", 0);
  const serving = server.serve(), seed = 21, random = seeded(seed);
  const seen: string[] = [];
  let left = Promise.withResolvers<void>();
  server.onClient = (what) => {
    seen.push(what);
    if (what === "left") left.resolve();
  };
  const client = async (bytes: Uint8Array, half: boolean, until: string | null): Promise<string> => {
    left = Promise.withResolvers<void>();
    const said = await talk(server.port, bytes, half, until);
    await left.promise;
    return said;
  };
  try {
    const question = encodePacket("?");
    for (let n = 0; n < 20; n++) {
      const noise = Uint8Array.from({ length: 1 + random(2000) }, () => random(256));
      await client(noise, true, null);
    }
    await client(new Uint8Array(200_000).fill(0x24), true, null);
    await client(Uint8Array.from({ length: 200_000 }, (_, i) => i === 0 ? 0x24 : 0x41), false, null);
    // Half-closed in the middle of a long run: the run is given up.
    await client(encodePacket("c"), true, null);
    await client(Uint8Array.from([...encodePacket("c"), 3]), false, "T0");
    assertStringIncludes(await client(question, false, "thread:1;"), "+$T05");

    left = Promise.withResolvers<void>();
    const first = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await first.write(question);
    await first.read(new Uint8Array(100));
    assertEquals(await talk(server.port, question, false, null), "");
    await first.write(question);
    assert((await first.read(new Uint8Array(100)) ?? 0) > 0);
    first.close();
    await left.promise;
    assert(seen.includes("refused"));
  } finally {
    server.close();
    await serving;
  }
});
