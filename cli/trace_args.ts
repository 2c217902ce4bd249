/**
 * Finding and opening the recording that a verb was given.
 *
 * @module
 */
import { Bundle } from "../traces/bundle.ts";
import { UsageError } from "./exit_code.ts";
import type { Given } from "./verb.ts";

/** The TRACE argument. @throws UsageError when there is none, or it is no folder */
export function tracePath(given: Given, verb: string): string {
  const path = given.args[0];
  if (path === undefined || path === "") {
    throw new UsageError(
      `${verb} needs a recording: retrovisor ${verb} TRACE; \`retrovisor run\` makes one.`,
    );
  }
  let isFolder = false;
  try {
    isFolder = Deno.statSync(path).isDirectory;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UsageError(
      `Cannot open ${path}: there is no such folder; \`retrovisor run\` makes recordings.`,
    );
  }
  if (!isFolder) {
    throw new UsageError(`Cannot open ${path}: a recording is a folder NAME.trace, this is a file.`);
  }
  return path;
}

/** At most `most` positional arguments. @throws UsageError */
export function limitArgs(given: Given, verb: string, most: number): void {
  if (given.args.length > most) {
    throw new UsageError(
      `${verb} takes ${most} argument${most === 1 ? "" : "s"}, and "${given.args[most]}" is one more; see ` +
        `retrovisor ${verb} --help.`,
    );
  }
}

/** Opens a recording without reading all of it: blocks are checked as they are read. @throws TraceError */
export function openBundle(path: string): Bundle {
  return Bundle.open(path, { verify: false });
}
