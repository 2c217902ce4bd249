/**
 * Where a recording goes.
 *
 * @module
 */
import { UsageError } from "./exit_code.ts";

/** Numbers tried for a default name. */
const NUMBERS_MAX = 100_000;

/**
 * The folder of a new recording. Without `output`: ./NAME-N.trace with the first free N. An `output` that does not
 * exist or is empty is the recording itself; in one with other content NAME-N.trace is made. An existing recording is never
 * written over.
 * @throws UsageError
 */
export function chooseFolder(guest: string, output: string | undefined): string {
  if (output === undefined) return freeName(".", guest);
  const path = output.length > 1 ? output.replace(/\/+$/, "") : output;
  const names = listFolder(path);
  if (names === null || names.length === 0) return path;
  if (names.includes("manifest.json") || path.endsWith(".trace")) {
    throw new UsageError(
      `Cannot record to ${path}: it already holds a recording; name another folder or remove it.`,
    );
  }
  return freeName(path, guest);
}

function listFolder(path: string): string[] | null {
  try {
    return [...Deno.readDirSync(path)].map((e) => e.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new UsageError(`Cannot record to ${path}: it is a file, and a recording is a folder.`);
    }
    throw error;
  }
}

function freeName(folder: string, guest: string): string {
  const name =
    guest.toLowerCase().replace(/[^a-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 60) || "guest";
  const prefix = folder === "." ? "" : folder === "/" ? "/" : `${folder}/`;
  for (let n = 1; n <= NUMBERS_MAX; n++) {
    const path = `${prefix}${name}-${n}.trace`;
    if (listFolder(path) === null) return path;
  }
  throw new UsageError(
    `Cannot name a recording in ${folder}: ${name}-1 to ${name}-${NUMBERS_MAX} are all taken.`,
  );
}
