/**
 * Debian's kernels and the machines they boot on, for tests: each from its package's own file, with the initramfs of
 * `initramfs.ts`.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Arch, busyboxPath, type InitramfsOptions, PROMPT, writeInitramfs } from "./initramfs.ts";
import { guestPath } from "./manifest.ts";

/** One kernel on one machine. */
export interface LinuxBoot {
  /** For test names. */
  name: string;
  /** Role of the kernel in the manifest of guests. */
  role: string;
  arch: Arch;
  /** What is around it: a Xen PVH domain, or a PC without Xen. */
  machine: "xen" | "pc";
  /** MiB of memory that it needs. */
  memory: number;
  /** Settings of `run` besides kernel, ramdisk, command line and memory. */
  settings: string[];
  /** Part of the everyday tests. */
  everyday: boolean;
}

const PC = ["xen=0", "platform=pc"];

/** Every kernel of Debian 12 for x86, on every machine that it supports. */
export const BOOTS: readonly LinuxBoot[] = [
  {
    name: "cloud-amd64 on Xen",
    role: "linux-cloud",
    arch: "amd64",
    machine: "xen",
    memory: 128,
    settings: [],
    everyday: true,
  },
  {
    name: "amd64 (XZ) on Xen",
    role: "linux-amd64",
    arch: "amd64",
    machine: "xen",
    memory: 256,
    settings: [],
    everyday: false,
  },
  {
    name: "cloud-amd64 on a PC",
    role: "linux-cloud",
    arch: "amd64",
    machine: "pc",
    memory: 128,
    settings: PC,
    everyday: false,
  },
  {
    name: "amd64 (XZ) on a PC",
    role: "linux-amd64",
    arch: "amd64",
    machine: "pc",
    memory: 256,
    settings: PC,
    everyday: false,
  },
  {
    name: "686 on a PC, PAE denied",
    role: "linux-686",
    arch: "i386",
    machine: "pc",
    memory: 128,
    settings: [...PC, "type=linux", "cpuid=default,-pae"],
    everyday: false,
  },
  {
    name: "686-pae on Xen",
    role: "linux-686-pae",
    arch: "i386",
    machine: "xen",
    memory: 128,
    settings: [],
    everyday: true,
  },
  {
    name: "686-pae on a PC",
    role: "linux-686-pae",
    arch: "i386",
    machine: "pc",
    memory: 128,
    settings: PC,
    everyday: false,
  },
];

/** True when the whole matrix is asked for: `deno task guests:full`. */
export const FULL = Deno.env.get("RETROVISOR_FULL") === "1";

/** Registers a test of the everyday run, or of the full run only: what is left out does not count as ignored. */
export function testIf(wanted: boolean, definition: Deno.TestDefinition): void {
  if (wanted) Deno.test(definition);
}

/** True when the guests of a boot have been fetched. */
export function isFetched(boot: LinuxBoot): boolean {
  return guestPath(boot.role) !== null && busyboxPath(boot.arch) !== null;
}

/** What a test may choose about a boot. */
export interface BootOptions extends InitramfsOptions {
  /** Appended to the kernel's command line. */
  cmdline?: string;
  vcpus?: number;
  seed?: number;
  /** End of the run, whatever the guest does; default 8 thousand million. */
  instructions?: string;
}

/**
 * Makes the initramfs of a boot and hands the arguments of `run` to `look`.
 * Self-tests of the kernel's cryptography are skipped: they take longer than everything else together.
 */
export async function withBoot(
  boot: LinuxBoot,
  options: BootOptions,
  look: (args: string[]) => Promise<void>,
): Promise<void> {
  // The file's name is in the recording: two of the same boot are to be the same bytes.
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-initramfs-" }),
    ramdisk = `${folder}/initramfs.cpio`;
  try {
    assert(await writeInitramfs(ramdisk, boot.arch, options), "guests have not been fetched");
    const console = boot.machine === "xen" ? "hvc0" : "ttyS0";
    await look([
      `kernel=${guestPath(boot.role)}`,
      `ramdisk=${ramdisk}`,
      `cmdline=console=${console} cryptomgr.notests=1 ${options.cmdline ?? ""}`.trim(),
      `memory=${boot.memory}`,
      `vcpus=${options.vcpus ?? 1}`,
      `seed=${options.seed ?? 0}`,
      ...boot.settings,
      "--max-instructions",
      options.instructions ?? "8000M",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A script of console input that types each command at the shell's prompt. */
export function atPrompt(...commands: string[]): string {
  return commands.map((c) => `wait ${JSON.stringify(PROMPT)}\nsend ${JSON.stringify(c + "\n")}`).join("\n");
}

/** Commands whose output `checkIdentity` judges. */
export const IDENTITY = [
  "uname -a",
  "cat /proc/cpuinfo",
  "dmesg",
  "cat /sys/devices/system/clocksource/clocksource0/current_clocksource",
];

/** Checks that what Linux says of itself is right for the machine. */
export function checkIdentity(boot: LinuxBoot, text: string, vcpus = 1): void {
  const release = guestPath(boot.role)!.match(/vmlinuz-(.*)$/)![1];
  const machine = boot.arch === "amd64" ? "x86_64" : "i686";
  assertStringIncludes(text, `Linux (none) ${release} #1`);
  assert(new RegExp(`^Linux .* ${machine} GNU/Linux\\r?$`, "m").test(text), "uname names the machine");
  assert(!/Kernel panic|BUG:|Oops|Call Trace|WARNING: CPU/.test(text), "no complaint of the kernel");
  assertEquals(text.match(/^processor\s*: \d+/gm)?.length, vcpus);
  const flags = text.match(/^flags\s*: (.*?)\r?$/m)![1].split(" ");
  const has = (name: string): boolean => flags.includes(name);
  const onXen = boot.machine === "xen";
  assertEquals(
    { hypervisor: has("hypervisor"), pae: has("pae"), fpu: has("fpu"), cx8: has("cx8") },
    { hypervisor: onXen, pae: !boot.settings.some((s) => s.endsWith("-pae")), fpu: true, cx8: true },
  );
  assertEquals(text.includes("Hypervisor detected: Xen HVM"), onXen);
  assertEquals(text.includes("Booting kernel on Xen PVH"), onXen);
  if (onXen) assert(/Xen version 4\.\d+\./.test(text));
  const clock = onXen ? "xen" : "tsc(-early)?";
  assert(new RegExp(`Switched to clocksource ${clock}\\r?$`, "m").test(text), "clock source in dmesg");
  assert(new RegExp(`^${clock}\\r?$`, "m").test(text), "clock source in sysfs");
}
