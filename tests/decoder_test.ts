/** The decoder against iced-x86; ten million strings: `deno task fidelity --decoder`. */
import { assertEquals, assertGreater } from "@std/assert";
import { DecodeComparison } from "./fidelity/decodediff.ts";
import { decodeReport, WIDTHS } from "./fidelity/decoder_main.ts";

const SEED = Number(Deno.env.get("SEED") ?? 4), STRINGS = 60_000;

for (const bits of WIDTHS) {
  Deno.test(`decoder agrees with iced-x86 on length, validity and operands in ${bits}-bit code`, () => {
    const r = new DecodeComparison(bits, SEED).run(STRINGS);
    console.log(`seed ${SEED}`, decodeReport(bits, r)[0]);
    assertEquals(r.unexplained.slice(0, 5).map((m) => `${m.text}: ${m.what}`), []);
    // What was skipped or explained away must stay the exception.
    assertGreater(r.agreed + r.undefinedInBoth, STRINGS * 0.9);
    assertGreater(r.agreed, STRINGS / 2);
  });
}
