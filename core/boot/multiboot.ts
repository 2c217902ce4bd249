/**
 * Multiboot 1: kernels with a header in their first 8 KiB, entered in 32-bit protected mode with EBX = information.
 *
 * Source: "Multiboot Specification version 0.6.96" (GNU).
 *
 * @module
 */
import type { GuestImage, MachineConfig } from "../config.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { alignUp, cString, hex, type ImageReader } from "./bytes.ts";
import { parseElf } from "./elf.ts";
import { protectedEntry } from "./entry.ts";
import { inRam, mapMemory, type MemoryLayout, memoryLayout, Placer } from "./memmap.ts";
import { encodeCmdline, MAX_CMDLINE, type PlacedModule, placeModules } from "./pvh.ts";
import { checkSegments, copySegments, inSegments } from "./segments.ts";
import { elfSymbols, type SymbolEntry } from "./symbols.ts";
import type { AcpiTables, BootState } from "./types.ts";

const HEADER_MAGIC = 0x1bad_b002, BOOT_MAGIC = 0x2bad_b002, SEARCH_BYTES = 8192;
/** Header flags: modules page-aligned, memory information wanted, video mode wanted, address fields given. */
const PAGE_ALIGN = 1, MEMORY_INFO = 2, VIDEO_MODE = 4, ADDRESS_FIELDS = 0x10000;
/** Information flags: memory, command line, modules, memory map, boot loader name. */
const HAS_MEMORY = 1, HAS_CMDLINE = 4, HAS_MODULES = 8, HAS_MMAP = 0x40, HAS_LOADER_NAME = 0x200;
const INFO_BYTES = 116, MODULE_BYTES = 16, MMAP_BYTES = 24;
const LOADER_NAME = "retrovisor";

/** A loaded kernel: where it begins to run and where it ends. */
interface LoadedKernel {
  entry: number;
  end: number;
  symbols: SymbolEntry[];
  copy: (mem: PhysMem) => void;
}

/** Offset of the multiboot header in a file, or -1. */
export function findMultiboot(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(bytes.length, SEARCH_BYTES) - 12;
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(at + 4, true), checksum = view.getUint32(at + 8, true);
    if (((HEADER_MAGIC + flags + checksum) >>> 0) === 0) return at;
  }
  return -1;
}

/**
 * Loads a multiboot 1 kernel and builds its information structure.
 * @throws GuestError when the image is malformed, does not fit, or asks for what is not given
 */
export function loadMultiboot(
  r: ImageReader,
  config: MachineConfig,
  modules: GuestImage[],
  mem: PhysMem,
  acpi: AcpiTables | null,
): BootState {
  const header = findMultiboot(r.bytes);
  if (header < 0) {
    r.fail(0, "there is no multiboot header in the first 8 KiB", "set type= to pvh, linux or bios");
  }
  const flags = r.u32(header + 4, "the multiboot header");
  if (flags & 0xffff & ~(PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE)) {
    r.fail(
      header + 4,
      `the flags ${hex(flags)} require something unknown`,
      "give a kernel for multiboot 0.6.96",
    );
  }
  const layout = memoryLayout(config, acpi);
  const kernel = flags & ADDRESS_FIELDS ? addressFields(r, header, layout) : elfKernel(r, layout);
  const placer = new Placer(kernel.end, layout);
  const placed = placeModules(modules, placer);
  const names = modules.map((m) => cString(m.name));
  const cmdline = encodeCmdline(config.cmdline, MAX_CMDLINE);
  const bytes = INFO_BYTES + placed.length * MODULE_BYTES + layout.map.length * MMAP_BYTES +
    names.reduce((sum, n) => sum + n.length, cmdline.length + LOADER_NAME.length + 1);
  const info = placer.take(alignUp(bytes, 4), "the multiboot information");
  mapMemory(config, layout, acpi, mem);
  kernel.copy(mem);
  placed.forEach((m, i) => mem.write(m.paddr, modules[i].bytes));
  mem.write(info, buildInfo(info, bytes, layout, placed, names, cmdline));
  return {
    format: "multiboot",
    entry: protectedEntry(kernel.entry, { eax: BOOT_MAGIC, ebx: info }),
    memoryMap: layout.map,
    startInfo: info,
    rsdp: acpi?.rsdp ?? null,
    symbols: kernel.symbols,
  };
}

