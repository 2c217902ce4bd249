/**
 * PVH boot: an ELF kernel with Xen's PHYS32_ENTRY note, entered in 32-bit protected mode with EBX = hvm_start_info.
 *
 * Source: Xen `docs/misc/pvh.pandoc`, `xen/include/public/arch-x86/hvm/start_info.h`, `public/elfnote.h`.
 *
 * @module
 */
import { GuestError, type GuestImage, type MachineConfig } from "../config.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { cString, hex, type ImageReader } from "./bytes.ts";
import { type ElfFile, elfNotes, parseElf } from "./elf.ts";
import { protectedEntry } from "./entry.ts";
import { mapMemory, type MemoryLayout, memoryLayout, Placer } from "./memmap.ts";
import { checkSegments, copySegments, inSegments } from "./segments.ts";
import { elfSymbols } from "./symbols.ts";
import type { AcpiTables, BootState, MemoryRegion } from "./types.ts";

/** XEN_ELFNOTE_PHYS32_ENTRY. (PHYS32_RELOC, 19, only allows to load elsewhere; images are loaded where they are linked.) */
const PHYS32_ENTRY = 18;
const START_INFO_MAGIC = 0x336e_c578, START_INFO_BYTES = 56, MODULE_BYTES = 32, MEMMAP_BYTES = 24;
/** Most bytes of command line, its terminating 0 included; Linux takes 2048, Xen 1024. */
export const MAX_CMDLINE = 4096;
/** Most modules. */
export const MAX_MODULES = 64;

/** An image handed to the guest beside the kernel. */
export interface PlacedModule {
  paddr: number;
  size: number;
}

/**
 * Finds the PVH entry point of an ELF image.
 * @returns physical address, or null when there is no such note
 * @throws GuestError when the note has a size other than 4 or 8
 */
export function pvhEntry(r: ImageReader, elf: ElfFile): number | null {
  const note = elfNotes(r, elf).find((n) => n.owner === "Xen" && n.type === PHYS32_ENTRY);
  if (!note) return null;
  if (note.descBytes === 4) return r.u32(note.descOffset, "the PHYS32_ENTRY note");
  if (note.descBytes !== 8) {
    r.fail(
      note.descOffset,
      `the PHYS32_ENTRY note has ${note.descBytes} bytes, not 4 or 8`,
      "build the kernel again",
    );
  }
  return r.u64(note.descOffset, "the PHYS32_ENTRY note");
}

/**
 * Loads a PVH kernel with its modules and builds `hvm_start_info`.
 *
 * As Xen's toolstack does: kernel where it is linked, modules after it, then start_info, memory map and strings.
 * @throws GuestError when the image is malformed or does not fit
 */
export function loadPvh(
  r: ImageReader,
  config: MachineConfig,
  modules: GuestImage[],
  mem: PhysMem,
  acpi: AcpiTables | null,
): BootState {
  const elf = parseElf(r);
  const entry = pvhEntry(r, elf);
  if (entry === null) {
    r.fail(
      0,
      "there is no Xen PHYS32_ENTRY note",
      "build it with PVH support, or set type= to linux or multiboot",
    );
  }
  const layout = memoryLayout(config, acpi);
  const end = checkSegments(r, elf, layout);
  if (!inSegments(elf, entry)) {
    r.fail(0, `the PVH entry point ${hex(entry)} lies outside the loaded segments`, "build the kernel again");
  }
  const placer = new Placer(end, layout);
  const cmdline = encodeCmdline(config.cmdline, MAX_CMDLINE);
  const placed = placeModules(modules, placer);
  const bytes = START_INFO_BYTES + placed.length * MODULE_BYTES + layout.map.length * MEMMAP_BYTES +
    cmdline.length;
  const startInfo = placer.take(bytes, "the start info");
  mapMemory(config, layout, acpi, mem);
  copySegments(r, elf, mem);
  placed.forEach((m, i) => mem.write(m.paddr, modules[i].bytes));
  mem.write(
    startInfo,
    buildStartInfo(startInfo, bytes, config.startInfoFlags, placed, layout, cmdline, acpi),
  );
  return {
    format: elf.bits === 32 ? "pvh-elf32" : "pvh-elf64",
    entry: protectedEntry(entry, { ebx: startInfo }),
    memoryMap: layout.map,
    startInfo,
    rsdp: acpi?.rsdp ?? null,
    symbols: elfSymbols(r, elf),
  };
}

/**
 * Encodes a command line.
 * @param limit most bytes, the terminating 0 included
 * @throws GuestError when it is longer or contains a NUL
 */
export function encodeCmdline(text: string, limit: number): Uint8Array {
  const bytes = cString(text);
  if (bytes.length > limit) {
    throw new GuestError(
      `Cannot pass the command line: it has ${bytes.length - 1} bytes and the kernel takes ${
        limit - 1
      }; shorten cmdline=.`,
    );
  }
  if (text.includes("\0")) {
    throw new GuestError(
      "Cannot pass the command line: it contains a NUL character; remove it from cmdline=.",
    );
  }
  return bytes;
}

/** Places modules in order, each on its own pages. */
export function placeModules(modules: GuestImage[], placer: Placer): PlacedModule[] {
  if (modules.length > MAX_MODULES) {
    throw new GuestError(
      `Cannot load ${modules.length} modules: at most ${MAX_MODULES} are passed on; give fewer.`,
    );
  }
  return modules.map((m) => ({ paddr: placer.take(m.bytes.length, m.name), size: m.bytes.length }));
}

/** hvm_start_info version 1, followed by module list, memory map and command line. All fields little-endian. */
function buildStartInfo(
  base: number,
  bytes: number,
  flags: number,
  modules: PlacedModule[],
  layout: MemoryLayout,
  cmdline: Uint8Array,
  acpi: AcpiTables | null,
): Uint8Array {
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  const u64 = (at: number, value: number) => {
    view.setUint32(at, value >>> 0, true);
    view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  };
  const modlist = START_INFO_BYTES, memmap = modlist + modules.length * MODULE_BYTES;
  const text = memmap + layout.map.length * MEMMAP_BYTES;
  view.setUint32(0, START_INFO_MAGIC, true);
  view.setUint32(4, 1, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, modules.length, true);
  u64(16, modules.length ? base + modlist : 0);
  u64(24, base + text);
  u64(32, acpi?.rsdp ?? 0);
  u64(40, base + memmap);
  view.setUint32(48, layout.map.length, true);
  modules.forEach((m, i) => {
    u64(modlist + i * MODULE_BYTES, m.paddr);
    u64(modlist + i * MODULE_BYTES + 8, m.size);
  });
  layout.map.forEach((region: MemoryRegion, i) => {
    u64(memmap + i * MEMMAP_BYTES, region.addr);
    u64(memmap + i * MEMMAP_BYTES + 8, region.size);
    view.setUint32(memmap + i * MEMMAP_BYTES + 16, region.type, true);
  });
  out.set(cmdline, text);
  return out;
}
