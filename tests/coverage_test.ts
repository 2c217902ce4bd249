import { assert, assertEquals } from "@std/assert";
import { formsToRun, runCoverage } from "./fidelity/coverage.ts";
import { COVERED_ELSEWHERE, notRun } from "./fidelity/coverage_report.ts";
import { GuestExec } from "./fidelity/guestexec.ts";
import { hostAvailable, HostExec } from "./fidelity/protocol.ts";

const SEED = Number(Deno.env.get("RETROVISOR_TEST_SEED") ?? "20261127"), STATES = 2;

Deno.test({
  name: "every form that user mode can run agrees with the host processor in 64-bit and 32-bit code",
  ignore: !hostAvailable(),
  async fn() {
    const host = new HostExec();
    try {
      const c = await runCoverage(new GuestExec(), host, { seed: SEED, states: STATES });
      assertEquals(c.reports, [], `seed ${SEED}`);
      assertEquals(c.forms.length, formsToRun(64).length + formsToRun(32).length);
      const short = c.forms.filter((f) => f.states < STATES).map((f) =>
        `${f.form.name} of ${f.mode}-bit code`
      );
      assertEquals(short, [], "forms of which no state could be made");
      assert(c.forms.some((f) => f.faulted > 0) && c.forms.some((f) => f.faulted === 0));
    } finally {
      await host.close();
    }
  },
});

Deno.test("every operation of the decoder that user mode cannot run names the tests that cover it", () => {
  for (const [name, bytes] of notRun()) {
    const other = COVERED_ELSEWHERE[name];
    assert(other, `${name} (${bytes}) is neither compared with the host nor covered elsewhere`);
    const text = other.tests.split(", ").map((file) => Deno.readTextFileSync(new URL(file, import.meta.url)))
      .join();
    assert(text.toLowerCase().includes(name.replace(/_.*/, "")), `${other.tests} do not mention ${name}`);
  }
});
