/**
 * `retrovisor verify`: every sealed byte of a recording is checked.
 *
 * @module
 */
import { byteSize, grouped } from "../analysis/text.ts";
import { ExitCode } from "./exit_code.ts";
import { print } from "./io.ts";
import { limitArgs, openBundle, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** The verb. */
export const verifyVerb: Verb = {
  name: "verify",
  summary: "Check every byte of a recording.",
  usage: "TRACE",
  options: [],
  notes: `
Exit code 0: every block has the checksum it was sealed with, and the images are those of the manifest. 4: the first block
that differs is named by table, batch and offset. A recording that was cut is checked up to its last whole batch.`,
  examples: [["verify demo-1.trace", "Says what was checked, or what is damaged."]],
  run: verify,
};

function verify(given: Given): Promise<number> {
  const path = tracePath(given, "verify");
  limitArgs(given, "verify", 1);
  const bundle = openBundle(path);
  try {
    const blocks = bundle.tables().flatMap((t) => t.blocks);
    const bytes = blocks.reduce((n, b) => n + b.bytes, 0);
    print(
      `${path} is whole: ${grouped(blocks.length)} blocks, ${byteSize(bytes)}, to icount ${
        grouped(bundle.icount)
      }` +
        `${bundle.recovered ? " (the recording was cut there)" : ""}.\n`,
    );
  } finally {
    bundle.close();
  }
  return Promise.resolve(ExitCode.OK);
}
