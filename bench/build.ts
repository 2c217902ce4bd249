/**
 * Builds the benchmark guests (bench/guests/) with gcc: freestanding 32-bit images that every machine here can boot.
 *
 * @module
 */

/** Paging that a guest switches on for itself. */
export type Paging = "off" | "4k" | "4m";

/** One workload. */
export interface Kernel {
  name: string;
  source: string;
  /** Rounds per repetition: tens of millions of instructions. */
  rounds: number;
}

/** All workloads. */
export const KERNELS: readonly Kernel[] = [
  { name: "mix", source: "mix.c", rounds: 200 },
  { name: "sieve", source: "sieve.c", rounds: 6 },
];

const FLAGS = [
  "-m32",
  "-march=i686",
  "-O2",
  "-ffreestanding",
  "-fno-pic",
  "-no-pie",
  "-fno-stack-protector",
  "-fno-asynchronous-unwind-tables",
  "-fcf-protection=none",
  "-mno-sse",
  "-mno-mmx",
  "-nostdlib",
  "-static",
  "-Wl,--build-id=none",
  "-Wl,--no-warn-rwx-segments",
];

/** What to build. */
export interface BuildOptions {
  kernel: Kernel;
  paging: Paging;
  /** Repetitions the guest runs before it ends. */
  reps: number;
  /** Folder for the image. */
  directory: string;
}

/** Compiles one image; returns its path. Throws one sentence when gcc is missing or fails. */
export function buildGuest(o: BuildOptions): string {
  const guests = new URL("guests/", import.meta.url).pathname;
  const image = `${o.directory}/${o.kernel.name}-${o.paging}.elf`;
  const paging = { off: 0, "4k": 1, "4m": 2 }[o.paging];
  const defines = [`-DPAGING=${paging}`, `-DREPS=${o.reps}`, `-DROUNDS=${o.kernel.rounds}`];
  const sources = ["start.S", "main.c", o.kernel.source].map((f) => guests + f);
  const args = [...FLAGS, ...defines, `-Wl,-T,${guests}guest.ld`, "-o", image, ...sources];
  let result: Deno.CommandOutput;
  try {
    result = new Deno.Command("gcc", { args, stderr: "piped" }).outputSync();
  } catch {
    throw new Error("Cannot build the benchmark guests: gcc is not installed");
  }
  if (!result.success) {
    throw new Error(
      `Cannot build ${o.kernel.source}: ${new TextDecoder().decode(result.stderr).split("\n")[0]}`,
    );
  }
  return image;
}
