/**
 * The machines that are compared, and how one of them is run once.
 *
 * @module
 */
import type { Bits, Kernel } from "./kernels.ts";
import type { PeerRun } from "./peer.ts";

/** A machine, set up in one way. */
export interface Peer {
  /** For people. */
  about: string;
  /** Script beside this file, then its options; RECORDING stands for the place of the recording. */
  command: string[];
  /** Peer whose recording this one replays. */
  replays?: string;
  /** Runs 64-bit guests. */
  long: boolean;
  /** Has Xen's hypercalls. */
  xen: boolean;
}

const self = (about: string, ...options: string[]): Peer => ({
  about,
  command: ["peer_self.ts", ...options],
  long: true,
  xen: true,
});
const qemu = (about: string, ...options: string[]): Peer => ({
  about,
  command: ["peer_qemu.ts", ...options],
  long: true,
  xen: false,
});
const RR = "rrfile=RECORDING";

/** Every peer by name. */
export const PEERS: Readonly<Record<string, Peer>> = {
  self: self("Retrovisor as configured, not recording"),
  record: self("Retrovisor recording", "--record", "RECORDING"),
  "record-bare": self(
    "Retrovisor recording without checkpoints on the way",
    "--record",
    "RECORDING",
    "--checkpoint-interval",
    "0",
  ),
  replay: { ...self("Retrovisor replaying", "--replay", "RECORDING"), replays: "record" },
  interpreter: self("Retrovisor without compiler", "--jit", "0"),
  "interpreter-record": self("Retrovisor without compiler, recording", "--jit", "0", "--record", "RECORDING"),
  v86: { about: "npm v86, in Deno", command: ["peer_v86.ts"], long: false, xen: false },
  qemu: qemu("QEMU TCG"),
  "qemu-icount": qemu("QEMU TCG, -icount shift=0", "-icount", "shift=0"),
  "qemu-record": qemu("QEMU TCG, rr=record", "-icount", `shift=0,rr=record,${RR}`),
  "qemu-replay": {
    ...qemu("QEMU TCG, rr=replay", "-icount", `shift=0,rr=replay,${RR}`),
    replays: "qemu-record",
  },
};

/** One run may take this long before it is given up. */
const TIMEOUT_MS = 300_000;

/** Whether a peer can run a kernel; if not, why. */
export function unable(peer: Peer, kernel: Kernel, bits: Bits): string | null {
  if (bits === 64 && !peer.long) return "no 64-bit mode";
  if (kernel.xen && !peer.xen) return "no Xen hypercalls";
  return null;
}

/**
 * Runs a peer once, in a fresh process.
 * @param recording place of its recording, when it makes or replays one
 * @param profile file for a V8 profile of the process (peers that are Retrovisor only); null: none
 * @throws Error with one sentence when it fails, or computes for ever
 */
export async function runPeer(
  name: string,
  kernel: Kernel,
  bits: Bits,
  image: string,
  recording: string,
  profile: string | null = null,
): Promise<PeerRun> {
  const [script, ...options] = PEERS[name].command;
  const path = new URL(script, import.meta.url).pathname;
  const xen = kernel.xen ? ["--xen"] : [], cut = (profile ?? "").lastIndexOf("/");
  const flags = profile === null
    ? []
    : [`--cpu-prof-dir=${profile.slice(0, cut)}`, `--cpu-prof-name=${profile.slice(cut + 1)}`];
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", ...flags, path, image, String(bits)],
      ...options.map((o) => o.replace("RECORDING", recording)),
      ...xen,
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGTERM"), TIMEOUT_MS);
  const output = await child.output();
  clearTimeout(timer);
  const text = new TextDecoder().decode(output.stdout).trim().split("\n").at(-1) ?? "";
  if (!output.success || !text.startsWith("{")) {
    const said = output.signal === "SIGTERM"
      ? `it did not end within ${TIMEOUT_MS / 1000} s`
      : new TextDecoder().decode(output.stderr).trim().split("\n")[0];
    throw new Error(`Cannot run ${kernel.name} (${bits}-bit) on ${name}: ${said}`);
  }
  return JSON.parse(text);
}
