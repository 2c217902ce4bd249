import { assertEquals } from "@std/assert";
import { Guest, HC } from "./xen_fixture.ts";

const SELF = 0x7ff0;

/** XENMEM_* with a memory_reservation at 0x6000 whose extent list is at 0x7000. */
function reserve(g: Guest, cmd: number, gfns: number[], order = 0): number {
  const is64 = g.host.vcpus[0].is64;
  g.put(0x7000, ...gfns.flatMap((f) => is64 ? [f, 0] : [f]));
  const words = is64 ? [0x7000, 0, gfns.length, 0, order, 0, SELF, 0] : [0x7000, gfns.length, order, 0, SELF];
  return g.call(HC.memory, cmd, g.put(0x6000, ...words));
}
const stat = (g: Guest, cmd: number, domid = SELF) => g.call(HC.memory, cmd, g.put(0x6000, domid));

Deno.test("xen gives pages back and populates them, and counts", () => {
  for (const is64 of [true, false]) {
    const g = new Guest();
    g.host.vcpus[0].is64 = is64;
    const pages = g.host.config.memoryBytes / 4096 + 8;
    assertEquals([stat(g, 3), stat(g, 4), stat(g, 14)], [pages, pages + 248, 0xfefff]);
    assertEquals([stat(g, 3, 0), stat(g, 3, 5)], [-1, -3]);
    g.mem.write32(0x200000, 0x1234);
    assertEquals(reserve(g, 1, [0x200, 0x201, 0x202]), 3);
    assertEquals([stat(g, 3), g.mem.host(0x200000)], [pages - 3, -1]);
    // A frame that is empty already stops it.
    assertEquals(reserve(g, 1, [0x203, 0x200, 0x204]), 1);
    assertEquals(reserve(g, 6, [0x200, 0x5000]), 2);
    assertEquals([stat(g, 3), g.mem.read32(0x200000), g.mem.host(0x5000000) > 0], [pages - 2, 0, true]);
    assertEquals([reserve(g, 6, [0x200000]), reserve(g, 6, [0x300], 10)], [0, 0]);
    assertEquals(reserve(g, 1, [0x300], 3), 1);
    assertEquals(stat(g, 3), pages - 10);
  }
});

Deno.test("xen stops populating at the domain's limit", () => {
  const g = new Guest();
  let done = 0;
  for (let gfn = 0x8000; reserve(g, 6, [gfn]) === 1; gfn++) done++;
  assertEquals(done, 248);
});

Deno.test("xen places shared info, moves it, and keeps its contents while it is nowhere", () => {
  const g = new Guest();
  g.mem.write32(0x80000, 0xdead);
  assertEquals([g.place(0, 1, 0x80), g.place(0, 0, 0x80)], [-22, 0]);
  assertEquals(g.mem.read32(0x80000), 0);
  g.mem.write32(0x80f00, 0xcafe);
  assertEquals([g.place(0, 0, 0x90), g.mem.host(0x80000), g.mem.read32(0x90f00)], [0, -1, 0xcafe]);
  const remove = (gfn: number) => g.call(HC.memory, 15, g.put(0x6000, SELF, 0, gfn, 0));
  assertEquals([remove(0x90), remove(0x90), g.place(0, 0, 0x7000)], [0, -2, 0]);
  assertEquals(g.mem.read32(0x7000f00), 0xcafe);
  assertEquals(g.place(2, 0x7000, 0x7001), 0);
  assertEquals([g.mem.read32(0x7001f00), g.xen.shared.page.gfn], [0xcafe, 0x7001]);
  assertEquals([g.place(4, 0, 0x90), g.place(5, 0, 0x90), g.place(9, 0, 0x90)], [-38, -1, -22]);
  assertEquals(g.place(0, 0, 0x12345678), -22);
});

Deno.test("xen moves RAM frames, singly, as a range, and in a batch", () => {
  const g = new Guest();
  [0x200, 0x201, 0x202].forEach((f) => g.mem.write32(f * 4096, f));
  assertEquals(g.place(2, 0x200, 0x6000), 0);
  assertEquals([g.mem.read32(0x6000000), g.mem.host(0x200000)], [0x200, -1]);
  assertEquals(g.place(2, 0x200, 0x6000), -22);
  const range = g.call(HC.memory, 7, g.put(0x6000, SELF | 2 << 16, 3, 0x201, 0, 0x6001, 0));
  assertEquals([range, g.get(0x6001000, 1), g.get(0x6002000, 1)], [0, [0x201], [0x202]]);
  g.put(0x7000, 0x6001, 0, 0x999999, 0);
  g.put(0x7100, 0x300, 0, 0x301, 0);
  assertEquals(g.call(HC.memory, 23, g.put(0x6000, SELF | 2 << 16, 2, 0x7000, 0, 0x7100, 0, 0x7200, 0)), 0);
  assertEquals([g.get(0x7200, 2), g.get(0x300000, 1)], [[0, 0xffffffea], [0x201]]);
});

