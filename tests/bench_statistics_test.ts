import { assert, assertEquals, assertThrows } from "@std/assert";
import { type PeerRun, Stopwatch } from "../bench/peer.ts";
import { timeShares } from "../bench/profile.ts";
import { geometricMean, median, medianSpeeds, recordingCost, speedsOf } from "../bench/statistics.ts";

/** A run whose repetitions of a million instructions took so many milliseconds. */
const run = (hostMs: number, ...ms: number[]): PeerRun => ({
  startMs: 5,
  hostMs,
  repetitions: ms.map((t) => ({ checksum: "0", ms: t, cpuMs: t / 2, instructions: 1e6 })),
});
const million = [1e6, 1e6, 1e6, 1e6];

Deno.test("median is the middle value, or the mean of the two", () => {
  assertEquals([median([3, 1, 2]), median([4, 1, 3, 2]), median([7])], [2, 2.5, 7]);
});

Deno.test("geometric mean weighs twice as fast and half as fast alike", () => {
  assert(Math.abs(geometricMean([2, 0.5]) - 1) < 1e-12);
  assert(Math.abs(geometricMean([2, 4, 8]) - 4) < 1e-12);
  assert(isNaN(geometricMean([])));
});

Deno.test("stopwatch takes repetitions in order, with their processor time", () => {
  let cpu = 10;
  const watch = new Stopwatch(() => cpu += 5);
  const say = (line: string, icount: number) => {
    for (const c of line + "\n") watch.put(c.charCodeAt(0), icount);
  };
  say("B", 100);
  say("R 00000000 0000abcd", 350);
  assertThrows(() => say("R 00000002 0000abcd", 600), Error, "repetition 2 was reported where 1 was due");
  const [first] = watch.run.repetitions;
  assertEquals([first.checksum, first.instructions, first.cpuMs], ["0000abcd", 250, 5]);
  assert(!watch.done);
});

Deno.test("speeds are those of the first repetition, of the second half, and of all", () => {
  assertEquals(speedsOf(run(0, 40, 20, 10, 10), million), { first: 25, warm: 100, whole: 50 });
  assertEquals(speedsOf(run(0, 40, 20, 10, 10), million, "cpu"), { first: 50, warm: 200, whole: 100 });
  const all = [{ first: 1, warm: 2, whole: 3 }, { first: 3, warm: 6, whole: 9 }, {
    first: 2,
    warm: 4,
    whole: 6,
  }];
  assertEquals(medianSpeeds(all), { first: 2, warm: 4, whole: 6 });
});

Deno.test("recording cost is its part of the recorded run's time", () => {
  const cost = recordingCost(
    [run(90, 10, 10, 10, 10), run(95, 10, 10, 10, 10), run(800, 90, 90, 90, 90)],
    [run(100, 10, 10, 12.5, 12.5), run(100, 10, 10, 12.5, 12.5), run(99, 10, 10, 12, 12)],
    million,
  );
  assert(Math.abs(cost.warm - 0.2) < 1e-9);
  assert(Math.abs(cost.run - 0.05) < 1e-9);
});

Deno.test("a profile's time goes to the innermost frame that has an area, idleness aside", () => {
  const frame = (id: number, url: string, children: number[] = [], functionName = "f") => ({
    id,
    callFrame: { functionName, url },
    children,
  });
  const { ms, shares } = timeShares({
    nodes: [
      frame(1, "", [2, 3, 7, 8], "(root)"),
      frame(2, "", [], "(idle)"),
      frame(3, "file:///x/core/cpu/cpu.ts", [4, 5, 6]),
      frame(4, "wasm://wasm/interpreter-1234"),
      frame(5, "file:///x/core/cpu/jit/jit.ts", [9]),
      frame(6, "file:///x/core/mmu/walk.ts"),
      frame(7, "file:///x/traces/file.ts", [10]),
      frame(8, "", [], "(garbage collector)"),
      frame(9, "file:///x/core/cpu/semantics/move.ts"),
      frame(10, "ext:fs", [], "op_write"),
    ],
    samples: [2, 3, 4, 9, 6, 10, 8, 1],
    timeDeltas: [5000, 1000, 2000, 1000, 1000, 2000, 1000, 2000],
  });
  assertEquals(ms, 10);
  assertEquals([shares.interpreter, shares.compiling, shares["page walks"]], [0.2, 0.1, 0.1]);
  assertEquals([shares["processor in TypeScript"], shares.recording], [0.1, 0.2]);
  assertEquals([shares["garbage collection"], shares.other, shares["compiled code"]], [0.1, 0.2, 0]);
});
