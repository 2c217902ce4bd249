/**
 * A BIOS image: ROM that ends at 4 GiB, its last 128 KiB also below 1 MiB, entered at the reset vector.
 *
 * The copy below 1 MiB is RAM, as on a PC whose shadow RAM is open (QEMU's isapc does the same): firmware without a
 * chipset to program would otherwise not be able to write its own variables.
 * Source: Intel SDM volume 3, "Processor State After Reset".
 *
 * @module
 */
import type { MachineConfig } from "../config.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { hex, type ImageReader } from "./bytes.ts";
import { realEntry } from "./entry.ts";
import { mapMemory, memoryLayout } from "./memmap.ts";
import type { AcpiTables, BootState } from "./types.ts";

const MIN_BYTES = 64 << 10, MAX_BYTES = 256 << 10, ALIAS_BYTES = 128 << 10;
const FOUR_GIB = 0x1_0000_0000, MIB = 0x10_0000;

/** True when a file has the size and the far jump at the reset vector that BIOS images have. */
export function isBios(bytes: Uint8Array): boolean {
  const n = bytes.length;
  return n >= MIN_BYTES && n <= MAX_BYTES && n % MIN_BYTES === 0 && bytes[n - 16] === 0xea;
}

/**
 * Maps a BIOS image and enters it as a processor leaves reset.
 * @throws GuestError when its size is not 64, 128, 192 or 256 KiB
 */
export function loadBios(
  r: ImageReader,
  config: MachineConfig,
  mem: PhysMem,
  acpi: AcpiTables | null,
): BootState {
  const n = r.length;
  if (n < MIN_BYTES || n > MAX_BYTES || n % MIN_BYTES !== 0) {
    r.fail(
      0,
      `${hex(n)} bytes is not a BIOS size (64 to 256 KiB in steps of 64)`,
      "give an image such as SeaBIOS's bios.bin",
    );
  }
  const layout = memoryLayout(config, acpi);
  mapMemory(config, layout, acpi, mem);
  mem.map(FOUR_GIB - n, n, "rom");
  mem.write(FOUR_GIB - n, r.bytes, true);
  const alias = r.bytes.subarray(Math.max(0, n - ALIAS_BYTES));
  mem.map(MIB - alias.length, alias.length);
  mem.write(MIB - alias.length, alias);
  return {
    format: "bios",
    entry: realEntry({ selector: 0xf000, base: 0xffff_0000 }, 0xfff0),
    memoryMap: layout.map,
    startInfo: null,
    rsdp: acpi?.rsdp ?? null,
    symbols: [],
  };
}