Deno.test("xen memory map is E820 entries, and the guest may set its own", () => {
  const g = new Guest();
  assertEquals(g.call(HC.memory, 9, g.put(0x6000, 8, 0, 0x7000, 0)), 0);
  assertEquals(g.get(0x6000, 1), [2]);
  assertEquals(g.get(0x7000, 10), [0, 0, 0x400000, 0, 1, 0xfeff8000, 0, 0x8000, 0, 2]);
  g.put(0x7000, 0x1000, 0, 0x2000, 0, 7);
  assertEquals(g.call(HC.memory, 13, g.put(0x6000, SELF, 0, 1, 0, 0x7000, 0)), 0);
  g.put(0x7000, 0, 0, 0, 0, 0);
  assertEquals(g.call(HC.memory, 9, g.put(0x6000, 1, 0, 0x7000, 0)), 0);
  assertEquals(g.get(0x7000, 5), [0x1000, 0, 0x2000, 0, 7]);
});

Deno.test("xen answers the other memory operations with Xen's errors", () => {
  const g = new Guest(), zeros = g.put(0x6000, ...new Array<number>(20).fill(0));
  const results = [5, 10, 12, 16, 17, 18, 19, 20, 21, 22, 24, 25, 26, 27, 28, 29].map((cmd) =>
    g.call(HC.memory, cmd, zeros)
  );
  assertEquals(results, [-38, -38, -38, -1, -1, 0, 0, -38, -1, -38, -1, -95, -1, 0, -1, -38]);
  g.put(0x6000, ...[0, 0, 1, 0, 0, 0, SELF, 0], ...[0, 0, 1, 0, 0, 0, SELF, 0], 0, 0);
  assertEquals(g.call(HC.memory, 11, 0x6000), -95);
  assertEquals(g.call(HC.memory, 2), 0x100000);
});

/** A v1 grant entry in frame 0, which must be mapped at gfn 0xa0. */
function grant(g: Guest, ref: number, flags: number, gfn: number, domid = 1): void {
  g.put(0xa0000 + ref * 8, flags | domid << 16, gfn);
}

Deno.test("xen grant table has the rings' entries, grows, and says where frames are", () => {
  for (const is64 of [true, false]) {
    const g = new Guest();
    g.host.vcpus[0].is64 = is64;
    assertEquals(g.place(1, 0, 0xa0), 0);
    assertEquals(g.get(0xa0000, 4), [1 | 8 | 16, 0xfefff, 1 | 8 | 16, 0xfeffc]);
    assertEquals(g.call(HC.grant, 6, g.put(0x6000, SELF, 9, 9, 9), 1), 0);
    assertEquals(g.get(0x6004, 3), [1, 64, 0]);
    assertEquals([g.place(1, 3, 0xa3), g.place(1, 64, 0xa4)], [0, -22]);
    const setup = (frames: number) =>
      g.call(HC.grant, 2, g.put(0x6000, SELF, frames, 0, ...(is64 ? [0, 0x7000, 0] : [0x7000])), 1);
    assertEquals([setup(1), g.mem.read16(0x6008), g.mem.read32(0x7000)], [0, 0, 0xa0]);
    // Frame 1 is not mapped: its number is invalid.
    assertEquals([setup(2), g.mem.read16(0x6008), g.mem.read32(0x7000 + (is64 ? 8 : 4))], [0, 0, 0xffffffff]);
    assertEquals([setup(65), g.mem.read16(0x6008)], [0, 0xffff]);
    assertEquals([g.call(HC.grant, 6, 0x6000, 2), g.call(HC.grant, 3, 0, 1), g.call(HC.grant, 9, 0, 1)], [
      -22,
      -38,
      -38,
    ]);
  }
});

