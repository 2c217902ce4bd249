/**
 * `deno task bench --linux`: Debian's cloud kernel, booted to its shell's prompt and doing a shell's work, on Retrovisor
 * and on QEMU, side by side in one run. First: `deno task guests`.
 *
 * Every boot is a fresh process; peers alternate; figures are medians. All run the same kernel (unpacked outside the
 * guest, entered through PVH) with the same initramfs and as much memory.
 *
 * @module
 */
import { ImageReader } from "../core/boot/bytes.ts";
import { extractVmlinux } from "../core/boot/bzimage.ts";
import { writeInitramfs } from "../tests/guests/initramfs.ts";
import { guestPath } from "../tests/guests/manifest.ts";
import { type BootRun, linuxOptions, type QemuMode } from "./linux_peer.ts";
import type { SelfTask } from "./linux_self.ts";
import { median, type TimeBase } from "./statistics.ts";
import type { Verdict } from "./targets.ts";

const MEMORY_MIB = 128;
/** What a host process may take beside guest RAM. */
const EXTRA_BYTES = 600e6;

/** What the guest does before its prompt, beside booting: a shell script. */
const USERLAND = `
i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo counted $i
for n in 1 2 3 4 5 6 7 8; do dd if=/bin/busybox bs=64k 2>/dev/null; done | md5sum
gzip -c /bin/busybox | gunzip | sha256sum
awk 'BEGIN { for (i = 0; i < 60000; i++) s += i % 7 * i; print s }'
seq 1 20000 | sort -r | uniq | wc -l
for d in 1 2 3 4 5 6 7 8 9 10; do find / -xdev -name "*a*" | grep -c e; done
`;
/** Goes on for ever; what it prints lets the host look at its clock. */
const LOAD = `echo '/ # '; while true; do sh /work; cat /proc/uptime; done`;
const SCRIPTS: Readonly<Record<string, string>> = {
  boot: "",
  userland: USERLAND,
  load: `cat > /work <<'END'\n${USERLAND}\nEND\n${LOAD}`,
};

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
  task: Pick<SelfTask, "xen" | "jit" | "mode">,
  loadMs: number,
): Promise<BootRun> {
  const whole: SelfTask = {
    ...task,
    kernel: files.vmlinuz,
    ramdisk: files.ramdisk,
    cmdline: linuxOptions(task.xen ? "hvc0" : "ttyS0"),
    memoryBytes: MEMORY_MIB << 20,
    trace: `${files.folder}/self.trace`,
    loadMs,
  };
  if (task.mode === "record") await Deno.remove(whole.trace, { recursive: true }).catch(() => {});
  const start = performance.now(), run = await inProcess("linux_self.ts", whole);
  const processMs = performance.now() - start;
  // Starting Deno counts, too.
  const startMs = Math.max(0, processMs - run.closedMs);
  return { ...run, promptMs: run.promptMs + startMs, closedMs: processMs };
}

