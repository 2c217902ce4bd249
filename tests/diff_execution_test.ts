import { assert, assertEquals, assertGreater } from "@std/assert";
import type { BitFlip } from "../core/faults.ts";
import { compareExecutions } from "../replay/diff/executions.ts";
import { Scanner } from "../replay/scan/scan.ts";
import { Bundle } from "../traces/bundle.ts";
import { FAR, FIRST, MOST, recorded, SEEDS, stepSideBySide } from "./diff_fixture.ts";
import { Random } from "./fidelity/random.ts";

const plain = await recorded({});

/** A bit that the guest is about to use: of data it reads, or of code it executes. */
function usedBit(random: Random, icount: number): BitFlip {
  const s = new Scanner(Bundle.open(plain)), window = { from: icount, to: icount + 3000 };
  const bit = random.below(8), segment = { ...window, start: 0, end: -1 };
  const reads = s.scan({ table: "memory_reads", range: null, ...window }, segment, () => {});
  if (random.below(3) === 0 || reads.rows === 0) {
    const t = s.scan({ table: "instructions", range: null, ...window }, segment, () => {});
    if (t.rows === 0) return { gpa: 0x10_0000 + random.below(0x2000), bit }; // inside one long instruction
    const rips = t.columns.find((c) => c.name === "rip")!.data;
    return { gpa: rips[random.below(t.rows) * 2], bit };
  }
  const column = (name: string) => reads.columns.find((c) => c.name === name)!.data;
  const row = random.below(reads.rows);
  return { gpa: column("gpa")[row * 2] + random.below(column("size")[row]), bit };
}

Deno.test(`diff names the first instruction that a flipped bit makes different, ${SEEDS} seeds of ${SEEDS}`, async () => {
  let effects = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const random = new Random(seed), icount = 20_000 + random.below(MOST - 100_000);
    const flip = { icount, ...usedBit(random, icount) }, other = await recorded({ flips: [flip] });
    const d = await compareExecutions(Bundle.open(plain), Bundle.open(other));
    const what = `seed ${seed}: bit ${flip.bit} of 0x${flip.gpa.toString(16)} at ${icount}`;
    const found = d.finding?.effect?.icount ?? null;
    console.log(`${what}: met at ${d.finding?.met}, different at ${found}`);
    assertEquals([d.unlike, d.input?.icount, d.finding?.start], [[], icount, icount], what);
    assertEquals([...d.finding!.cause], [[flip.gpa, 1 << flip.bit]], what);
    if (found === null || found - icount > FAR) {
      // Too far to step all the way: the first stretch, and the last one.
      assertEquals(stepSideBySide(plain, other, icount, 1000), null, what);
      if (found !== null) {
        const cause = d.finding!.cause, from = found - 1000;
        assertEquals(stepSideBySide(plain, other, from, 1001, cause), found, what);
      }
    } else assertEquals(stepSideBySide(plain, other, icount, found - icount + 1), found, what);
    if (found !== null) {
      effects++;
      assert(d.finding!.met! <= found, what);
      assertGreater(d.finding!.effect!.registers.length + d.finding!.effect!.memory.length, 0, what);
      assertGreater(d.around!.a.rows, 1, what);
    }
  }
  assertGreater(effects, SEEDS / 2 - 1);
});

Deno.test("diff finds nothing between two recordings of one execution, and says so of different machines", async () => {
  const same = await compareExecutions(Bundle.open(plain), Bundle.open(await recorded({})));
  assertEquals([same.unlike, same.input, same.exit, same.other, same.finding], [[], null, null, null, null]);
});
