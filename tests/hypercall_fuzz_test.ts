/** Hostile hypercalls from guest code; more of them: `deno task fidelity --hypercalls --seconds N`. */
import { assertEquals, assertGreater } from "@std/assert";
import { runHostile } from "./fidelity/hypercalls.ts";

const FIRST = Number(Deno.env.get("SEED") ?? 1), GUESTS = 8;

Deno.test("guests that make hostile hypercalls end in one state in every engine and in replay", async () => {
  let hypercalls = 0;
  for (let seed = FIRST; seed < FIRST + GUESTS; seed++) {
    const run = await runHostile(seed);
    console.log(`seed ${seed}: ${run.hypercalls} hypercalls, ${run.outcome}`);
    assertEquals(run.wrong, null, `seed ${seed}`);
    hypercalls += run.hypercalls;
  }
  assertGreater(hypercalls, 50 * GUESTS);
});
