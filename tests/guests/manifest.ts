/**
 * Where the real guests are: the manifest that `deno task guests` writes, and how tests find a file by role.
 *
 * @module
 */

/** One file of a real guest. */
export interface GuestFile {
  /** Where it is, relative to the folder of the manifest. */
  path: string;
  package: string;
  version: string;
  architecture: string;
  sha256: string;
}

/** What a folder of real guests holds, by role ("grub-pvh", "linux-cloud", ...). */
export interface GuestManifest {
  files: Record<string, GuestFile>;
  /** Roles that could not be had, with the reason. */
  missing: Record<string, string>;
}

/** The folder of real guests: RETROVISOR_GUESTS, or `.guests` in the repository. */
export function guestsFolder(): string {
  const named = Deno.env.get("RETROVISOR_GUESTS");
  return named ?? new URL("../../.guests", import.meta.url).pathname;
}

/** Reads a folder's manifest; null when the guests have not been fetched. */
export function readManifest(folder = guestsFolder()): GuestManifest | null {
  try {
    return JSON.parse(Deno.readTextFileSync(`${folder}/manifest.json`));
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return null;
    throw e;
  }
}

/**
 * Path of a real guest's file.
 * @param role e.g. "grub-pvh"
 * @returns the path, or null when guests have not been fetched (a test then ignores itself: `ignore: path === null`)
 */
export function guestPath(role: string): string | null {
  const folder = guestsFolder();
  const file = readManifest(folder)?.files[role];
  return file ? `${folder}/${file.path}` : null;
}
