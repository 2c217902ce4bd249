/**
 * LZ4 legacy frames, the form in which Linux kernels are packed.
 *
 * Source: the LZ4 project's `doc/lz4_Frame_format.md` ("Legacy frame") and `doc/lz4_Block_format.md`.
 *
 * @module
 */
import type { ImageReader } from "./bytes.ts";
import { hex } from "./bytes.ts";

/** Magic number of a legacy frame, as a little-endian word. */
export const LZ4_LEGACY_MAGIC = 0x184c_2102;
/** Every block of a legacy frame unpacks to at most 8 MiB. */
const BLOCK_BYTES = 8 << 20;
/** Runs longer than this are copied by the host; a call costs more than a short loop. */
const COPY_MIN = 64;
const NEXT = "the file is damaged, fetch it again";

/**
 * Unpacks an LZ4 legacy frame.
 * @param r the packed file
 * @param limit most bytes it may unpack to
 * @returns the unpacked bytes
 * @throws GuestError when the frame is malformed or unpacks to more than `limit`
 */
export function unpackLz4(r: ImageReader, limit: number): Uint8Array {
  if (r.u32(0, "the LZ4 magic number") !== LZ4_LEGACY_MAGIC) {
    r.fail(0, "this is not an LZ4 legacy frame", NEXT);
  }
  let out = new Uint8Array(Math.min(limit, Math.max(BLOCK_BYTES, r.length * 4)));
  let written = 0;
  for (let at = 4; at + 4 <= r.length;) {
    const size = r.u32(at, "a block size");
    at += 4;
    if (size === LZ4_LEGACY_MAGIC) continue; // frames may follow one another
    const block = r.slice(at, size, "an LZ4 block");
    if (out.length - written < BLOCK_BYTES && out.length < limit) {
      const grown = new Uint8Array(Math.min(limit, Math.max(out.length * 2, written + BLOCK_BYTES)));
      grown.set(out.subarray(0, written));
      out = grown;
    }
    const end = unpackBlock(block, out, written, Math.min(out.length, written + BLOCK_BYTES));
    if (end < 0) r.fail(at, `the LZ4 block of ${hex(size)} bytes is malformed or unpacks to too much`, NEXT);
    written = end;
    at += size;
  }
  return out.subarray(0, written);
}

/** Unpacks one block into `out[at..limit)`; returns where it ended, or -1 when it is malformed. */
function unpackBlock(src: Uint8Array, out: Uint8Array, at: number, limit: number): number {
  const start = at;
  let i = 0;
  while (i < src.length) {
    const token = src[i++];
    let literals = token >> 4;
    if (literals === 15) {
      let b = 255;
      while (b === 255 && i < src.length) literals += b = src[i++];
    }
    if (i + literals > src.length || at + literals > limit) return -1;
    if (literals > COPY_MIN) {
      out.set(src.subarray(i, i + literals), at);
      i += literals;
      at += literals;
    } else for (const end = at + literals; at < end;) out[at++] = src[i++];
    if (i === src.length) return at; // the last sequence has no match
    if (i + 2 > src.length) return -1;
    const distance = src[i] | src[i + 1] << 8;
    i += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      let b = 255;
      while (b === 255 && i < src.length) length += b = src[i++];
    }
    if (distance === 0 || distance > at - start || at + length > limit) return -1;
    if (distance >= length && length > COPY_MIN) {
      out.copyWithin(at, at - distance, at - distance + length);
      at += length;
    } else {
      for (const end = at + length; at < end; at++) out[at] = out[at - distance];
    }
  }
  return at;
}
