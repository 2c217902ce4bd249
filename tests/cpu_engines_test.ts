import { assert, assertEquals } from "@std/assert";
import { compareResults } from "./fidelity/compare.ts";
import type { Group } from "./fidelity/forms.ts";
import { GuestExec } from "./fidelity/guestexec.ts";
import { report } from "./fidelity/hostdiff.ts";
import { makeLoop } from "./fidelity/loops.ts";

const SEED = 77, LOOPS = 250, GROUPS = new Set<Group>(["int", "x87", "mmx", "sse", "sse2", "sse3"]);

/** Engines that must not differ from the interpreter running freely: compile threshold and longest slice. */
const ENGINES = [
  { threshold: 0, slice: 1 },
  { threshold: 0, slice: 13 },
  { threshold: 1, slice: Infinity },
  { threshold: 1, slice: 29 },
  { threshold: 4, slice: 101 },
];

for (const { threshold, slice } of ENGINES) {
  const name = `${threshold ? `compiled after ${threshold} runs` : "interpreted"}, in slices of ${slice}`;
  Deno.test(`engines agree on state and instruction count: ${name}`, () => {
    const reference = new GuestExec(), engine = new GuestExec(undefined, threshold);
    engine.slice = slice;
    for (let index = 0; index < LOOPS; index++) {
      const made = makeLoop(SEED, index, GROUPS);
      const expected = reference.run(made.test), actual = engine.run(made.test);
      const differences = compareResults({ ...made, undefinedFlags: 0, mmx: false }, expected, actual, null);
      if (reference.instructions !== engine.instructions) {
        differences.push(`instructions: ${reference.instructions} interpreted, here ${engine.instructions}`);
      }
      assertEquals(differences, [], report(SEED, { index, made, differences }));
    }
    assert(threshold === 0 || engine.regions > LOOPS / 4, `only ${engine.regions} regions were compiled`);
  });
}
