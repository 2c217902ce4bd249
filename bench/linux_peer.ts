/**
 * What a peer that boots Linux to its prompt reports, and QEMU as such a peer.
 *
 * @module
 */

/** One boot. */
export interface BootRun {
  /** Host milliseconds from the start of the process to the prompt. */
  promptMs: number;
  /** Processor milliseconds of the process, system calls included, to the prompt: what other load does not change. */
  cpuMs: number;
  /** `promptMs` until the recording was complete on disk. */
  closedMs: number;
  /** Guest instructions to the prompt; null where the peer does not say. */
  instructions: number | null;
  /** Size of the recording; null: not recorded. */
  traceBytes: number | null;
  /** Most bytes of memory the process has had resident. */
  peakBytes: number;
}

/** What the guest's shell prints when it waits for a command. */
export const PROMPT_BYTES = "/ # ";

/** Bytes of the files of a folder. */
export async function folderBytes(path: string): Promise<number> {
  let sum = 0;
  for await (const entry of Deno.readDir(path)) sum += (await Deno.stat(`${path}/${entry.name}`)).size;
  return sum;
}

/** Most bytes of memory that a process has had resident (Linux: proc(5), status, VmHWM). */
export function peakBytes(process: number | "self"): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync(`/proc/${process}/status`));
  return Number(line?.[1] ?? NaN) * 1024;
}

/** Processor milliseconds that a process has used (Linux: proc(5), stat, fields 14 and 15, in hundredths of a second). */
export function cpuMs(process: number | "self"): number {
  const fields = Deno.readTextFileSync(`/proc/${process}/stat`).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** One command to QEMU's machine protocol over a socket. @returns its answer */
async function qmp(socket: string, command: string): Promise<Record<string, unknown>> {
  const connection = await Deno.connect({ transport: "unix", path: socket });
  try {
    const lines = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
    const writer = connection.writable.getWriter();
    let text = "";
    const answer = async (): Promise<Record<string, unknown>> => {
      for (;;) {
        const end = text.indexOf("\n");
        if (end >= 0) {
          const message = JSON.parse(text.slice(0, end));
          text = text.slice(end + 1);
          if (!("event" in message)) return message;
          continue;
        }
        const { value, done } = await lines.read();
        if (done) throw new Error("QEMU closed its control socket");
        text += value;
      }
    };
    await answer();
    for (const name of ["qmp_capabilities", command]) {
      await writer.write(new TextEncoder().encode(JSON.stringify({ execute: name }) + "\n"));
      const said = await answer();
      if (name === command) return said;
    }
    throw new Error("not reached");
  } finally {
    try {
      connection.close();
    } catch { /* QEMU closed it first. */ }
  }
}

/** How QEMU counts instructions: not at all, or deterministically, recording or replaying. */
export type QemuMode = "plain" | "icount" | "record" | "replay";

/**
 * Boots an uncompressed kernel through its PVH entry on QEMU's microvm.
 * @param folder for sockets and recordings; "replay" replays what "record" left there
 */
export async function bootQemu(
  vmlinux: string,
  ramdisk: string,
  memoryMiB: number,
  folder: string,
  mode: QemuMode,
): Promise<BootRun> {
  const socket = `${folder}/qmp`, trace = `${folder}/qemu.rr`;
  const rr = mode === "record" || mode === "replay" ? `,rr=${mode},rrfile=${trace}` : "";
  const start = performance.now();
  const child = new Deno.Command("qemu-system-x86_64", {
    args: [
      ..."-M microvm,acpi=off -accel tcg -nodefaults -no-user-config -display none -serial stdio -no-reboot"
        .split(" "),
      ...(mode === "plain" ? [] : ["-icount", `shift=0${rr}`]),
      ...["-m", String(memoryMiB), "-kernel", vmlinux, "-initrd", ramdisk],
      ...["-qmp", `unix:${socket},server=on,wait=off`],
      ...["-append", linuxOptions("ttyS0")],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "", promptMs = 0, cpu = 0, peak = 0, instructions: number | null = null;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text = (text + chunk).slice(-100);
    if (promptMs > 0 || !text.includes(PROMPT_BYTES)) continue;
    promptMs = performance.now() - start;
    cpu = cpuMs(child.pid);
    peak = peakBytes(child.pid);
    if (mode === "record") {
      const said = await qmp(socket, "query-replay") as { return?: { icount: number } };
      instructions = said.return?.icount ?? null;
    }
    if (mode === "replay") child.kill("SIGKILL");
    else await qmp(socket, "quit").catch(() => {});
  }
  await child.status;
  await child.stdin.close().catch(() => {});
  if (promptMs === 0) throw new Error("Cannot time the guest: QEMU ended before its prompt");
  const traceBytes = mode === "record" ? (await Deno.stat(trace)).size : null;
  const closedMs = performance.now() - start;
  return { promptMs, cpuMs: cpu, closedMs, instructions, traceBytes, peakBytes: peak };
}

/** The kernel's command line; self-tests of cryptography would take longer than the rest. */
export function linuxOptions(console: string): string {
  return `console=${console} nokaslr cryptomgr.notests=1`;
}
