/**
 * `deno task bench:linux`: Debian's cloud kernel booted to its shell's prompt, recorded, by Retrovisor and by QEMU, side
 * by side in one run. First: `deno task guests`.
 *
 * Every boot is a fresh process; peers alternate; figures are medians. All run the same kernel (unpacked outside the
 * guest, entered through PVH) with the same initramfs and as much memory.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { ImageReader } from "../core/boot/bytes.ts";
import { extractVmlinux } from "../core/boot/bzimage.ts";
import { writeInitramfs } from "../tests/guests/initramfs.ts";
import { guestPath } from "../tests/guests/manifest.ts";
import { bootQemu, type BootRun, linuxOptions } from "./linux_peer.ts";
import type { SelfTask } from "./linux_self.ts";

const MEMORY_MIB = 128;

/** Files of one comparison. */
interface Files {
  folder: string;
  vmlinuz: string;
  vmlinux: string;
  ramdisk: string;
}

/** One boot of ours in a fresh process. */
async function bootSelf(
  files: Files,
  task: Pick<SelfTask, "xen" | "jit"> & { record: boolean },
): Promise<BootRun> {
  const trace = task.record ? `${files.folder}/${crypto.randomUUID()}.trace` : null;
  const whole: SelfTask = {
    kernel: files.vmlinuz,
    ramdisk: files.ramdisk,
    cmdline: linuxOptions(task.xen ? "hvc0" : "ttyS0"),
    memoryBytes: MEMORY_MIB << 20,
    xen: task.xen,
    jit: task.jit,
    trace,
  };
  const script = new URL("linux_self.ts", import.meta.url).pathname;
  const start = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, JSON.stringify(whole)],
  }).output();
  const processMs = performance.now() - start;
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim().split("\n")[0]);
  const run: BootRun = JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
  if (trace !== null) await Deno.remove(trace, { recursive: true });
  // Starting Deno counts, too.
  const startMs = Math.max(0, processMs - run.closedMs);
  return { ...run, promptMs: run.promptMs + startMs, closedMs: processMs };
}

/** Every peer by name. */
const PEERS: [name: string, boot: (f: Files) => Promise<BootRun>][] = [
  ["Retrovisor, Xen, recorded", (f) => bootSelf(f, { xen: true, jit: null, record: true })],
  ["Retrovisor, Xen, recorded, interpreter", (f) => bootSelf(f, { xen: true, jit: 0, record: true })],
  ["Retrovisor, Xen, not recorded", (f) => bootSelf(f, { xen: true, jit: null, record: false })],
  ["Retrovisor, PC, recorded", (f) => bootSelf(f, { xen: false, jit: null, record: true })],
  ["QEMU, icount", (f) => bootQemu(f.vmlinux, f.ramdisk, MEMORY_MIB, f.folder, false)],
  ["QEMU, rr=record", (f) => bootQemu(f.vmlinux, f.ramdisk, MEMORY_MIB, f.folder, true)],
];

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];

/** One line of the table. */
function row(name: string, runs: BootRun[]): string {
  const seconds = (ms: number[]): string => (median(ms) / 1000).toFixed(2).padStart(9);
  const [first] = runs, prompt = runs.map((r) => r.promptMs);
  const count = first.instructions === null ? "-" : (first.instructions / 1e6).toFixed(1);
  const size = first.traceBytes === null ? "-" : (first.traceBytes / 2 ** 20).toFixed(2);
  const speed = first.instructions === null
    ? "-"
    : (first.instructions / 1e3 / median(runs.map((r) => r.cpuMs))).toFixed(0);
  return name.padEnd(40) + seconds(prompt) + seconds(runs.map((r) => r.cpuMs)) +
    seconds(runs.map((r) => r.closedMs)) + count.padStart(11) +
    speed.padStart(9) + size.padStart(11);
}

async function main(): Promise<number> {
  const options = parseArgs(Deno.args, { string: ["runs", "only"], default: { runs: "3" } });
  const vmlinuz = guestPath("linux-cloud");
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-bench-" });
  try {
    const files = {
      folder,
      vmlinuz: vmlinuz ?? "",
      vmlinux: `${folder}/vmlinux`,
      ramdisk: `${folder}/initramfs`,
    };
    if (vmlinuz === null || !await writeInitramfs(files.ramdisk, "amd64")) {
      console.error("There are no guests: run deno task guests first.");
      return 1;
    }
    const kernel = extractVmlinux(new ImageReader("kernel", await Deno.readFile(vmlinuz)));
    await Deno.writeFile(files.vmlinux, kernel.bytes);
    const peers = PEERS.filter(([name]) => name.includes(options.only ?? ""));
    const runs = new Map<string, BootRun[]>(peers.map(([name]) => [name, []]));
    for (let i = 0; i < Math.max(1, Number(options.runs)); i++) {
      for (const [name, boot] of peers) runs.get(name)!.push(await boot(files));
    }
    const head = ["prompt s", "cpu s", "closed s"].map((h) => h.padStart(9)).join("");
    console.log(
      `${"".padEnd(40)}${head}${"M insns".padStart(11)}${"M/cpu s".padStart(9)}${"trace MiB".padStart(11)}`,
    );
    for (const [name, list] of runs) console.log(row(name, list));
    return 0;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
