/**
 * Flat images: bytes at an address, entered in real, 32-bit protected, or 64-bit mode. For tests and small kernels.
 *
 * For 64-bit mode the loader makes page tables that map the first 4 GiB one to one (2 MiB pages, writable,
 * supervisor) and a flat GDT, in the last seven pages of RAM.
 *
 * @module
 */
import { GuestError, type MachineConfig } from "../config.ts";
import { PAGE_SIZE, type PhysMem } from "../mmu/physmem.ts";
import { hex, type ImageReader } from "./bytes.ts";
import { BOOT_CS, BOOT_DS, flatGdt, longEntry, protectedEntry, realEntry } from "./entry.ts";
import { inRam, mapMemory, memoryLayout } from "./memmap.ts";
import type { AcpiTables, BootEntry, BootState } from "./types.ts";

const TABLE_PAGES = 7;
const PRESENT_WRITABLE = 3, LARGE_PAGE = 0x80;

/**
 * Copies a flat image and enters it as the configuration says.
 * @throws GuestError when the configuration gives no addresses or they lie outside RAM
 */
export function loadFlat(
  r: ImageReader,
  config: MachineConfig,
  mem: PhysMem,
  acpi: AcpiTables | null,
): BootState {
  const flat = config.flat;
  if (!flat) {
    throw new GuestError(
      `Cannot load ${r.name}: a flat image needs an address; set load=, entry= and mode=.`,
    );
  }
  const layout = memoryLayout(config, acpi);
  if (!inRam(layout, flat.load, r.length)) {
    throw new GuestError(
      `Cannot load ${r.name}: ${hex(r.length)} bytes at ${
        hex(flat.load)
      } do not lie in RAM; set another load= or raise memory=.`,
    );
  }
  if (flat.mode === "real" && flat.entry >= 0x10_fff0) {
    throw new GuestError(
      `Cannot enter ${r.name}: ${hex(flat.entry)} is beyond real mode's reach; set entry= below 1 MiB.`,
    );
  }
  const tables = layout.ram[layout.ram.length - 1].addr + layout.ram[layout.ram.length - 1].size -
    TABLE_PAGES * PAGE_SIZE;
  if (flat.mode === "long" && flat.load + r.length > tables && flat.load < tables + TABLE_PAGES * PAGE_SIZE) {
    throw new GuestError(
      `Cannot load ${r.name}: the last ${TABLE_PAGES} pages of RAM hold page tables; raise memory=.`,
    );
  }
  mapMemory(config, layout, acpi, mem);
  mem.write(flat.load, r.bytes);
  return {
    format: "unknown",
    entry: flatEntry(flat.mode, flat.entry, tables, mem),
    memoryMap: layout.map,
    startInfo: null,
    rsdp: acpi?.rsdp ?? null,
    symbols: [],
  };
}

function flatEntry(mode: "real" | "prot32" | "long", entry: number, tables: number, mem: PhysMem): BootEntry {
  if (mode === "prot32") return protectedEntry(entry, {});
  if (mode === "long") {
    const gdt = writeTables(tables, mem);
    return longEntry(entry, tables, { base: gdt, limit: 31, code: BOOT_CS, data: BOOT_DS });
  }
  const base = Math.min(entry & ~0xf, 0xffff0);
  return realEntry({ selector: base >>> 4, base }, entry - base);
}

/** PML4, PDPT, four page directories, GDT; returns where the GDT is. */
function writeTables(at: number, mem: PhysMem): number {
  const page = (i: number) => at + i * PAGE_SIZE;
  mem.write32(page(0), page(1) | PRESENT_WRITABLE);
  for (let g = 0; g < 4; g++) {
    mem.write32(page(1) + g * 8, page(2 + g) | PRESENT_WRITABLE);
    for (let i = 0; i < 512; i++) {
      mem.write32(page(2 + g) + i * 8, (g * 512 + i) * 0x20_0000 + (PRESENT_WRITABLE | LARGE_PAGE));
    }
  }
  mem.write(page(6), flatGdt(true));
  return page(6);
}