/** Runs a script beside this file with an argument; it prints a `BootRun`. @throws Error with what it said */
async function inProcess(script: string, argument: unknown): Promise<BootRun> {
  const path = new URL(script, import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", path, JSON.stringify(argument)],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim().split("\n")[0]);
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
}

type Boot = (f: Files, loadMs: number) => Promise<BootRun>;
const self = (mode: SelfTask["mode"], jit: number | null = null, xen = true): Boot => (f, loadMs) =>
  bootSelf(f, { xen, jit, mode }, loadMs);
const qemu = (mode: QemuMode): Boot => (f) =>
  inProcess("linux_qemu.ts", [f.vmlinux, f.ramdisk, MEMORY_MIB, f.folder, mode]);

/** Every peer by name, in the order of one round: what is replayed has been recorded just before. */
export const LINUX_PEERS: Readonly<Record<string, Boot>> = {
  self: self("run"),
  "pc-record": self("record", null, false),
  "interpreter-record": self("record", 0),
  record: self("record"),
  replay: self("replay"),
  qemu: qemu("plain"),
  "qemu-icount": qemu("icount"),
  "qemu-record": qemu("record"),
  "qemu-replay": qemu("replay"),
};

/** What to run. */
export interface LinuxOptions {
  peers: readonly string[];
  runs: number;
  /** Minutes of load, on "record" alone; 0: none. */
  loadMinutes: number;
  clock: TimeBase;
  onRun?: (what: string) => void;
}

/** Medians of one peer on one workload. Plain JSON. */
export interface LinuxResult extends BootRun {
  workload: string;
  peer: string;
}

function medians(workload: string, peer: string, runs: readonly BootRun[]): LinuxResult {
  const of = (pick: (r: BootRun) => number) => median(runs.map(pick));
  return {
    ...runs[0],
    workload,
    peer,
    promptMs: of((r) => r.promptMs),
    cpuMs: of((r) => r.cpuMs),
    closedMs: of((r) => r.closedMs),
    peakBytes: of((r) => r.peakBytes),
  };
}

/**
 * Runs all workloads on all peers.
 * @throws Error with one sentence when guests have not been fetched, or a peer fails
 */
export async function benchLinux(o: LinuxOptions): Promise<LinuxResult[]> {
  const vmlinuz = guestPath("linux-cloud"), results: LinuxResult[] = [];
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-bench-" });
  const files = {
    folder,
    vmlinuz: vmlinuz ?? "",
    vmlinux: `${folder}/vmlinux`,
    ramdisk: `${folder}/initramfs`,
  };
  try {
    for (const [workload, script] of Object.entries(SCRIPTS)) {
      const load = workload === "load", loadMs = load ? o.loadMinutes * 60_000 : 0;
      if (load && o.loadMinutes === 0) continue;
      if (vmlinuz === null || !await writeInitramfs(files.ramdisk, "amd64", { script })) {
        throw new Error("There are no guests: run deno task guests first.");
      }
      const kernel = extractVmlinux(new ImageReader("kernel", await Deno.readFile(vmlinuz)));
      await Deno.writeFile(files.vmlinux, kernel.bytes);
      const peers = load ? ["record"] : Object.keys(LINUX_PEERS).filter((p) => o.peers.includes(p));
      const runs = new Map<string, BootRun[]>(peers.map((p) => [p, []]));
      for (let n = 0; n < (load ? 1 : o.runs); n++) {
        for (const peer of peers) {
          o.onRun?.(`${workload}, run ${n + 1}: ${peer}`);
          runs.get(peer)!.push(await LINUX_PEERS[peer](files, loadMs));
        }
      }
      for (const [peer, list] of runs) results.push(medians(workload, peer, list));
    }
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** All results as a table. */
export function linuxTable(results: readonly LinuxResult[]): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(2).padStart(10);
  const head = ["prompt s", "cpu s", "closed s", "M insns", "M/cpu s", "trace MiB", "peak MiB"];
  return [
    "Linux to its prompt (userland: with a shell's work before it)",
    "".padEnd(30) + head.map((h) => h.padStart(10)).join(""),
    ...results.map((r) =>
      `${r.workload} ${r.peer}`.padEnd(30) + seconds(r.promptMs) + seconds(r.cpuMs) + seconds(r.closedMs) +
      (r.instructions === null ? "-" : (r.instructions / 1e6).toFixed(0)).padStart(10) +
      (r.instructions === null ? "-" : (r.instructions / 1e3 / r.cpuMs).toFixed(0)).padStart(10) +
      (r.traceBytes === null ? "-" : (r.traceBytes / 2 ** 20).toFixed(1)).padStart(10) +
      (r.peakBytes / 2 ** 20).toFixed(0).padStart(10)
    ),
    "",
  ].join("\n");
}

/** The targets that a run can decide. */
export function linuxVerdicts(results: readonly LinuxResult[], clock: TimeBase): Verdict[] {
  const lines: Verdict[] = [];
  const time = (workload: string, peer: string): number => {
    const r = results.find((x) => x.workload === workload && x.peer === peer);
    return r === undefined ? NaN : clock === "wall" ? r.promptMs : r.cpuMs;
  };
  const bar = (target: string, workload: string, ours: string, theirs: string, least: number) => {
    const x = time(workload, theirs) / time(workload, ours);
    if (!isNaN(x)) lines.push({ target, seen: `${x.toFixed(2)}×`, reached: x >= least });
  };
  for (const workload of ["boot", "userland"]) {
    bar(`${workload}: recorded at least 3× as fast as QEMU rr=record`, workload, "record", "qemu-record", 3);
    bar(`${workload}: recorded no slower than QEMU -icount shift=0`, workload, "record", "qemu-icount", 1);
    bar(`${workload}: replay at least 10× as fast as QEMU's`, workload, "replay", "qemu-replay", 10);
  }
  for (const r of results.filter((x) => x.peer === "record")) {
    const limit = MEMORY_MIB * 2 ** 20 + EXTRA_BYTES;
    lines.push({
      target: `${r.workload}: process below guest RAM + 600 MB (${(limit / 1e6).toFixed(0)} MB)`,
      seen: `${(r.peakBytes / 1e6).toFixed(0)} MB`,
      reached: r.peakBytes < limit,
    });
  }
  return lines;
}
