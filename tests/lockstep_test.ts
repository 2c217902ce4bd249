import { assertEquals, assertGreater } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { demoImage } from "../guests/demo/image.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { type Lockstep, lockstep } from "./fidelity/lockstep.ts";

/** The demo guest; the second engine's memory has a bit flipped on its way. */
function demo(flips: { icount: number; gpa: number; bit: number }[]): Lockstep {
  return {
    config: { ...DEFAULT_CONFIG, name: "demo", memoryBytes: 32 << 20 },
    images: [{ role: "kernel", name: "demo", bytes: demoImage() }],
    inputs: (engine) =>
      new LiveInputs({
        epochSeconds: () => 1e9,
        entropy: (n) => new Uint8Array(n),
        unattended: true,
        flips: engine === 1 ? flips : [],
      }),
    thresholds: [0, 20],
    slice: 4096,
    most: 300_000,
  };
}

Deno.test("interpreter and compiler agree on the demo guest, compared every 4096 instructions", () => {
  assertEquals(lockstep(demo([])), { parting: null, icount: 300_000 });
});

Deno.test("lock step names the very instruction behind which two engines differ", () => {
  const { parting } = lockstep(demo([{ icount: 100_001, gpa: 0x10_eef0, bit: 3 }]));
  // The flip is taken behind the instruction that brings the count there.
  assertEquals([parting?.icount, parting?.memory], [100_000, [0x10_eef0]]);
  assertGreater(parting!.instruction.length, 8);
});
