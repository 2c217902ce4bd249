import { assertEquals } from "@std/assert";
import { Guest, HC } from "./xen_fixture.ts";

const RING = 0xfefff000,
  IN_CONS = RING + 3072,
  IN_PROD = RING + 3076,
  OUT_CONS = RING + 3080,
  OUT_PROD = RING + 3084;

/** Writes to the ring as a front end does; returns what fitted. */
function print(g: Guest, text: string): void {
  let prod = g.mem.read32(OUT_PROD);
  for (const ch of text) g.mem.write8(RING + 1024 + (prod++ & 2047), ch.charCodeAt(0));
  g.mem.write32(OUT_PROD, prod >>> 0);
}
const kick = (g: Guest) => g.call(HC.evtchn, 4, g.put(0x6000, 2));

Deno.test("xen console ring is drained when the guest sends its event, and the guest is told", () => {
  const g = new Guest();
  g.place(0, 0, 0x80);
  print(g, "one\n");
  assertEquals(g.host.output, []);
  assertEquals(kick(g), 0);
  assertEquals([g.host.output, g.mem.read32(OUT_CONS)], [[["xen", "one\n"]], 4]);
  assertEquals(g.mem.read8(0x80800), 1 << 2);
});

Deno.test("xen console ring wraps, also around 2^32", () => {
  const g = new Guest();
  g.put(OUT_CONS, 0xfffffffe, 0xfffffffe);
  print(g, "x".repeat(2048));
  kick(g);
  assertEquals([g.host.output[0][1].length, g.mem.read32(OUT_CONS)], [2048, 2046]);
});

Deno.test("xen console skips a ring with an impossible fill level", () => {
  const g = new Guest();
  g.put(OUT_CONS, 0, 5000);
  kick(g);
  assertEquals([g.host.output, g.mem.read32(OUT_CONS)], [[], 5000]);
});

Deno.test("xen console input goes to the ring as there is room", () => {
  const g = new Guest();
  g.place(0, 0, 0x80);
  g.xen.receive(new TextEncoder().encode("abc".repeat(400)));
  assertEquals([g.mem.read32(IN_PROD), g.mem.read8(0x80800)], [1024, 1 << 2]);
  g.mem.write32(IN_CONS, 1000);
  kick(g);
  assertEquals(g.mem.read32(IN_PROD), 1200);
  // What nobody reads is bounded.
  for (let i = 0; i < 100; i++) g.xen.receive(new Uint8Array(4096));
  let total = 0;
  for (let i = 0; i < 200; i++) {
    g.mem.write32(IN_CONS, g.mem.read32(IN_PROD));
    kick(g);
    total = g.mem.read32(IN_PROD);
  }
  assertEquals(total <= 1200 + 1024 + 65536, true);
});
