/**
 * Real guests on every engine, as `tests/engine_matrix_test.ts` does with our own; with RETROVISOR_FULL=1 complete boots.
 */
import { assertEquals } from "@std/assert";
import { matrixLine, type MatrixResult, runMatrix } from "../fidelity/matrix.ts";
import { eachFullBoot, realGuests } from "../fidelity/matrix_guests.ts";
import { BOOTS, FULL, isFetched, testIf } from "./linux.ts";

const guests = realGuests(), results: MatrixResult[] = [];

Deno.test({
  name: "real guests: one state however each is run, with 1, 2 and 4 vCPUs",
  ignore: guests === null,
  async fn(t) {
    for (const guest of guests!) {
      await t.step(guest.name, async () => {
        const r = await runMatrix(guest);
        assertEquals(r.cells.filter((c) => c.difference !== null), []);
        assertEquals(r.essence.outcome, "instruction-limit");
        results.push(r);
      });
    }
    console.log(matrixLine(results));
  },
});

testIf(FULL, {
  name: "complete boots: one state however each is run",
  ignore: !BOOTS.every(isFetched),
  async fn(t) {
    const full: MatrixResult[] = [];
    await eachFullBoot(async (guest) => {
      await t.step(guest.name, async () => {
        const r = await runMatrix(guest);
        assertEquals(r.cells.filter((c) => c.difference !== null), []);
        assertEquals(r.essence.outcome.split(" ")[0], "poweroff");
        full.push(r);
      });
    });
    console.log(matrixLine(full));
  },
});
