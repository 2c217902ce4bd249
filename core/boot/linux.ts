/**
 * The Linux 32-bit boot protocol: a bzImage's protected-mode kernel, entered with ESI = boot_params ("zero page").
 *
 * Source: Linux `Documentation/arch/x86/boot.rst` ("32-bit Boot Protocol") and `zero-page.rst`.
 *
 * What lies where, guest-physical: GDT 0x1000, boot_params 0x10000, command line 0x20000, kernel at its preferred
 * address when it is relocatable and 1 MiB otherwise, ramdisk as high as RAM and the kernel's limit allow.
 *
 * @module
 */
import { GuestError, type GuestImage, type MachineConfig } from "../config.ts";
import { PAGE_SIZE, type PhysMem } from "../mmu/physmem.ts";
import { hex, type ImageReader } from "./bytes.ts";
import { parseSetupHeader, type SetupHeader } from "./bzimage.ts";
import { BOOT_CS, BOOT_DS, flatGdt, protectedEntry } from "./entry.ts";
import { inRam, mapMemory, type MemoryLayout, memoryLayout } from "./memmap.ts";
import { encodeCmdline, type PlacedModule } from "./pvh.ts";
import type { AcpiTables, BootState } from "./types.ts";

/** Guest-physical addresses of what the loader makes. */
export const LINUX_GDT = 0x1000, LINUX_BOOT_PARAMS = 0x1_0000, LINUX_CMDLINE = 0x2_0000;
const KERNEL_DEFAULT = 0x10_0000, LOADED_HIGH = 1, MAX_E820 = 128;
/** type_of_loader: 0xff, a loader without an assigned number. */
const LOADER_UNDEFINED = 0xff;

/**
 * Loads a bzImage and builds boot_params.
 * @throws GuestError when the image is malformed or does not fit
 */
export function loadLinux(
  r: ImageReader,
  config: MachineConfig,
  modules: GuestImage[],
  mem: PhysMem,
  acpi: AcpiTables | null,
): BootState {
  const header = parseSetupHeader(r);
  if (!(header.loadflags & LOADED_HIGH)) {
    r.fail(0x211, "it is a zImage, loaded below 1 MiB", "give a bzImage");
  }
  if (modules.length > 1) {
    throw new GuestError(
      `Cannot pass ${modules.length} modules: the Linux protocol takes one ramdisk; give one.`,
    );
  }
  const layout = memoryLayout(config, acpi);
  const kernel = r.bytes.subarray(header.setupBytes);
  const load = header.relocatable && header.prefAddress >= KERNEL_DEFAULT
    ? header.prefAddress
    : KERNEL_DEFAULT;
  const needs = Math.max(kernel.length, header.initSize);
  if (!inRam(layout, load, needs)) {
    r.fail(0x258, `the kernel needs ${hex(needs)} bytes at ${hex(load)}, which is not RAM`, "raise memory=");
  }
  const cmdline = encodeCmdline(config.cmdline, Math.min(header.cmdlineSize || 255, 0xffff) + 1);
  const ramdisk = modules[0] ? placeRamdisk(modules[0], header, layout, load + needs) : null;
  mapMemory(config, layout, acpi, mem);
  mem.write(load, kernel);
  mem.write(LINUX_CMDLINE, cmdline);
  mem.write(LINUX_GDT, flatGdt(false));
  if (ramdisk) mem.write(ramdisk.paddr, modules[0].bytes);
  mem.write(LINUX_BOOT_PARAMS, buildBootParams(r, header, layout, load, ramdisk, acpi));
  const gdt = { base: LINUX_GDT, limit: 31, code: BOOT_CS, data: BOOT_DS };
  return {
    format: "bzimage",
    entry: protectedEntry(load, { esi: LINUX_BOOT_PARAMS }, gdt),
    memoryMap: layout.map,
    startInfo: LINUX_BOOT_PARAMS,
    rsdp: acpi?.rsdp ?? null,
    symbols: [],
  };
}

function placeRamdisk(
  image: GuestImage,
  header: SetupHeader,
  layout: MemoryLayout,
  above: number,
): PlacedModule {
  const last = layout.ram[layout.ram.length - 1];
  const end = Math.min(last.addr + last.size, (header.initrdAddrMax || 0x37ff_ffff) + 1);
  const paddr = Math.floor((end - image.bytes.length) / PAGE_SIZE) * PAGE_SIZE;
  if (paddr < above) {
    throw new GuestError(
      `Cannot place ${image.name} (${hex(image.bytes.length)} bytes) between the kernel's end ${
        hex(above)
      } and ` +
        `${hex(end)}; raise memory=.`,
    );
  }
  return { paddr, size: image.bytes.length };
}

/** struct boot_params: one page, the setup header copied in at its own offset. */
function buildBootParams(
  r: ImageReader,
  header: SetupHeader,
  layout: MemoryLayout,
  load: number,
  ramdisk: PlacedModule | null,
  acpi: AcpiTables | null,
): Uint8Array {
  const out = new Uint8Array(PAGE_SIZE);
  const view = new DataView(out.buffer);
  const end = Math.min(header.headerEnd, 0x290);
  out.set(r.slice(0x1f1, end - 0x1f1, "the setup header"), 0x1f1);
  // screen_info: 80x25 colour text, mode 3, as a PC's firmware leaves it.
  out[0x06] = 3;
  out[0x07] = 80;
  out[0x0e] = 25;
  out[0x0f] = 1;
  view.setUint16(0x10, 16, true);
  const mib = layout.map.find((m) => m.addr === KERNEL_DEFAULT);
  view.setUint32(0x1e0, mib ? mib.size >>> 10 : 0, true); // alt_mem_k
  if (acpi) view.setUint32(0x70, acpi.rsdp, true); // acpi_rsdp_addr
  out[0x210] = LOADER_UNDEFINED;
  view.setUint32(0x214, load, true); // code32_start
  view.setUint32(0x218, ramdisk?.paddr ?? 0, true);
  view.setUint32(0x21c, ramdisk?.size ?? 0, true);
  view.setUint32(0x228, LINUX_CMDLINE, true);
  const map = layout.map.slice(0, MAX_E820);
  out[0x1e8] = map.length;
  map.forEach((m, i) => {
    const at = 0x2d0 + i * 20;
    view.setUint32(at, m.addr, true);
    view.setUint32(at + 8, m.size, true);
    view.setUint32(at + 16, m.type, true);
  });
  return out;
}