function elfKernel(r: ImageReader, layout: MemoryLayout): LoadedKernel {
  const elf = parseElf(r);
  const end = checkSegments(r, elf, layout);
  if (!inSegments(elf, elf.entry)) {
    r.fail(24, `the entry point ${hex(elf.entry)} lies outside the loaded segments`, "link the kernel again");
  }
  return { entry: elf.entry, end, symbols: elfSymbols(r, elf), copy: (mem) => copySegments(r, elf, mem) };
}

function addressFields(r: ImageReader, header: number, layout: MemoryLayout): LoadedKernel {
  const field = (i: number) => r.u32(header + 12 + i * 4, "the multiboot address fields");
  const headerAddr = field(0), loadAddr = field(1), loadEnd = field(2), bssEnd = field(3), entry = field(4);
  const next = "link the kernel again";
  if (headerAddr < loadAddr || headerAddr - loadAddr > header) {
    r.fail(
      header + 12,
      `header address ${hex(headerAddr)} does not agree with load address ${hex(loadAddr)}`,
      next,
    );
  }
  const offset = header - (headerAddr - loadAddr);
  if (loadEnd !== 0 && loadEnd < loadAddr) {
    r.fail(header + 20, "the load end lies before the load address", next);
  }
  const fileBytes = loadEnd === 0 ? r.length - offset : loadEnd - loadAddr;
  const bytes = r.slice(offset, fileBytes, "the kernel");
  const end = Math.max(loadAddr + fileBytes, bssEnd);
  if (!inRam(layout, loadAddr, end - loadAddr)) {
    r.fail(header + 16, `the kernel ${hex(loadAddr)}-${hex(end)} does not lie in RAM`, "raise memory=");
  }
  if (entry < loadAddr || entry >= end) {
    r.fail(header + 28, `the entry point ${hex(entry)} is not loaded`, next);
  }
  return { entry, end, symbols: [], copy: (mem) => mem.write(loadAddr, bytes) };
}

/** The information structure, then module list, memory map and strings. */
function buildInfo(
  base: number,
  bytes: number,
  layout: MemoryLayout,
  modules: PlacedModule[],
  names: Uint8Array[],
  cmdline: Uint8Array,
): Uint8Array {
  const out = new Uint8Array(alignUp(bytes, 4));
  const view = new DataView(out.buffer);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  const modlist = INFO_BYTES, mmap = modlist + modules.length * MODULE_BYTES;
  let text = mmap + layout.map.length * MMAP_BYTES;
  const string = (s: Uint8Array): number => {
    out.set(s, text);
    text += s.length;
    return base + text - s.length;
  };
  u32(0, HAS_MEMORY | HAS_CMDLINE | HAS_MMAP | HAS_LOADER_NAME | (modules.length ? HAS_MODULES : 0));
  u32(4, Math.min(640, layout.map[0].size >>> 10)); // KiB below 1 MiB
  const last = layout.ram[layout.ram.length - 1];
  u32(8, Math.max(0, last.addr + last.size - 0x10_0000) / 1024); // KiB from 1 MiB
  u32(16, string(cmdline));
  u32(20, modules.length);
  u32(24, modules.length ? base + modlist : 0);
  u32(44, layout.map.length * MMAP_BYTES);
  u32(48, base + mmap);
  u32(64, string(cString(LOADER_NAME)));
  modules.forEach((m, i) => {
    u32(modlist + i * MODULE_BYTES, m.paddr);
    u32(modlist + i * MODULE_BYTES + 4, m.paddr + m.size);
    u32(modlist + i * MODULE_BYTES + 8, string(names[i]));
  });
  layout.map.forEach((m, i) => {
    const at = mmap + i * MMAP_BYTES;
    u32(at, MMAP_BYTES - 4); // size of the entry without this field
    u32(at + 4, m.addr);
    u32(at + 12, m.size);
    u32(at + 20, m.type);
  });
  return out;
}
