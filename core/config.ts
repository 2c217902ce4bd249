/**
 * What a machine is made of. Plain JSON apart from the image bytes, so that a recording can carry it.
 *
 * @module
 */

/** How the guest is loaded and what it finds. */
export type GuestType = "pvh" | "linux" | "multiboot" | "bios" | "flat";

/** Which events leave the guest; see `trace-schema`: what Xen 4.17 intercepts for PVH, what KVM does, or all. */
export type InterceptPreset = "xen" | "kvm" | "all";

/** Configuration of one machine. */
export interface MachineConfig {
  /** Name of the guest, for people. */
  name: string;
  /** How the guest is loaded. */
  type: GuestType;
  /** Guest RAM in bytes, a multiple of 4096, at most 3 GiB. */
  memoryBytes: number;
  /** Number of virtual processors. */
  vcpus: number;
  /** Kernel command line. */
  cmdline: string;
  /** Xen's CPUID leaves, hypercalls, event channels are there. */
  xen: boolean;
  /** Base of Xen's CPUID leaves (0x40000000, or 0x40000100 to leave room for viridian). */
  xenCpuidBase: number;
  /** SIF_INITDOMAIN and friends in start_info.flags (bit 0 privileged, bit 1 initdomain). */
  startInfoFlags: number;
  /** CPUID: a preset name, optionally followed by overrides, e.g. "host-like,-pae,+sse4_2". See `core/cpu/cpuid.ts`. */
  cpuid: string;
  /** Which events leave the guest. */
  intercepts: InterceptPreset;
  /** Devices beyond the CPU: "none" (PVH as Xen gives it), "pc" (PIC, PIT, UART, RTC, LAPIC, IO-APIC, debug ports). */
  platform: "none" | "pc";
  /** ACPI tables (RSDP to MADT) are given to the guest. */
  acpi: boolean;
  /** Virtual nanoseconds per instruction. */
  nsPerInstruction: number;
  /** Virtual TSC frequency in kHz. */
  tscKhz: number;
  /** vCPU scheduling: instructions per turn, and the seed that jitters them (0: no jitter). */
  quantum: number;
  /** Seed of the scheduler's jitter; 0: none. */
  seed: number;
  /** A PC sample every this many instructions; 0: none. */
  sampleInterval: number;
  /** Address at which a flat image is loaded and entered (type "flat"), and whether entry is "real", "prot32" or "long". */
  flat?: { load: number; entry: number; mode: "real" | "prot32" | "long" };
}

/** A file given to the guest, by role. */
export interface GuestImage {
  /** "kernel", "ramdisk", "bios", "module1", ... */
  role: string;
  /** File name as given, for people. */
  name: string;
  /** The whole file. */
  bytes: Uint8Array;
}

/** Defaults for every field a caller leaves out. */
export const DEFAULT_CONFIG: MachineConfig = {
  name: "guest",
  type: "pvh",
  memoryBytes: 128 * 1024 * 1024,
  vcpus: 1,
  cmdline: "",
  xen: true,
  xenCpuidBase: 0x4000_0000,
  startInfoFlags: 0,
  cpuid: "default",
  intercepts: "xen",
  platform: "none",
  acpi: true,
  nsPerInstruction: 1,
  tscKhz: 1_000_000,
  quantum: 100_000,
  seed: 0,
  sampleInterval: 0,
};

/** The console that unaddressed input goes to: Xen's, or the first serial port where there is a PC around the guest. */
export function consoleTarget(config: MachineConfig): string {
  return config.xen && config.platform === "none" ? "xen" : "uart0";
}

/** A guest image, configuration, or trace that cannot be used: one sentence with what, where, and what to do next. */
export class GuestError extends Error {
  /** Always "GuestError". */
  override name = "GuestError";
}
