/**
 * Symbols of a recording that carries none of its own: taken from the images inside.
 *
 * @module
 */
import { Table, tableToIPC, Uint64, Utf8, vectorFromArray } from "apache-arrow";
import { ImageReader } from "../core/boot/bytes.ts";
import { extractVmlinux, isBzImage } from "../core/boot/bzimage.ts";
import { extractSymbols } from "../core/boot/symbols.ts";
import { GuestError, type GuestImage } from "../core/config.ts";

/** The images' symbols as an Arrow IPC stream with the columns of table `symbols`; null when there are none. */
export function imageSymbols(images: readonly GuestImage[]): Uint8Array | null {
  const rows = images.flatMap((image) =>
    symbolsOf(image).map((s) => ({ ...s, module: image.name, source: "elf" }))
  );
  if (rows.length === 0) return null;
  return tableToIPC(
    new Table({
      start: vectorFromArray(rows.map((r) => r.start), new Uint64()),
      size: vectorFromArray(rows.map((r) => BigInt(r.size)), new Uint64()),
      name: vectorFromArray(rows.map((r) => r.name), new Utf8()),
      module: vectorFromArray(rows.map((r) => r.module), new Utf8()),
      source: vectorFromArray(rows.map((r) => r.source), new Utf8()),
    }),
    "stream",
  );
}

/** A damaged image has no symbols; that it is damaged was said when it was loaded. */
function symbolsOf(image: GuestImage): ReturnType<typeof extractSymbols> {
  try {
    if (!isBzImage(image.bytes)) return extractSymbols(image.name, image.bytes);
    const vmlinux = extractVmlinux(new ImageReader(image.name, image.bytes));
    return extractSymbols(image.name, vmlinux.bytes);
  } catch (error) {
    if (error instanceof GuestError) return [];
    throw error;
  }
}
