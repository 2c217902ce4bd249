import { assert, assertEquals } from "@std/assert";
import type { PeerRun } from "../bench/peer.ts";
import { median, medianSpeeds, recordingCost, speedsOf } from "../bench/statistics.ts";

/** A run whose repetitions of a million instructions took so many milliseconds. */
const run = (hostMs: number, ...ms: number[]): PeerRun => ({
  startMs: 5,
  hostMs,
  repetitions: ms.map((t) => ({ checksum: "0", ms: t, instructions: 1e6 })),
});
const million = [1e6, 1e6, 1e6, 1e6];

Deno.test("median is the middle value, or the mean of the two", () => {
  assertEquals([median([3, 1, 2]), median([4, 1, 3, 2]), median([7])], [2, 2.5, 7]);
});

Deno.test("speeds are those of the first repetition, of the second half, and of all", () => {
  assertEquals(speedsOf(run(0, 40, 20, 10, 10), million), { first: 25, warm: 100, whole: 50 });
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
