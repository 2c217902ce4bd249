/**
 * Naming the format of a guest image.
 *
 * @module
 */
import { GuestError } from "../config.ts";
import { isBios } from "./bios.ts";
import { ImageReader } from "./bytes.ts";
import { isBzImage } from "./bzimage.ts";
import { isElf, parseElf } from "./elf.ts";
import { findMultiboot } from "./multiboot.ts";
import { pvhEntry } from "./pvh.ts";
import type { ImageFormat } from "./types.ts";
import { compressionOf } from "./unpack.ts";

/**
 * Says which of the known formats a file is; never throws.
 * A PVH kernel that also has a multiboot header is "pvh-elf32" or "pvh-elf64".
 */
export function describeImage(bytes: Uint8Array): ImageFormat {
  if (isBzImage(bytes)) return "bzimage";
  if (isElf(bytes)) return describeElf(bytes);
  const compression = compressionOf(bytes);
  if (compression) return compression;
  if (findMultiboot(bytes) >= 0) return "multiboot";
  return isBios(bytes) ? "bios" : "unknown";
}

function describeElf(bytes: Uint8Array): ImageFormat {
  try {
    const r = new ImageReader("image", bytes);
    const elf = parseElf(r);
    if (pvhEntry(r, elf) !== null) return elf.bits === 32 ? "pvh-elf32" : "pvh-elf64";
    if (findMultiboot(bytes) >= 0) return "multiboot";
    return elf.bits === 32 ? "elf32" : "elf64";
  } catch (e) {
    if (e instanceof GuestError) return "unknown";
    throw e;
  }
}