Deno.test("xen grant versions translate the reserved entries", () => {
  const g = new Guest();
  g.place(1, 0, 0xa0);
  grant(g, 20, 1, 0x33);
  assertEquals([g.call(HC.grant, 8, g.put(0x6000, 3), 1), g.get(0x6000, 1)], [-22, [1]]);
  assertEquals([g.call(HC.grant, 8, g.put(0x6000, 2), 1), g.get(0x6000, 1)], [0, [2]]);
  assertEquals(g.get(0xa0000, 8), [1, 0, 0xfefff, 0, 1, 0, 0xfeffc, 0]);
  // Status frames: index with the top bit.
  assertEquals(g.place(1, 0x80000000, 0xa1), 0);
  assertEquals(g.get(0xa1000, 1), [0x180018]);
  assertEquals([g.call(HC.grant, 10, g.put(0x6000, SELF, 0), 1), g.get(0x6004, 1)], [0, [2]]);
  assertEquals(g.call(HC.grant, 8, g.put(0x6000, 1), 1), 0);
  assertEquals([g.get(0xa0000, 4), g.get(0xa0000 + 160, 2)], [[25, 0xfefff, 25, 0xfeffc], [0, 0]]);
});

Deno.test("xen copies by frame and by grant within bounds", () => {
  for (const is64 of [true, false]) {
    const g = new Guest();
    g.host.vcpus[0].is64 = is64;
    g.place(1, 0, 0xa0);
    grant(g, 9, 1, 0x200);
    grant(g, 10, 1 | 4, 0x201);
    grant(g, 11, 1, 0x202, 5);
    g.text(0x200010, "granted!");
    const side = (where: number, domid: number, offset: number) =>
      is64 ? [where, 0, domid | offset << 16, 0] : [where, domid | offset << 16];
    const copy = (source: number[], dest: number[], length: number, flags: number) => {
      g.put(0x6000, ...source, ...dest, length | flags << 16, 0x7777);
      const rc = g.call(HC.grant, 5, 0x6000, 1);
      return rc || g.mem.read16(0x6000 + (is64 ? 36 : 20)) << 16 >> 16;
    };
    assertEquals(copy(side(9, 1, 16), side(0x300, SELF, 4), 8, 1), 0);
    assertEquals(new TextDecoder().decode(g.mem.read(0x300004, 8)), "granted!");
    assertEquals(copy(side(0x300, SELF, 0), side(9, 1, 0), 8, 2), 0);
    // Read-only, another domain's, no such entry, no such domain, no such frame, over the end, by frame of another.
    const bad = [
      copy(side(0x300, SELF, 0), side(10, 1, 0), 8, 2),
      copy(side(11, 1, 0), side(0x300, SELF, 0), 8, 1),
      copy(side(5000, 1, 0), side(0x300, SELF, 0), 8, 1),
      copy(side(9, 7, 0), side(0x300, SELF, 0), 8, 1),
      copy(side(0x70000, SELF, 0), side(0x300, SELF, 0), 8, 0),
      copy(side(0x200, SELF, 4090), side(0x300, SELF, 0), 8, 0),
      copy(side(0x200, 0, 0), side(0x300, SELF, 0), 8, 0),
    ];
    assertEquals(bad, [-1, -1, -3, -2, -9, -10, -8]);
  }
});

Deno.test("xen map, unmap and swap give Xen's status codes", () => {
  const g = new Guest();
  g.place(1, 0, 0xa0);
  const map = (flags: number, ref: number, domid: number) => {
    assertEquals(g.call(HC.grant, 0, g.put(0x6000, 0x1000, 0, flags, ref, domid, 0, 0, 0), 1), 0);
    return g.mem.read16(0x6012) << 16 >> 16;
  };
  assertEquals([map(0, 0, 0), map(1, 0, 0), map(2, 5, 0), map(2, 600, 0), map(2, 0, SELF)], [
    -3,
    -1,
    -1,
    -3,
    -2,
  ]);
  assertEquals([g.call(HC.grant, 1, g.put(0x6000, 0, 0, 0, 0, 7, 0), 1), g.mem.read16(0x6014)], [0, 0xfffc]);
  grant(g, 20, 1, 0x33);
  const swap = (a: number, b: number) => {
    assertEquals(g.call(HC.grant, 11, g.put(0x6000, a, b, 0x7777), 1), 0);
    return g.mem.read16(0x6008) << 16 >> 16;
  };
  assertEquals([swap(20, 30), swap(20, 600), swap(0, 20)], [0, -3, -12]);
  assertEquals([g.get(0xa0000 + 160, 2), g.get(0xa0000 + 240, 2)], [[0, 0], [0x10001, 0x33]]);
});
