/**
 * Builds the benchmark guests (bench/guests/) with gcc: freestanding images that every machine here can boot.
 *
 * @module
 */
import type { Bits, Kernel } from "./kernels.ts";

/** Paging that a guest switches on for itself; "large": 4 MiB or 2 MiB pages. */
export type Paging = "4k" | "large";

const FLAGS = (
  "-O2 -ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables " +
  "-fcf-protection=none -mno-red-zone -nostdlib -static -Wall -Wl,--build-id=none " +
  "-Wl,--no-warn-rwx-segments -Wl,-z,max-page-size=0x1000"
).split(" ");
const WIDTH_FLAGS: Record<Bits, string[]> = {
  32: ["-m32", "-march=i686", "-mno-sse", "-mno-mmx"],
  64: ["-m64", "-march=x86-64", "-mcmodel=small"],
};

/** What to build. */
export interface BuildOptions {
  kernel: Kernel;
  bits: Bits;
  paging: Paging;
  /** Repetitions the guest runs before it ends. */
  reps: number;
  /** Folder for the image. */
  directory: string;
}

/** Runs a tool. Throws one sentence when it is missing or fails. */
function tool(name: string, args: string[], source: string): void {
  let result: Deno.CommandOutput;
  try {
    result = new Deno.Command(name, { args, stderr: "piped" }).outputSync();
  } catch {
    throw new Error(`Cannot build the benchmark guests: ${name} is not installed`);
  }
  if (!result.success) {
    const said = new TextDecoder().decode(result.stderr).split("\n");
    throw new Error(`Cannot build ${source}: ${said.find((l) => l.includes("error")) ?? said[0]}`);
  }
}

/** Compiles one image; returns its path. Throws one sentence when gcc is missing or fails. */
export function buildGuest(o: BuildOptions): string {
  const guests = new URL("guests/", import.meta.url).pathname;
  const image = `${o.directory}/${o.kernel.name}-${o.bits}-${o.paging}.elf`;
  const defines = [
    `-DPAGING=${o.paging === "4k" ? 1 : 2}`,
    `-DREPS=${o.reps}`,
    `-DROUNDS=${o.kernel.rounds}`,
  ];
  const [start, script] = o.bits === 32 ? ["start.S", "guest.ld"] : ["start64.S", "guest64.ld"];
  const sources = [start, "main.c", o.kernel.source].map((f) => guests + f);
  const options = [...FLAGS, ...WIDTH_FLAGS[o.bits], ...o.kernel.flags ?? [], ...defines];
  tool("gcc", [...options, `-Wl,-T,${guests}${script}`, "-o", image, ...sources], o.kernel.source);
  // Multiboot loaders take 64-bit code only inside a 32-bit file.
  if (o.bits === 64) tool("objcopy", ["-O", "elf32-i386", image], o.kernel.source);
  return image;
}
