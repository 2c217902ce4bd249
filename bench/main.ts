/**
 * `deno task bench`: guest instructions a second on Retrovisor and its peers, side by side, the same images.
 *
 * Every run is a fresh process; runs of different peers alternate; figures are medians over runs. All peers must
 * compute the same checksums. The instruction count is the same for all (same image): ours, exact.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import type { Paging } from "./build.ts";
import { compare } from "./compare.ts";
import { type Bits, type Kernel, KERNELS } from "./kernels.ts";
import { benchLinux, LINUX_PEERS, linuxTable, linuxVerdicts } from "./linux_boot.ts";
import { PEERS } from "./peers.ts";
import { tables, verdictLines } from "./print.ts";
import { profileKernel, profileTable } from "./profile.ts";
import { type KernelResult, summarize } from "./results.ts";
import type { TimeBase } from "./statistics.ts";
import { verdicts } from "./targets.ts";

const list = (rows: [string, string][]) => rows.map(([a, b]) => `    ${a.padEnd(20)}${b}`).join("\n");
const HELP = `Compare the speed of Retrovisor with its peers on the same guest images.

Usage: deno task bench [OPTION]...

  --kernels LIST   workloads or groups of them, comma-separated (default: all)
  --peers LIST     machines (default: ${"self,record,replay,interpreter,v86,qemu,qemu-icount"}; or: all)
  --bits LIST      32, 64 or both (default: 32,64)
  --paging MODE    4k or large pages (default: 4k)
  --runs N         fresh processes per peer and kernel (default: 5)
  --reps N         repetitions of the workload in each; the second half is "warm" (default: 8)
  --clock CLOCK    wall, or cpu: processor time of the machine's process, on a machine with other load (default: wall)
  --linux          instead of kernels: boot Linux and let its shell work (peers: ${Object.keys(LINUX_PEERS)};
                   default 3 runs; first: deno task guests)
  --load MINUTES   with --linux: then keep one recorded guest busy so long, and look at memory
  --profile        instead of comparing: where Retrovisor's host time goes, for the peers that are Retrovisor
  --json FILE      also write all figures, by both clocks, as JSON ("-": to standard output, instead of tables)

Kernels:
${list(KERNELS.map((k) => [k.name, `${k.about} [${k.group}]`]))}

Peers:
${list(Object.entries(PEERS).map(([name, p]) => [name, p.about]))}

Examples:
  deno task bench --kernels mix,sieve --peers self,v86 --runs 1
  deno task bench --kernels exits --peers self,record,replay --bits 32 --clock cpu
`;
const DEFAULT_PEERS = "self,record,replay,interpreter,v86,qemu,qemu-icount";

/** What was asked for. */
interface Asked {
  kernels: Kernel[];
  peers: string[];
  bits: Bits[];
  paging: Paging;
  runs: number;
  reps: number;
  clock: TimeBase;
  json: string | null;
  profile: boolean;
  /** Linux instead of kernels, and minutes of load on it. */
  linux: boolean;
  load: number;
}

/** A command line that makes no sense: one sentence. */
class BadUsage extends Error {}

function chosen<T extends string>(what: string, word: string, known: readonly T[]): T {
  const found = known.find((k) => k === word);
  if (found === undefined) {
    throw new BadUsage(`There is no ${what} "${word}": choose among ${known.join(", ")}.`);
  }
  return found;
}

function count(what: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) {
    throw new BadUsage(`--${what} wants a number from 1 to 9999, not "${text}".`);
  }
  return Number(text);
}

/** Peers by name; left out: the usual ones, of Linux all. */
function chosenPeers(list: string | undefined, linux: boolean): string[] {
  const known = Object.keys(linux ? LINUX_PEERS : PEERS);
  if (list === "all" || list === undefined && linux) return known;
  return (list ?? DEFAULT_PEERS).split(",").map((p) => chosen("peer", p, known));
}

