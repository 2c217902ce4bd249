/**
 * Opens a recording, or a machine that runs, for a debugger.
 *
 * @module
 */
import { kernelImage } from "../../core/boot/kernel_image.ts";
import type { GuestImage, MachineConfig } from "../../core/config.ts";
import { createMachine, type RetrovisorMachine } from "../../core/machine.ts";
import { TraceError } from "../../traces/errors.ts";
import type { Bundle } from "../../traces/bundle.ts";
import { ReplaySession } from "../session.ts";
import { Traveler } from "../traveler.ts";
import type { Architecture } from "./registers.ts";
import { imageElf, symbolElf } from "./symbol_elf.ts";
import { Target } from "./target.ts";

/**
 * A traveler through a recording, at its beginning, and its machine as a target.
 * @param arch what gdb takes the processor for; left out: by the guest
 * @throws TraceError, GuestError, Divergence
 */
export function openForDebugging(
  bundle: Bundle,
  arch?: Architecture,
): { traveler: Traveler; target: Target } {
  const made: RetrovisorMachine[] = [];
  const session = new ReplaySession(bundle, (config, images, inputs) => {
    const machine = createMachine(config, images, inputs);
    made.push(machine);
    return machine;
  });
  if (session.checkpoints.length === 0) {
    const where = { table: "checkpoints", batch: null, offset: null };
    throw new TraceError("The recording has no checkpoint, so there is no way back in it", where);
  }
  const traveler = new Traveler(session, made[0]);
  // Once: what is found out about an image is kept with its bytes.
  const images = bundle.images(), as = arch ?? architectureOf(bundle.manifest.config, images);
  return { traveler, target: new Target(made[0], as, symbolElf(bundle, images, as)) };
}

/** A machine that is about to run as a target. @param arch as for `openForDebugging` */
export function liveTarget(
  machine: RetrovisorMachine,
  images: readonly GuestImage[],
  arch?: Architecture,
): Target {
  const as = arch ?? architectureOf(machine.config, images);
  return new Target(machine, as, imageElf(images, as));
}

/** A BIOS begins in real mode; else by the kernel's ELF file, which may be inside a bzImage. */
function architectureOf(config: MachineConfig, images: readonly GuestImage[]): Architecture {
  if (config.type === "bios") return "i8086";
  const image = images.find((i) => i.role === "kernel");
  const kernel = image === undefined ? null : kernelImage(image.name, image.bytes);
  return kernel?.elf.bits === 32 ? "i386" : "x86-64";
}
