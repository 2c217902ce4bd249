/**
 * Runs one kernel on several peers, alternating, and holds their results against each other.
 *
 * @module
 */
import { buildGuest, type Paging } from "./build.ts";
import type { Bits, Kernel } from "./kernels.ts";
import type { PeerRun } from "./peer.ts";
import { PEERS, runPeer, unable } from "./peers.ts";

/** All runs of one kernel. */
export interface Compared {
  kernel: Kernel;
  bits: Bits;
  /** Guest instructions of each repetition, exact: as Retrovisor counts them. */
  instructions: number[];
  /** Runs by peer; peers that cannot run the kernel are left out. */
  runs: Map<string, PeerRun[]>;
  /** Why a peer is missing, by peer. */
  missing: Map<string, string>;
}

/** What to compare. */
export interface CompareOptions {
  kernel: Kernel;
  bits: Bits;
  paging: Paging;
  peers: readonly string[];
  /** Fresh processes per peer. */
  runs: number;
  reps: number;
  directory: string;
  /** Called before each run. */
  onRun?: (what: string) => void;
}

/**
 * Builds the kernel and runs it on all peers in turn, `runs` times over.
 * @throws Error when the kernel cannot be built, or two peers compute different checksums
 */
export async function compare(o: CompareOptions): Promise<Compared> {
  const { kernel, bits } = o, image = buildGuest(o);
  const result: Compared = { kernel, bits, instructions: [], runs: new Map(), missing: new Map() };
  for (const peer of o.peers) {
    const why = unable(PEERS[peer], kernel, bits);
    if (why !== null) result.missing.set(peer, why);
  }
  let expected: string | null = null;
  const check = (peer: string, run: PeerRun): void => {
    const sums = run.repetitions.map((r) => r.checksum).join(" ");
    expected ??= sums;
    if (sums === expected) return;
    throw new Error(`${kernel.name} (${bits}-bit): ${peer} computed ${sums}, others ${expected}`);
  };
  for (let n = 0; n < o.runs; n++) {
    const recordings = new Map<string, string>();
    const once = async (peer: string): Promise<PeerRun | null> => {
      o.onRun?.(`${kernel.name} ${bits}-bit, run ${n + 1} of ${o.runs}: ${peer}`);
      const recording = recordings.get(PEERS[peer].replays ?? "") ?? `${image}.${peer}`;
      recordings.set(peer, recording);
      try {
        const run = await runPeer(peer, kernel, bits, image, recording);
        check(peer, run);
        return run;
      } catch (error) {
        if (!(error instanceof Error) || error.message.includes("computed")) throw error;
        result.missing.set(peer, error.message);
        return null;
      }
    };
    for (const peer of o.peers) {
      if (result.missing.has(peer)) continue;
      const source = PEERS[peer].replays;
      if (source !== undefined && !recordings.has(source) && await once(source) === null) {
        result.missing.set(peer, `${source} failed`);
        continue;
      }
      const run = await once(peer);
      if (run !== null) result.runs.set(peer, [...result.runs.get(peer) ?? [], run]);
    }
    for (const path of recordings.values()) await Deno.remove(path, { recursive: true }).catch(() => {});
  }
  for (const peer of result.missing.keys()) result.runs.delete(peer);
  result.instructions = counts(result.runs) ??
    counts(new Map([["self", [await runPeer("self", kernel, bits, image, "")]]]))!;
  return result;
}

/** Instructions of each repetition, from a peer of ours that counts them; null: none did. */
function counts(runs: Map<string, PeerRun[]>): number[] | null {
  for (const [peer, list] of runs) {
    const of = list[0].repetitions.map((r) => r.instructions);
    if (PEERS[peer].command[0] === "peer_self.ts" && of.every((c) => c !== null)) return of as number[];
  }
  return null;
}
