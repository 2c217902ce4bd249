import { assert } from "@std/assert";
import { compareResults } from "./fidelity/compare.ts";
import { GuestExec } from "./fidelity/guestexec.ts";
import { report } from "./fidelity/hostdiff.ts";
import { hostAvailable, HostExec } from "./fidelity/protocol.ts";
import { Random } from "./fidelity/random.ts";
import { sseCase, sseForms } from "./sse_states.ts";

const SEED = 20_260_702, STATES = Number(Deno.env.get("SSE_STATES") ?? 300);

Deno.test({
  name: "SSE floating point agrees with the host processor in every form, rounding mode and exception",
  ignore: !hostAvailable(),
  async fn() {
    const host = new HostExec(), engine = new GuestExec();
    const wrong: string[] = [];
    try {
      let stream = 0;
      const only = Deno.env.get("SSE_FORMS")?.split(",");
      for (const form of sseForms()) {
        if (only && !only.includes(form.name)) continue;
        const r = new Random(SEED, stream++);
        let bad = 0;
        for (let done = 0; done < STATES; done += 1000) {
          const made = Array.from({ length: Math.min(1000, STATES - done) }, () => sseCase(form, r));
          const expected = await host.run(made.map((m) => m.test));
          made.forEach((m, i) => {
            const differences = compareResults(m, expected[i], engine.run(m.test), host.vendor);
            if (differences.length && bad++ === 0) {
              wrong.push(report(SEED, { index: done + i, made: m, differences }));
            }
          });
        }
        if (bad) wrong.push(`${form.name}: ${bad} of ${STATES} states`);
      }
    } finally {
      await host.close();
    }
    assert(wrong.length === 0, wrong.slice(0, 40).join("\n"));
  },
});
