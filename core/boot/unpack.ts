/**
 * Packed kernels: which compression, and unpacking it within bounds.
 *
 * @module
 */
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { ImageReader } from "./bytes.ts";
import { LZ4_LEGACY_MAGIC, unpackLz4 } from "./lz4.ts";
import type { ImageFormat } from "./types.ts";
import { unpackLzma, unpackXz } from "./xz.ts";

/** Compressions by the first bytes of a file. */
const MAGICS: [ImageFormat, number[]][] = [
  ["gzip", [0x1f, 0x8b]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["lzop", [0x89, 0x4c, 0x5a, 0x4f]],
  ["lz4", [LZ4_LEGACY_MAGIC & 0xff, LZ4_LEGACY_MAGIC >> 8 & 0xff, 0x4c, 0x18]],
  ["lzma", [0x5d, 0, 0]],
];

/** Names the compression of a file by its magic number, or null. */
export function compressionOf(bytes: Uint8Array): ImageFormat | null {
  for (const [format, magic] of MAGICS) if (magic.every((b, i) => bytes[i] === b)) return format;
  return null;
}

/**
 * Unpacks a compressed file.
 * @param r the packed file
 * @param size bytes it unpacks to, when something outside the file says so
 * @param limit most bytes it may unpack to
 * @throws GuestError when the compression is not known, the file is malformed, or it unpacks to more than `limit`
 */
export function unpack(r: ImageReader, size: number | null, limit: number): Uint8Array {
  const format = compressionOf(r.bytes);
  if (format === "lz4") return unpackLz4(r, limit);
  if (format === "xz") return unpackXz(r, limit);
  if (format === "lzma") return unpackLzma(r, size, limit);
  if (format !== "gzip" && format !== "zstd") {
    r.fail(
      0,
      `the compression ${format ?? "is not recognised and"} cannot be read`,
      "unpack the kernel by hand first",
    );
  }
  try {
    const options = { maxOutputLength: limit };
    const out = format === "gzip" ? gunzipSync(r.bytes, options) : zstdDecompressSync(r.bytes, options);
    return new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
  } catch (e) {
    const why = (e instanceof Error ? e.message : String(e)).split("\n")[0].replace(/\.$/, "");
    r.fail(
      0,
      `the ${format} data does not unpack within ${limit} bytes (${why})`,
      "the file is damaged, fetch it again",
    );
  }
}
