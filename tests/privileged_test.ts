/**
 * Privileged behaviour: guests of our own on every engine of ours and on QEMU, case by case. Every difference from QEMU
 * has a reason from the manual, and every reason a difference.
 */
import { assert, assertEquals } from "@std/assert";
import { compareGuest, guestNames } from "./fidelity/side_by_side.ts";
import { EXPLAINED } from "./fidelity/side_by_side_explained.ts";
import { hasProgram } from "./programs.ts";

const ignore = !hasProgram("nasm") || !hasProgram("qemu-system-x86_64") || !hasProgram("timeout");

for (const guest of guestNames()) {
  Deno.test({
    name: `${guest} guest behaves as on QEMU, or as the manual says`,
    ignore,
    async fn() {
      const r = await compareGuest(guest);
      assertEquals(r.engines, [], "engines disagree");
      assert(r.cases > 10, `only ${r.cases} cases`);
      assertEquals(r.differences.filter((d) => d.reason === null), []);
      for (const e of EXPLAINED.filter((e) => e.guest === guest)) {
        assert(r.differences.some((d) => e.cases.test(d.name)), `${e.cases} explains nothing: ${e.why}`);
      }
    },
  });
}
