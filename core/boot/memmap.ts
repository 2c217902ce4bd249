/**
 * Guest-physical memory layout: which ranges are backed, what the guest is told of them, and placing things in RAM.
 *
 * @module
 */
import type { MachineConfig } from "../config.ts";
import { GuestError } from "../config.ts";
import { PAGE_SIZE, type PhysMem } from "../mmu/physmem.ts";
import { alignUp, hex } from "./bytes.ts";
import { type AcpiTables, type MemoryRegion, MemoryType } from "./types.ts";

/**
 * Xen's special pages of an HVM domain (xenstore ring, console ring, ...): 8 pages below 0xff000000.
 * Source: Xen `tools/include/xenguest.h`, X86_HVM_NR_SPECIAL_PAGES and X86_HVM_END_SPECIAL_REGION.
 */
export const XEN_SPECIAL_PAGES = 0xfeff_8000, XEN_SPECIAL_BYTES = 8 * PAGE_SIZE;

/** Most guest RAM: everything stays below the devices' hole under 4 GiB. */
export const MAX_MEMORY_BYTES = 0xc000_0000;
const MIN_MEMORY_BYTES = 1 << 20;
/** The PC's hole for video memory, and where its BIOS area begins. */
const VGA_HOLE = 0xa_0000, VGA_HOLE_END = 0xc_0000, BIOS_AREA = 0xf_0000, MIB = 0x10_0000;
/** Conventional memory ends 1 KiB early for the extended BIOS data area. */
const EBDA = 0x9_fc00;

/** Backed RAM ranges and the map the guest is told, both ascending. */
export interface MemoryLayout {
  ram: { addr: number; size: number }[];
  map: MemoryRegion[];
}

/**
 * Decides the memory layout.
 *
 * A Xen PVH domain owns one piece of RAM from 0 (the ISA hole is RAM too, as the toolstack populates it), ACPI tables
 * and special pages below 4 GiB. Everything else gets a PC's map: conventional memory, hole, BIOS area, RAM from 1 MiB.
 * @throws GuestError when the memory size is not usable
 */
export function memoryLayout(config: MachineConfig, acpi: AcpiTables | null): MemoryLayout {
  const bytes = checkedMemory(config);
  const acpiRange = acpiRegion(acpi);
  const region = (addr: number, end: number, type: number): MemoryRegion => ({
    addr,
    size: end - addr,
    type,
  });
  const map: MemoryRegion[] = [];
  if (config.xen && config.type !== "bios") {
    map.push(region(0, bytes, MemoryType.RAM));
    if (acpiRange) map.push(acpiRange);
    map.push(region(XEN_SPECIAL_PAGES, XEN_SPECIAL_PAGES + XEN_SPECIAL_BYTES, MemoryType.RESERVED));
    return { ram: [{ addr: 0, size: bytes }], map };
  }
  map.push(region(0, EBDA, MemoryType.RAM), region(EBDA, VGA_HOLE, MemoryType.RESERVED));
  map.push(region(BIOS_AREA, MIB, MemoryType.RESERVED));
  if (bytes > MIB) map.push(region(MIB, bytes, MemoryType.RAM));
  if (acpiRange && acpiRange.addr >= bytes) map.push(acpiRange);
  const ram = [{ addr: 0, size: VGA_HOLE }, { addr: VGA_HOLE_END, size: bytes - VGA_HOLE_END }];
  return { ram, map };
}

/**
 * The size of guest RAM in bytes.
 * @throws GuestError when it is not a multiple of 4096 from 1 MiB to 3 GiB
 */
export function checkedMemory(config: MachineConfig): number {
  const bytes = config.memoryBytes;
  if (
    !Number.isInteger(bytes) || bytes % PAGE_SIZE !== 0 || bytes < MIN_MEMORY_BYTES ||
    bytes > MAX_MEMORY_BYTES
  ) {
    throw new GuestError(
      `Cannot give the guest ${bytes} bytes of memory: it must be a multiple of 4096 between 1 MiB and 3 GiB; ` +
        `set memory= to a number of MiB from 1 to 3072.`,
    );
  }
  return bytes;
}

/** The pages that ACPI tables take, as one region; null when there are none or they lie in the first MiB. */
function acpiRegion(acpi: AcpiTables | null): MemoryRegion | null {
  const high = (acpi?.blobs ?? []).filter((b) => b.gpa >= MIB);
  if (high.length === 0) return null;
  const first = Math.min(...high.map((b) => b.gpa));
  const end = alignUp(Math.max(...high.map((b) => b.gpa + b.bytes.length)), PAGE_SIZE);
  const addr = first - first % PAGE_SIZE;
  return { addr, size: end - addr, type: MemoryType.ACPI };
}

/** Backs RAM and, for Xen, the special pages; copies ACPI tables where they belong. */
export function mapMemory(
  config: MachineConfig,
  layout: MemoryLayout,
  acpi: AcpiTables | null,
  mem: PhysMem,
): void {
  for (const r of layout.ram) mem.map(r.addr, r.size);
  if (config.xen) mem.map(XEN_SPECIAL_PAGES, XEN_SPECIAL_BYTES);
  for (const blob of acpi?.blobs ?? []) {
    const first = blob.gpa - blob.gpa % PAGE_SIZE;
    mem.map(first, alignUp(blob.gpa + blob.bytes.length, PAGE_SIZE) - first);
    mem.write(blob.gpa, blob.bytes, true);
  }
}

/** True when `[addr, addr + size)` lies within one backed RAM range. */
export function inRam(layout: MemoryLayout, addr: number, size: number): boolean {
  return layout.ram.some((r) => addr >= r.addr && addr + size <= r.addr + r.size);
}

/** Hands out page-aligned RAM above what is already loaded. */
export class Placer {
  #next: number;
  readonly #end: number;

  /** @param from first free address; @param layout where RAM is */
  constructor(from: number, layout: MemoryLayout) {
    const last = layout.ram[layout.ram.length - 1];
    this.#next = alignUp(Math.max(from, MIB), PAGE_SIZE);
    this.#end = last.addr + last.size;
  }

  /**
   * Takes `size` bytes.
   * @param what what goes there, for the message
   * @returns the guest-physical address, page-aligned
   * @throws GuestError when RAM is too small
   */
  take(size: number, what: string): number {
    const at = this.#next;
    if (at + size > this.#end) {
      throw new GuestError(
        `Cannot place ${what} (${hex(size)} bytes) at ${hex(at)}: RAM ends at ${
          hex(this.#end)
        }; raise memory=.`,
      );
    }
    this.#next = alignUp(at + size, PAGE_SIZE);
    return at;
  }
}
