/**
 * `deno task bench`: guest instructions a second on Retrovisor and its peers, side by side, the same images.
 *
 * Every run is a fresh process; runs of different peers alternate; figures are medians over runs. All peers must
 * compute the same checksums. The instruction count is the same for all (same image): ours, exact.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { buildGuest, type Kernel, KERNELS, type Paging } from "./build.ts";
import type { PeerRun } from "./peer.ts";
import { medianSpeeds, type RecordingCost, recordingCost, type Speeds, speedsOf } from "./statistics.ts";

const HELP = `Compare the speed of Retrovisor with its peers on the same guest images.

Usage: deno task bench [OPTION]...

  --kernels LIST   workloads, comma-separated (default: ${KERNELS.map((k) => k.name)})
  --peers LIST     self (as configured), interpreter, jit, record (self, recording), v86, qemu, qemu-icount
                   (default: self,record,v86)
  --paging MODE    off, 4k or 4m (default: 4k)
  --runs N         fresh processes per peer and kernel (default: 3)
  --reps N         repetitions of the workload in each (default: 8)
  --format FORMAT  table or json (default: table)
`;

/** Arguments of `deno run -A` per peer; the image comes second. */
const PEERS: Record<string, string[]> = {
  self: ["peer_self.ts"],
  interpreter: ["peer_self.ts", "--jit", "0"],
  jit: ["peer_self.ts", "--jit", "400"],
  record: ["peer_self.ts", "--record", "FOLDER"],
  v86: ["peer_v86.ts"],
  qemu: ["peer_qemu.ts"],
  "qemu-icount": ["peer_qemu.ts", "-icount", "shift=0"],
};

/** One line of the result. */
interface Row {
  kernel: string;
  peer: string;
  paging: Paging;
  speeds: Speeds;
  /** Speed of the reference peer (v86) divided into ours; null for itself or when it did not run. */
  ratio: Speeds | null;
  /** What recording costs, for the peer that records, when the one that does not ran, too. */
  cost?: RecordingCost;
}

/** What one workload gave. */
interface Compared {
  speeds: Map<string, Speeds>;
  cost: RecordingCost | null;
}

/** Runs a peer once in a fresh process. */
async function runPeer(peer: string, image: string): Promise<PeerRun> {
  const [script, ...options] = PEERS[peer].map((o) => o === "FOLDER" ? `${image}-${Math.random()}.trace` : o);
  const path = new URL(script, import.meta.url).pathname;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", path, image, ...options],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(output.stdout).trim().split("\n").at(-1) ?? "";
  if (!output.success || !text.startsWith("{")) {
    throw new Error(`Cannot run ${peer}: ${new TextDecoder().decode(output.stderr).trim().split("\n")[0]}`);
  }
  return JSON.parse(text);
}

/** Instructions of each repetition, from the first peer that counts them. */
function instructionsOf(runs: Map<string, PeerRun[]>): number[] {
  for (const list of runs.values()) {
    const counts = list[0].repetitions.map((r) => r.instructions);
    if (counts.every((c) => c !== null)) return counts as number[];
  }
  throw new Error("Cannot give speeds: no peer among those chosen counts instructions (add self or v86)");
}

/** Alternates runs of all peers on one image and checks that they agree on every checksum. */
async function compare(
  kernel: Kernel,
  image: string,
  peers: string[],
  runs: number,
): Promise<Compared> {
  const done = new Map<string, PeerRun[]>(peers.map((p) => [p, []]));
  let expected = "";
  for (let n = 0; n < runs; n++) {
    for (const peer of peers) {
      const run = await runPeer(peer, image);
      const checksums = run.repetitions.map((r) => r.checksum).join(" ");
      expected ||= checksums;
      if (checksums !== expected) {
        throw new Error(`${kernel.name}: ${peer} computed ${checksums}, others ${expected}`);
      }
      done.get(peer)!.push(run);
    }
  }
  const instructions = instructionsOf(done);
  const speeds = new Map(
    [...done].map(([peer, list]) => [peer, medianSpeeds(list.map((r) => speedsOf(r, instructions)))]),
  );
  const plain = done.get("self"), recorded = done.get("record");
  return { speeds, cost: plain && recorded ? recordingCost(plain, recorded, instructions) : null };
}

function ratioOf(ours: Speeds, reference: Speeds | undefined): Speeds | null {
  if (!reference) return null;
  return {
    first: ours.first / reference.first,
    warm: ours.warm / reference.warm,
    whole: ours.whole / reference.whole,
  };
}

function printTable(rows: Row[]): void {
  console.log("million guest instructions a second (ratio to v86): first repetition | warm | whole run");
  for (const row of rows) {
    const cell = (key: keyof Speeds) => {
      const ratio = row.ratio ? ` (${row.ratio[key].toFixed(2)})` : "";
      return `${row.speeds[key].toFixed(0).padStart(6)}${ratio.padEnd(8)}`;
    };
    const name = `${row.kernel}, paging ${row.paging}`;
    console.log(
      `${name.padEnd(20)} ${row.peer.padEnd(12)} ${cell("first")} | ${cell("warm")} | ${cell("whole")}`,
    );
    if (row.cost) {
      const { warm, run } = row.cost, percent = (n: number) => `${(100 * n).toFixed(1)} %`;
      console.log(`${name.padEnd(20)} recording costs ${percent(warm)} warm, ${percent(run)} of a whole run`);
    }
  }
}

/** Entry point; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const options = parseArgs(args, {
    string: ["kernels", "peers", "paging", "runs", "reps", "format"],
    boolean: ["help"],
    default: {
      kernels: KERNELS.map((k) => k.name).join(),
      peers: "self,record,v86",
      paging: "4k",
      runs: "3",
      reps: "8",
      format: "table",
    },
  });
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const peers = (options.peers as string).split(","), paging = options.paging as Paging;
  const kernels = options.kernels.split(",").map((name: string) => KERNELS.find((k) => k.name === name));
  if (
    peers.some((p: string) => !PEERS[p]) || kernels.includes(undefined) ||
    !["off", "4k", "4m"].includes(paging)
  ) {
    console.error(HELP);
    return 2;
  }
  const directory = Deno.makeTempDirSync({ prefix: "retrovisor-bench-" });
  const rows: Row[] = [];
  try {
    for (const kernel of kernels as Kernel[]) {
      const image = buildGuest({ kernel, paging, reps: Number(options.reps), directory });
      const { speeds, cost } = await compare(kernel, image, peers, Number(options.runs));
      for (const [peer, s] of speeds) {
        rows.push({
          kernel: kernel.name,
          peer,
          paging,
          speeds: s,
          ratio: peer === "v86" ? null : ratioOf(s, speeds.get("v86")),
          ...(peer === "record" && cost ? { cost } : {}),
        });
      }
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  if (options.format === "json") console.log(JSON.stringify(rows, null, 1));
  else printTable(rows);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
