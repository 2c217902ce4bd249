/**
 * What `run --inject` takes.
 *
 * @module
 */
import type { BitFlip } from "../core/faults.ts";
import { UsageError } from "./exit_code.ts";
import { countOption } from "./verb.ts";

/** Most faults of one run. */
const FAULTS_MAX = 1000;

/**
 * Parses `flip@ICOUNT:GPA:BIT[,...]`.
 * @param memory bytes of guest memory  @throws UsageError
 */
export function injectedFaults(text: string, memory: number): (BitFlip & { icount: number })[] {
  const items = text.split(",");
  if (items.length > FAULTS_MAX) throw new UsageError(`Option --inject takes at most ${FAULTS_MAX} faults.`);
  return items.map((item) => {
    const m = /^flip@([^:]+):([^:]+):([0-7])$/.exec(item.trim());
    if (m === null) {
      throw new UsageError(
        `Option --inject takes flip@ICOUNT:GPA:BIT, such as flip@1000000:0x12345:3 (bits 0 to 7), not "${item}".`,
      );
    }
    const icount = countOption("inject", m[1]), gpa = countOption("inject", m[2]), bit = Number(m[3]);
    if (gpa >= 2 ** 32) throw new UsageError(`There is no guest memory at ${m[2]}: it lies below 4 GiB.`);
    if (gpa >= memory && gpa < 0xc000_0000) {
      throw new UsageError(`There is no guest memory at ${m[2]}: the guest has ${memory / 2 ** 20} MiB.`);
    }
    return { icount, gpa, bit };
  });
}