function parse(args: string[]): Asked | null {
  const o = parseArgs(args, {
    string: ["load", "kernels", "peers", "bits", "paging", "runs", "reps", "clock", "json"],
    boolean: ["help", "profile", "linux"],
    default: {
      kernels: "all",
      bits: "32,64",
      paging: "4k",
      reps: "8",
      clock: "wall",
    },
    unknown: (word) => {
      throw new BadUsage(`There is no option "${word}": see --help.`);
    },
  });
  if (o.help) return null;
  const groups = [...new Set(KERNELS.map((k) => k.group))], names = KERNELS.map((k) => k.name);
  const words = String(o.kernels).split(",").map((w) => chosen("kernel", w, ["all", ...groups, ...names]));
  return {
    kernels: KERNELS.filter((k) => words.some((w) => w === "all" || w === k.name || w === k.group)),
    peers: chosenPeers(o.peers, o.linux),
    bits: String(o.bits).split(",").map((b) => Number(chosen("width", b, ["32", "64"])) as Bits),
    paging: chosen("paging", String(o.paging), ["4k", "large"]),
    runs: count("runs", String(o.runs ?? (o.linux ? 3 : 5))),
    reps: count("reps", String(o.reps)),
    clock: chosen("clock", String(o.clock), ["wall", "cpu"]),
    json: o.json === undefined ? null : String(o.json),
    profile: o.profile,
    linux: o.linux,
    load: o.load === undefined ? 0 : count("load", String(o.load)),
  };
}

/** One line that says what goes on, on a terminal only. */
function progress(text: string): void {
  if (!Deno.stderr.isTerminal()) return;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

/** Runs `each` for every kernel and width asked for, with a folder that is removed at the end. */
async function forAll<T>(
  asked: Asked,
  each: (kernel: Kernel, bits: Bits, directory: string) => Promise<T>,
): Promise<T[]> {
  const directory = Deno.makeTempDirSync({ prefix: "retrovisor-bench-" }), results: T[] = [];
  try {
    for (const kernel of asked.kernels) {
      for (const bits of asked.bits) results.push(await each(kernel, bits, directory));
    }
    return results;
  } finally {
    progress("");
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Where our own peers' time goes. */
async function profile(asked: Asked): Promise<void> {
  const runs = await forAll(
    asked,
    (kernel, bits, directory) => profileKernel({ ...asked, kernel, bits, directory, onRun: progress }),
  );
  if (asked.json !== "-") console.log(profileTable(runs.flat()));
  if (asked.json !== null) writeJson(asked.json, runs.flat());
}

/** Linux on all peers. */
async function linux(asked: Asked): Promise<void> {
  const { peers, runs, clock, load: loadMinutes } = asked;
  const results = await benchLinux({ peers, runs, clock, loadMinutes, onRun: progress });
  progress("");
  const targets = linuxVerdicts(results, clock);
  if (asked.json !== "-") {
    console.log(linuxTable(results));
    console.log(verdictLines(targets));
  }
  if (asked.json !== null) writeJson(asked.json, { clock, runs, results, targets });
}

/** Speeds of all peers, held against each other and the targets. */
async function measure(asked: Asked): Promise<void> {
  const { clock, runs, reps, paging, json } = asked, results: KernelResult[] = [];
  const figures = () => ({ clock, runs, reps, paging, results, targets: verdicts(results, clock) });
  await forAll(asked, async (kernel, bits, directory) => {
    results.push(summarize(await compare({ ...asked, kernel, bits, directory, onRun: progress })));
    // A run takes long and may be cut: what there is is in the file.
    if (json !== null && json !== "-") writeJson(json, figures());
  });
  if (json === "-") writeJson(json, figures());
  else console.log(tables(results, verdicts(results, clock), clock));
}

/** Writes JSON to a file, or to standard output for "-". */
function writeJson(file: string, value: unknown): void {
  const text = JSON.stringify(value, null, 1);
  if (file === "-") console.log(text);
  else Deno.writeTextFileSync(file, text + "\n");
}

/** Entry point; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  try {
    const asked = parse(args);
    if (asked === null) {
      console.log(HELP);
      return 0;
    }
    await (asked.linux ? linux(asked) : asked.profile ? profile(asked) : measure(asked));
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return error instanceof BadUsage ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
