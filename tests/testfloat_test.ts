/** The comparison with TestFloat's vectors, on a few vectors by hand; the vectors themselves are a campaign's. */
import { assertEquals } from "@std/assert";
import { FloatGuest } from "./fidelity/testfloat/guest.ts";
import { FUNCTIONS } from "./fidelity/testfloat/functions.ts";
import { testFunction } from "./fidelity/testfloat/main.ts";
import { hasProgram } from "./programs.ts";

/** Lines as `testfloat_gen` prints them: right to nearest, where marked wrong in the last bit or in a flag. */
const LINES: Record<string, string[]> = {
  f32_add: [
    "3F800000 3F800000 40000000 00",
    "3F800000 33000000 3F800000 01",
    "3F800000 3F800000 40000001 00",
  ],
  f64_div: [
    "3FF0000000000000 0000000000000000 7FF0000000000000 08",
    "3FF0000000000000 4000000000000000 3FE0000000000000 01",
  ],
  extF80_mul: ["3FFF8000000000000000 40008000000000000000 40008000000000000000 00"],
};
/** Differences of each function by engine and rounding: 2 engines, 4 roundings (3 precisions of the x87). */
const WRONG: Record<string, number> = { f32_add: 1 * 8, f64_div: 1 * 8, extF80_mul: 0 };

Deno.test({
  name: "testfloat comparison finds the wrong bit and the wrong flag when vectors have one, and nothing else",
  ignore: !hasProgram("nasm"),
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "retrovisor-" });
    try {
      const guests = [new FloatGuest(0), new FloatGuest(2)];
      for (const [name, lines] of Object.entries(LINES)) {
        await Deno.writeTextFile(`${folder}/testfloat_gen`, `#!/bin/sh\ncat <<E\n${lines.join("\n")}\nE\n`);
        await Deno.chmod(`${folder}/testfloat_gen`, 0o755);
        const fn = FUNCTIONS.find((f) => f.name === name)!;
        const o = { folder, level: 1, seed: 1, only: "", show: 0 };
        const nearest = await testFunction(fn, o, guests);
        const differences = nearest.differences.filter((d) => !d.includes("33000000 3F800000"));
        assertEquals(differences.length, WRONG[name], differences.join("\n"));
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
