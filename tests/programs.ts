/**
 * Other programs that some tests compare with: a test without its program ignores itself.
 *
 * @module
 */

/** True when a program is on the PATH. */
export function hasProgram(name: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${name}`).isFile;
    } catch {
      return false;
    }
  });
}
