/**
 * Finding and opening the recording that a verb was given.
 *
 * @module
 */
import { readSymbolFile, type SymbolFile } from "../core/boot/symbol_file.ts";
import { Bundle } from "../traces/bundle.ts";
import { MANIFEST_FILE } from "../traces/manifest.ts";
import { UsageError } from "./exit_code.ts";
import type { Given, Option } from "./verb.ts";

/**
 * The TRACE argument: a recording's folder, or a folder with exactly one recording in it.
 * @throws UsageError when there is none, or it is no recording
 */
export function tracePath(given: Given, verb: string): string {
  const path = given.args[0];
  if (path === undefined || path === "") {
    throw new UsageError(
      `${verb} needs a recording: retrovisor ${verb} TRACE; \`retrovisor run\` makes one.`,
    );
  }
  const names = folderNames(path);
  if (
    names.includes(MANIFEST_FILE) || names.includes("seals.arrows") ||
    path.replace(/\/+$/, "").endsWith(".trace")
  ) {
    return path;
  }
  const inside = names.filter((n) => n.endsWith(".trace")).sort();
  if (inside.length === 1) return `${path.replace(/\/+$/, "")}/${inside[0]}`;
  throw new UsageError(
    inside.length === 0
      ? `Cannot open ${path}: it holds no recording; \`retrovisor run\` makes them.`
      : `Cannot open ${path}: it holds ${inside.length} recordings, name one: ${
        inside.slice(0, 8).join(", ")
      }.`,
  );
}

function folderNames(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map((e) => e.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(
        `Cannot open ${path}: there is no such folder; \`retrovisor run\` makes recordings.`,
      );
    }
    if (error instanceof Deno.errors.NotADirectory) {
      throw new UsageError(`Cannot open ${path}: a recording is a folder NAME.trace, this is a file.`);
    }
    throw error;
  }
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

/**
 * Opens a recording whose every sealed byte is checked first, so that no verb answers from a damaged one.
 * @throws TraceError naming table, batch and offset
 */
export function openBundle(path: string): Bundle {
  const bundle = Bundle.open(path);
  try {
    bundle.images();
  } catch (error) {
    bundle.close();
    throw error;
  }
  return bundle;
}

/** The option that names a file with symbols. */
export const SYMBOLS_OPTION: Option = {
  name: "symbols",
  value: "FILE",
  help: "The kernel's symbols from FILE: System.map, a copy of /proc/kallsyms, or ELF.",
};

/** Largest file with symbols: a kernel with all its debugging information. */
const SYMBOLS_BYTES_MAX = 2 ** 31;

/** Reads the file that `--symbols` names; null when it was not given. @throws UsageError, GuestError */
export function symbolsOption(given: Given): SymbolFile | null {
  const path = given.values.symbols;
  if (path === undefined) return null;
  try {
    const { size, isDirectory } = Deno.statSync(path);
    if (isDirectory) throw new UsageError(`Cannot read ${path} for symbols: it is a folder.`);
    if (size > SYMBOLS_BYTES_MAX) {
      throw new UsageError(`Cannot read ${path} for symbols: it is larger than 2 GiB.`);
    }
    return readSymbolFile(path.replace(/^.*\//, ""), Deno.readFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot read ${path}: there is no such file.`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new UsageError(`Cannot read ${path}: permission denied.`);
    }
    throw error;
  }
}
