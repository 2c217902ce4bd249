import { HOSTILE_SIZES, HYPERCALLS } from "./hostile_calls.ts";
import { assert, assertEquals } from "@std/assert";
import { Guest } from "./xen_fixture.ts";

/** Small deterministic generator (xorshift32). */
function generator(seed: number): (below: number) => number {
  let s = seed >>> 0 || 1;
  return (below) => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    s >>>= 0;
    return s % below;
  };
}

const WILD = [
  0x7fffffff,
  -1,
  -2,
  0x80000000,
  0xfefff,
  0xfeffc,
  2 ** 47,
  -(2 ** 47),
  2 ** 52,
  -4096,
  2 ** 32 - 8,
];

/** A guest that has its interfaces set up, so that hostile arguments get past the first checks. */
function victim(seed: number): { g: Guest; next: (below: number) => number } {
  const next = generator(seed),
    g = new Guest({ vcpus: 2, platform: next(2) ? "pc" : "none", memoryBytes: 2 << 20 });
  g.host.vcpus[0].is64 = next(2) === 0;
  if (next(2)) g.host.observe();
  g.xen.writeHypercallMsr(0x5000, 0, g.host.vcpus[0].is64);
  g.place(0, 0, 0x80);
  g.place(1, 0, 0xa0);
  return { g, next };
}

function pick(next: (below: number) => number): number {
  switch (next(6)) {
    case 0:
      return WILD[next(WILD.length)];
    case 1:
      return next(0x100000000);
    case 2:
      return 0x6000 + next(0x200) * 8;
    default:
      return HOSTILE_SIZES[next(HOSTILE_SIZES.length)];
  }
}

/** Fills the argument area, and sometimes Xen's shared pages, with half-plausible values. */
function scribble(g: Guest, next: (below: number) => number): void {
  for (let i = 0; i < 64; i++) g.mem.write32(0x6000 + i * 4, pick(next) >>> 0);
  const targets = [0x80000, 0xa0000, 0xfefff000 + 3072, 0xfeffc000 + 2048, 0x90000];
  const at = targets[next(targets.length)] + next(64) * 4;
  g.mem.write32(at, pick(next) >>> 0);
}

Deno.test("xen survives hostile hypercalls", () => {
  const seed = Number(Deno.env.get("XEN_FUZZ_SEED") ?? 20260101),
    rounds = Number(Deno.env.get("XEN_FUZZ_ROUNDS") ?? 20);
  console.log(`seed ${seed}`);
  for (let round = 0; round < rounds; round++) {
    const { g, next } = victim(seed + round);
    for (let i = 0; i < 400; i++) {
      scribble(g, next);
      const nr = next(20) === 0 ? next(0x100) : HYPERCALLS[next(HYPERCALLS.length)];
      const sub = next(4) === 0 ? pick(next) : next(30);
      const args = [sub, ...Array.from({ length: 5 }, () => next(3) ? 0x6000 + next(32) * 8 : pick(next))];
      if (nr === 13) args.splice(0, 2, 0x6000, next(100) ? next(8) : pick(next));
      const v = g.host.vcpus[next(8) === 0 ? 1 : 0];
      const where = `seed ${seed} round ${round} call ${i}: ${nr}(${args.join(", ")})`;
      let result = 0;
      try {
        result = g.callOn(v.id, nr, ...args);
      } catch (e) {
        throw new Error(where, { cause: e });
      }
      assert(Number.isInteger(result), where);
      g.host.log.length = 0;
      g.host.hypercalls.length = 0;
      g.host.output.length = 0;
      if (next(4) === 0) g.advance(next(10_000_000));
      if (next(8) === 0) g.xen.unblocked(v.id);
    }
    // The state is still one that can be saved and restored.
    const saved = JSON.stringify(g.xen.save());
    g.xen.load(JSON.parse(saved));
    assertEquals(JSON.stringify(g.xen.save()), saved);
  }
});

Deno.test("xen bounds the work of one hypercall", () => {
  const g = new Guest({ memoryBytes: 8 << 20 });
  g.host.observe();
  const started = performance.now();
  // A multicall whose entries are each as expensive as can be.
  for (let i = 0; i < 1000; i++) g.put(0x10000 + i * 64, 18, 0, 0, 0, 0, 0, 8 << 20, 0, 0, 0, 0, 0);
  g.call(13, 0x10000, 1000);
  g.call(12, 1, g.put(0x6000, 0x100000, 0, 0x3ffffff, 0, 9, 0, 0x7ff0, 0));
  g.call(20, 5, 0x10000, 0x7fffffff);
  g.call(13, 0x100000, 65536);
  const copied = g.host.output.reduce((sum, [, text]) => sum + text.length, 0);
  assert(copied <= 16 << 20, `${copied} bytes printed`);
  assert(performance.now() - started < 20_000);
});

Deno.test("xen state restored into a fresh machine is the same state", () => {
  const { g } = victim(7);
  g.host.vcpus[0].is64 = true;
  g.call(34, 0, g.put(0x6000, 0x7ff0, 0, 0xa0, 2 << 24));
  g.call(32, 1, g.put(0x6000, 0, 0, 0));
  g.call(24, 8, 0, g.put(0x6000, 90_000, 0, 0, 0));
  g.call(12, 1, g.put(0x6000, 0x7000, 0, 1, 0, 0, 0, 0x7ff0, 0, g.put(0x7000, 0x100, 0)));
  g.xen.receive(new TextEncoder().encode("x".repeat(3000)));
  g.place(0, 0, 0x88);
  const copy = new Guest({ vcpus: 2, platform: g.host.config.platform, memoryBytes: 2 << 20 });
  for (let p = 0; p < 1 << 20; p++) {
    const there = g.mem.hostPage[p] !== 0;
    if (there && copy.mem.hostPage[p] === 0) copy.mem.map(p * 4096, 4096);
    if (!there && copy.mem.hostPage[p] !== 0) copy.mem.unmap(p * 4096);
    if (there) copy.mem.write(p * 4096, g.mem.read(p * 4096, 4096));
  }
  copy.xen.load(JSON.parse(JSON.stringify(g.xen.save())));
  copy.host.clock.load(JSON.parse(JSON.stringify(g.host.clock.save())));
  assertEquals(copy.xen.save(), g.xen.save());
  // And goes on alike: the timer fires at its time, as the same port.
  for (const guest of [g, copy]) guest.advance(100_000);
  assertEquals(copy.xen.pendingVector(0), 0xa0);
  assertEquals([copy.xen.raised(0), copy.mem.read(0x88000, 4096)], [
    g.xen.raised(0),
    g.mem.read(0x88000, 4096),
  ]);
});
