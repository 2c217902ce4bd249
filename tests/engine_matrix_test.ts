/**
 * Guests of our own on every engine: whether, when and how code is compiled, recorded, sliced, checkpointed or replayed
 * must not show. Real guests: `tests/guests/engine_matrix_test.ts`.
 */
import { assertEquals } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import { matrixLine, type MatrixResult, runMatrix } from "./fidelity/matrix.ts";
import { assembledGuests, demoGuests } from "./fidelity/matrix_guests.ts";
import { hasProgram } from "./programs.ts";

const results: MatrixResult[] = [];

for (const guest of demoGuests()) {
  Deno.test(`${guest.name}: one state however the guest is run`, async () => {
    const r = await runMatrix(guest);
    assertEquals(r.cells.filter((c) => c.difference !== null), []);
    assertEquals(r.essence.outcome.split(" ")[0], "poweroff");
    results.push(r);
  });
}

Deno.test({
  name: "guests of our own: one state however each is run, with 1, 2 and 4 vCPUs",
  ignore: !hasProgram("nasm"),
  async fn(t) {
    for (const guest of await assembledGuests()) {
      await t.step(guest.name, async () => {
        const r = await runMatrix(guest);
        assertEquals(r.cells.filter((c) => c.difference !== null), []);
        // The guest of many processors ends with the number of those that it has started.
        assertEquals(r.essence.outcome, `exit ${guest.config.vcpus - 1}`);
        results.push(r);
      });
    }
  },
});

Deno.test("a guest run in small slices compiled at once retires what one interpreted run retires", () => {
  const config = { ...DEFAULT_CONFIG, name: "demo" };
  const images = [{ role: "kernel", name: "demo", bytes: demoImage() }];
  const whole = createMachine(config, images, new NoInputs(), { jitThreshold: 0 });
  whole.runUntil(400_000);
  for (const step of [1_000, 7_919]) {
    const sliced = createMachine(config, images, new NoInputs(), { jitThreshold: 1 });
    while (sliced.icount < 400_000) sliced.runUntil(Math.min(400_000, sliced.icount + step));
    assertEquals(sliced.where(), whole.where());
    assertEquals(new TextDecoder().decode(sliced.saveState()), new TextDecoder().decode(whole.saveState()));
  }
  console.log(matrixLine(results));
});
