/**
 * Loading a guest: images into guest memory, boot structures built, and the state to start in.
 *
 * @module
 */
import { GuestError, type GuestImage, type MachineConfig } from "../config.ts";
import { PAGE_SIZE, type PhysMem } from "../mmu/physmem.ts";
import { loadBios } from "./bios.ts";
import { alignUp, ImageReader } from "./bytes.ts";
import { extractVmlinux, isBzImage, MAX_UNPACKED } from "./bzimage.ts";
import { loadFlat } from "./flat.ts";
import { loadLinux } from "./linux.ts";
import { checkedMemory, XEN_SPECIAL_BYTES } from "./memmap.ts";
import { loadMultiboot } from "./multiboot.ts";
import { loadPvh } from "./pvh.ts";
import type { AcpiTables, BootState } from "./types.ts";
import { compressionOf, unpack } from "./unpack.ts";

/** Room for what is mapped beside RAM: BIOS ROM and its alias, pages the guest places (shared info, grants). */
const EXTRA_BYTES = 4 << 20;

/**
 * Most bytes of guest pages a machine of this configuration backs; what `PhysMem` is to be created with.
 * @param acpi ACPI tables that are going to be loaded
 * @throws GuestError when the memory size is not usable
 */
export function memoryCapacity(config: MachineConfig, acpi: AcpiTables | null = null): number {
  const tables = (acpi?.blobs ?? []).reduce(
    (sum, b) => sum + alignUp(b.bytes.length, PAGE_SIZE) + PAGE_SIZE,
    0,
  );
  return checkedMemory(config) + EXTRA_BYTES + XEN_SPECIAL_BYTES + tables;
}

/**
 * Maps RAM, copies the images, builds what the guest's boot protocol wants.
 *
 * Roles: "kernel" (for type "bios" also "bios"), "ramdisk" and "module1", "module2", ... in that order.
 * @param config the machine; `type` says which protocol
 * @param images files by role
 * @param mem fresh guest memory, at least `memoryCapacity(config, acpi)` large
 * @param acpi tables for the guest; null for none
 * @returns the state to start in
 * @throws GuestError when an image is missing, malformed, or does not fit
 */
export function loadGuest(
  config: MachineConfig,
  images: GuestImage[],
  mem: PhysMem,
  acpi: AcpiTables | null = null,
): BootState {
  const wanted = config.type === "bios" ? "bios" : "kernel";
  const kernel = images.find((i) => i.role === wanted) ?? images.find((i) => i.role === "kernel");
  if (!kernel) {
    throw new GuestError(
      `Cannot start ${config.name}: there is no ${wanted} image; set ${wanted}= to a file.`,
    );
  }
  const modules = moduleImages(images);
  const r = new ImageReader(kernel.name, kernel.bytes);
  switch (config.type) {
    case "pvh":
      return loadPvh(unpackedKernel(r), config, modules, mem, acpi);
    case "linux":
      return loadLinux(r, config, modules, mem, acpi);
    case "multiboot":
      return loadMultiboot(unpackedKernel(r), config, modules, mem, acpi);
    case "bios":
      return loadBios(r, config, mem, acpi);
    case "flat":
      return loadFlat(r, config, mem, acpi);
  }
}

/** The ELF file inside a bzImage or a compressed file; other files as they are. */
function unpackedKernel(r: ImageReader): ImageReader {
  if (isBzImage(r.bytes)) return extractVmlinux(r);
  if (compressionOf(r.bytes) === null) return r;
  return new ImageReader(`${r.name} (unpacked)`, unpack(r, null, MAX_UNPACKED));
}

/** Ramdisk first, then module1, module2, ... by number. */
function moduleImages(images: GuestImage[]): GuestImage[] {
  const order = (role: string): number => {
    if (role === "ramdisk") return 0;
    return /^module\d{1,4}$/.test(role) ? Number(role.slice(6)) + 1 : -1;
  };
  return images.filter((i) => order(i.role) >= 0).sort((a, b) => order(a.role) - order(b.role));
}
