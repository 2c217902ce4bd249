/**
 * A processor alone: nothing answers at its ports, in its MMIO, or behind its interrupt pin.
 *
 * @module
 */
import type { CpuHooks } from "../../core/cpu/hooks.ts";

/** Thrown when a case reaches an instruction that is not built. */
export class Unimplemented extends Error {
  override name = "Unimplemented";
}

/** Hooks of a processor with no devices and no hypervisor around it. */
export const noWorld: CpuHooks = {
  interruptBlocked: () => {},
  portIn: () => 0xff,
  portOut() {},
  mmioRead: () => 0xff,
  mmioWrite() {},
  cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
  msrRead: () => false,
  msrWrite: () => false,
  vmmcall: () => false,
  hlt() {},
  tsc: () => 0,
  intercept() {},
  exception() {},
  interruptAck: () => -1,
  readTpr: () => 0,
  writeTpr() {},
  unimplemented(what) {
    throw new Unimplemented(what);
  },
};
