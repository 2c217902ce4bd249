/**
 * Inputs of a recording as the machine's `Input` type has them.
 *
 * @module
 */
import type { Input, InputKind } from "../core/inputs.ts";
import type { Bundle } from "./bundle.ts";

/** All inputs in order, one batch in memory at a time. @throws TraceError */
export function* readInputs(bundle: Bundle): Generator<Input> {
  for (const b of bundle.table("inputs").batches()) {
    for (let row = 0; row < b.rows; row++) {
      yield {
        seq: b.number("seq", row),
        icount: b.number("icount", row),
        timeNs: b.number("time_ns", row),
        vcpu: b.number("vcpu", row),
        kind: b.text("kind", row) as InputKind,
        target: b.text("target", row) ?? "",
        payload: b.bytes("payload", row),
      };
    }
  }
}
