import { assert, assertEquals } from "@std/assert";
import { buildGuest } from "../bench/build.ts";
import { type Bits, type Kernel, KERNELS } from "../bench/kernels.ts";
import { type PeerRun, Stopwatch } from "../bench/peer.ts";
import { runPeer } from "../bench/peers.ts";
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import { NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { runUnrecorded } from "../replay/runner.ts";

/** True where a program can be started. */
function installed(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}
const ready = installed("gcc") && installed("objcopy") && installed("qemu-system-x86_64");

/** Runs an image here. @returns checksums, and instructions of each repetition */
async function runHere(image: string, kernel: Kernel, jitThreshold: number): Promise<PeerRun["repetitions"]> {
  const config: MachineConfig = {
    ...DEFAULT_CONFIG,
    name: "bench",
    type: "multiboot",
    memoryBytes: 64 << 20,
    xen: kernel.xen ?? false,
    platform: "pc",
  };
  const watch = new Stopwatch(() => 0);
  await runUnrecorded(
    config,
    [{ role: "kernel", name: kernel.name, bytes: Deno.readFileSync(image) }],
    new NoInputs(),
    {
      createMachine: (c, images, inputs) => createMachine(c, images, inputs, { jitThreshold }),
      onConsole(device, bytes, icount) {
        if (device === "port-e9") { for (const b of bytes) watch.put(b, icount); }
      },
    },
  );
  assert(watch.done, `${kernel.name} ended early`);
  return watch.run.repetitions;
}

for (const bits of [32, 64] as Bits[]) {
  Deno.test({
    name: `${bits}-bit benchmark kernels compute on both engines what they compute on QEMU`,
    ignore: !ready,
    async fn() {
      const directory = Deno.makeTempDirSync({ prefix: "retrovisor-test-" });
      try {
        for (const full of KERNELS) {
          // Rounds enough to be compiled, and few enough for a test.
          const kernel = { ...full, rounds: Math.max(2, Math.floor(full.rounds / 50)) };
          const image = buildGuest({ kernel, bits, paging: "4k", reps: 2, directory });
          const interpreted = await runHere(image, kernel, 0), compiled = await runHere(image, kernel, 50);
          assertEquals(compiled, interpreted.map((r, i) => ({ ...r, ms: compiled[i].ms })), kernel.name);
          if (kernel.xen) {
            assert(interpreted.every((r) => r.checksum !== "00000000"), "Xen answers");
            continue;
          }
          const { repetitions } = await runPeer("qemu", kernel, bits, image, "");
          assertEquals(interpreted.map((r) => r.checksum), repetitions.map((r) => r.checksum), kernel.name);
        }
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    },
  });
}
