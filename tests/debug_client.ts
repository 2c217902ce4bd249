/** gdb run with a script against a debugger's server in this process. */
import { assertEquals } from "@std/assert";
import { GdbServer } from "../replay/gdb/listener.ts";
import type { Target } from "../replay/gdb/target.ts";
import type { Traveler } from "../replay/traveler.ts";

/**
 * Serves a recording to gdb, which carries out a script.
 * @param file what gdb is given as the program; left out: it takes what the server offers
 * @returns what it printed
 */
export async function runGdb(
  opened: { traveler: Traveler; target: Target },
  lines: readonly string[],
  file?: Uint8Array,
): Promise<string> {
  const server = new GdbServer(opened.traveler, opened.target, "127.0.0.1", 0);
  const serving = server.serve();
  try {
    return await gdbAt(server.port, lines, file);
  } finally {
    server.close();
    await serving;
  }
}

/** gdb with a script against whatever listens at a port of this machine. */
export async function gdbAt(port: number, lines: readonly string[], file?: Uint8Array): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    if (file !== undefined) await Deno.writeFile(`${folder}/guest.elf`, file);
    const script = [
      "set pagination off",
      "set confirm off",
      "define hookpost-monitor",
      "maintenance flush register-cache",
      "end",
      `target remote 127.0.0.1:${port}`,
      ...lines,
    ];
    await Deno.writeTextFile(`${folder}/script`, script.join("\n") + "\n");
    const { code, stdout, stderr } = await new Deno.Command("gdb", {
      args: ["-nx", "-q", "-batch", "-x", `${folder}/script`, ...(file ? [`${folder}/guest.elf`] : [])],
      stdin: "null",
      signal: AbortSignal.timeout(240_000),
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals(code, 0, said);
    return said;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The icounts that `monitor when` printed. */
export function whens(said: string): number[] {
  return [...said.matchAll(/^icount (\d+)\b/gm)].map((m) => Number(m[1]));
}
