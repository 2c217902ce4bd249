/**
 * Makes the test initramfs from Debian's busybox-static: `deno task initramfs [FILE] [--arch i386] [--script FILE]`.
 *
 * Its /init mounts proc, sysfs and devtmpfs, runs the script given when it was made, if any, then an interactive shell
 * on the console. Equal busybox and script give equal bytes.
 *
 * @module
 */
import { cpio, type CpioEntry } from "./cpio.ts";
import { guestPath, guestsFolder } from "./manifest.ts";

/** Architectures that there is a busybox of. */
export type Arch = "amd64" | "i386";

/** What is in the archive besides busybox. */
export interface InitramfsOptions {
  /** A shell script that /init runs before it starts the shell. */
  script?: string;
  /** Further regular files by path without leading slash; their folders must be among `FOLDERS`. */
  files?: Record<string, Uint8Array | string>;
}

/** What a shell of root prints when it waits for a command. */
export const PROMPT = "/ # ";

const FOLDERS = ["bin", "dev", "proc", "root", "sys", "tmp"];

/** The first process. Signals and job control need a controlling terminal, which `cttyhack` finds. */
const INIT = `#!/bin/busybox sh
export PATH=/bin HOME=/ TERM=linux LC_ALL=C
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox --install -s /bin
[ -f /script ] && sh /script
exec setsid -c cttyhack sh
`;

/**
 * Makes an initramfs.
 * @param busybox the statically linked program
 * @returns an uncompressed newc cpio archive
 */
export function buildInitramfs(busybox: Uint8Array, options: InitramfsOptions = {}): Uint8Array<ArrayBuffer> {
  const file = (path: string, data: Uint8Array | string, mode = 0o100755): CpioEntry => ({
    path,
    mode,
    data,
  });
  const entries: CpioEntry[] = [
    ...FOLDERS.map((path) => ({ path, mode: 0o040755 })),
    { path: "dev/console", mode: 0o020600, device: [5, 1] },
    { path: "dev/null", mode: 0o020666, device: [1, 3] },
    file("bin/busybox", busybox),
    file("init", INIT),
  ];
  if (options.script !== undefined) entries.push(file("script", options.script));
  for (const [path, data] of Object.entries(options.files ?? {})) entries.push(file(path, data));
  return cpio(entries);
}

/** Path of the busybox of an architecture; null when guests have not been fetched. */
export function busyboxPath(arch: Arch): string | null {
  return guestPath(arch === "amd64" ? "busybox" : "busybox-i386");
}

/**
 * Makes an initramfs from a fetched busybox and writes it.
 * @returns false when guests have not been fetched
 */
export async function writeInitramfs(path: string, arch: Arch, options?: InitramfsOptions): Promise<boolean> {
  const busybox = busyboxPath(arch);
  if (busybox === null) return false;
  await Deno.writeFile(path, buildInitramfs(await Deno.readFile(busybox), options));
  return true;
}

async function main(args: string[]): Promise<number> {
  let arch: Arch = "amd64", script: string | undefined, path: string | undefined;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--arch" && (args[i + 1] === "amd64" || args[i + 1] === "i386")) arch = args[++i] as Arch;
    else if (args[i] === "--script" && i + 1 < args.length) script = await Deno.readTextFile(args[++i]);
    else if (!args[i].startsWith("-") && path === undefined) path = args[i];
    else {
      console.error("Usage: initramfs [FILE] [--arch amd64|i386] [--script FILE]");
      return 2;
    }
  }
  path ??= `${guestsFolder()}/initramfs-${arch}.cpio`;
  if (!await writeInitramfs(path, arch, script === undefined ? {} : { script })) {
    console.error("There is no busybox: run deno task guests first.");
    return 1;
  }
  console.log(path);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
