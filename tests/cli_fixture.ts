/** Runs the program as its tasks do. */

/** Path of the program. */
export const MAIN = new URL("../cli/main.ts", import.meta.url).pathname;

/** What one command line did. */
export interface Result {
  code: number;
  /** Standard output as text. */
  out: string;
  err: string;
  /** Standard output as it is. */
  bytes: Uint8Array;
}

/** Starts a command line in a folder with the permissions that tasks have, its three streams piped. */
export function start(folder: string, args: string[]): Deno.ChildProcess {
  const permissions = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys=cpus"];
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...permissions, MAIN, ...args],
    cwd: folder,
    env: { NO_COLOR: "1", RETROVISOR_DEBUG: "" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a command line in a folder to its end. */
export async function runIn(folder: string, args: string[], stdin = ""): Promise<Result> {
  const child = start(folder, args);
  const writer = child.stdin.getWriter();
  // A program that does not read its input may close it first.
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return {
    code,
    out: new TextDecoder().decode(stdout),
    err: new TextDecoder().decode(stderr),
    bytes: stdout,
  };
}

/**
 * A flat 16-bit guest that reads COM1 and writes it back until "q", then writes 0 to the debug exit port:
 * `mov dx, 0x3fd; in al, dx; test al, 1; jz 0; mov dx, 0x3f8; in al, dx; out dx, al; cmp al, 'q'; jne 0;
 * mov al, 0; out 0xf4, al; jmp $`
 */
export const ECHO_GUEST = Uint8Array.fromHex("66bafd03eca80174f766baf803ecee3c7175edb000e6f4ebfe");

/** A flat 16-bit guest that leaves as often as it can, for ever: `out 0x80, al; inc ax; jmp 0`. */
export const RESTLESS_GUEST = Uint8Array.of(0xe6, 0x80, 0x40, 0xeb, 0xfb);
