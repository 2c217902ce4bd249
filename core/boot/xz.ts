/**
 * XZ and .lzma files: how Debian's kernels are packed. One stream; LZMA2 alone or behind the x86 filter.
 *
 * Source: "The .xz File Format" 1.2.1 (tukaani.org), and the LZMA SDK's `DOC/lzma-specification.txt`.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { hex, ImageReader } from "./bytes.ts";
import { LzmaDecoder, LzmaError } from "./lzma.ts";

const NEXT = "the file is damaged or uses a feature that kernels do not, fetch it again";
const HEADER_BYTES = 12, FOOTER_BYTES = 12, MAX_BLOCKS = 65_536;
const FILTER_X86 = 0x04, FILTER_LZMA2 = 0x21;
/** Bytes of the integrity check by its type: none, CRC32, CRC64, SHA-256. Only CRC32, which kernels use, is verified. */
const CHECK_BYTES: Record<number, number> = { 0: 0, 1: 4, 4: 8, 10: 32 };
const CHECK_CRC32 = 1;

/** One block of an XZ stream, from the stream's index. */
interface Block {
  at: number;
  unpaddedBytes: number;
  unpackedBytes: number;
}

/**
 * Unpacks an XZ file of one stream.
 * @param r the packed file; must end with the stream's footer
 * @param limit most bytes it may unpack to
 * @throws GuestError when it is malformed or unpacks to more than `limit`
 */
export function unpackXz(r: ImageReader, limit: number): Uint8Array {
  if (r.u32(0, "the XZ header") !== 0x587a_37fd || r.u16(4, "the XZ header") !== 0x005a) {
    r.fail(0, "there is no XZ magic number", NEXT);
  }
  const check = r.u8(7, "the XZ header");
  if (CHECK_BYTES[check] === undefined) r.fail(7, `the check type ${check} is unknown`, NEXT);
  const blocks = readIndex(r);
  const total = blocks.reduce((sum, b) => sum + b.unpackedBytes, 0);
  if (total > limit) {
    r.fail(0, `it unpacks to ${total} bytes, more than the ${limit} that are useful`, "raise memory=");
  }
  const out = new Uint8Array(total);
  let written = 0;
  for (const block of blocks) {
    unpackBlock(r, block, check, out.subarray(written, written + block.unpackedBytes));
    written += block.unpackedBytes;
  }
  return out;
}

/** Reads a variable-length integer; returns its value and where it ends. */
function readVli(r: ImageReader, at: number): { value: number; next: number } {
  let value = 0, scale = 1;
  for (let i = 0; i < 7; i++) {
    const b = r.u8(at + i, "a variable-length integer");
    value += (b & 0x7f) * scale;
    if (b < 0x80) return { value, next: at + i + 1 };
    scale *= 128;
  }
  r.fail(at, "a variable-length integer is larger than 2^49", NEXT);
}

function readIndex(r: ImageReader): Block[] {
  const footer = r.length - FOOTER_BYTES;
  if (footer < HEADER_BYTES || r.u16(footer + 10, "the XZ footer") !== 0x5a59) {
    r.fail(Math.max(0, footer), "there is no XZ footer", NEXT);
  }
  const indexBytes = (r.u32(footer + 4, "the XZ footer") + 1) * 4;
  const index = footer - indexBytes;
  if (index < HEADER_BYTES || r.u8(index, "the XZ index") !== 0) {
    r.fail(footer + 4, "the XZ index is not found", NEXT);
  }
  if (crc32(r.slice(index, indexBytes - 4, "the XZ index")) !== r.u32(footer - 4, "the index's CRC")) {
    r.fail(index, "the XZ index does not match its CRC32", NEXT);
  }
  const count = readVli(r, index + 1);
  if (count.value > MAX_BLOCKS) r.fail(index + 1, `${count.value} blocks are more than ${MAX_BLOCKS}`, NEXT);
  const blocks: Block[] = [];
  let at = HEADER_BYTES, next = count.next;
  for (let i = 0; i < count.value; i++) {
    const unpadded = readVli(r, next), unpacked = readVli(r, unpadded.next);
    next = unpacked.next;
    blocks.push({ at, unpaddedBytes: unpadded.value, unpackedBytes: unpacked.value });
    at += Math.ceil(unpadded.value / 4) * 4;
    if (next > footer || at > index) r.fail(index, "the XZ index describes more than the file holds", NEXT);
  }
  return blocks;
}

/** Where a block's packed data begins, and whether the x86 filter is in front of LZMA2. */
function readBlockHeader(r: ImageReader, at: number): { data: number; x86: boolean } {
  const bytes = (r.u8(at, "a block header") + 1) * 4;
  const header = r.slice(at, bytes, "a block header");
  if (crc32(header.subarray(0, bytes - 4)) !== r.u32(at + bytes - 4, "a block header's CRC")) {
    r.fail(at, "the block header does not match its CRC32", NEXT);
  }
  const flags = header[1];
  let next = at + 2;
  if (flags & 0x40) next = readVli(r, next).next;
  if (flags & 0x80) next = readVli(r, next).next;
  const filters: number[] = [];
  for (let i = 0; i <= (flags & 3); i++) {
    const id = readVli(r, next), size = readVli(r, id.next);
    filters.push(id.value);
    next = size.next + size.value;
    if (id.value === FILTER_X86 && size.value !== 0) {
      r.fail(id.next, "the x86 filter has a start offset", NEXT);
    }
  }
  const x86 = filters.length === 2 && filters[0] === FILTER_X86;
  if (filters[filters.length - 1] !== FILTER_LZMA2 || (filters.length > 1 && !x86)) {
    r.fail(at, `the filters ${filters.map(hex).join(", ")} are not LZMA2 or x86 and LZMA2`, NEXT);
  }
  return { data: at + bytes, x86 };
}

function unpackBlock(r: ImageReader, block: Block, check: number, out: Uint8Array): void {
  const { data, x86 } = readBlockHeader(r, block.at);
  const end = block.at + block.unpaddedBytes - CHECK_BYTES[check];
  const packed = r.slice(data, end - data, "a block's data");
  const decoder = new LzmaDecoder(packed, out);
  try {
    unpackLzma2(decoder);
  } catch (e) {
    if (e instanceof LzmaError) r.fail(data + decoder.at, e.message, NEXT);
    throw e;
  }
  if (decoder.written !== out.length) r.fail(data, "the block unpacks to less than the index says", NEXT);
  if (x86) unfilterX86(out);
  const checkAt = end + (4 - (end - block.at) % 4) % 4; // the check follows the padding
  if (check === CHECK_CRC32 && crc32(out) !== r.u32(checkAt, "a block's CRC")) {
    r.fail(checkAt, "the unpacked data does not match its CRC32", NEXT);
  }
}

/** LZMA2: chunks that say whether they are packed and what they reset. */
function unpackLzma2(d: LzmaDecoder): void {
  const src = d.src;
  let needDictionary = true, needProperties = true;
  while (d.at < src.length) {
    const control = src[d.at++];
    if (control === 0) return;
    if (control === 1 || control >= 0xe0) {
      needDictionary = false;
      needProperties = true;
      d.resetDictionary();
    } else if (needDictionary || (control > 2 && control < 0x80)) {
      throw new LzmaError(`the LZMA2 control byte ${hex(control)} is not valid here`);
    }
    if (d.at + 5 > src.length) throw new LzmaError("an LZMA2 chunk is cut off");
    const low = src[d.at] << 8 | src[d.at + 1];
    d.at += 2;
    if (control < 0x80) {
      d.copy(low + 1);
      continue;
    }
    const unpacked = ((control & 0x1f) << 16 | low) + 1;
    const packed = (src[d.at] << 8 | src[d.at + 1]) + 1;
    d.at += 2;
    if (control >= 0xc0) {
      d.setProperties(src[d.at++], 4);
      needProperties = false;
    } else if (needProperties) throw new LzmaError("an LZMA2 chunk lacks properties");
    else if (control >= 0xa0) d.resetState();
    const end = d.at + packed;
    d.startRange(end);
    d.decode(d.written + unpacked);
    if (d.at !== end || !d.rangeFinished) throw new LzmaError("an LZMA2 chunk does not end where it says");
  }
  throw new LzmaError("the LZMA2 end marker is missing");
}

/**
 * Undoes the x86 filter in place: operands of CALL and JMP (E8, E9) were made absolute.
 *
 * An operand counts when its top byte is 00 or FF. Opcode bytes among the last three bytes make the filter's encoder
 * skip or re-map an operand; `seen` keeps them as a mask (bit 0: one byte ago).
 */
function unfilterX86(data: Uint8Array): void {
  const isTop = (b: number): boolean => b === 0 || b === 0xff;
  /** By mask of earlier opcode bytes: how many bytes of this operand they already covered; -1: skip. */
  const covered = [0, 1, 2, -1, 3, -1, -1, -1];
  let last = -1, seen = 0;
  for (let i = 0; i + 4 < data.length; i++) {
    if ((data[i] & 0xfe) !== 0xe8) continue;
    const distance = i - last;
    last = i;
    seen = distance > 3 ? 0 : seen << (distance - 1) & 7;
    const skip = seen !== 0 && (covered[seen] < 0 || isTop(data[i + 4 - covered[seen]]));
    if (skip || !isTop(data[i + 4])) {
      seen = seen << 1 | 1;
      continue;
    }
    let source = data[i + 1] | data[i + 2] << 8 | data[i + 3] << 16 | data[i + 4] << 24;
    const shift = covered[seen] * 8;
    let target = (source - (i + 5)) | 0;
    while (seen !== 0 && isTop(target >>> (24 - shift) & 0xff)) {
      source = target ^ (2 ** (32 - shift) - 1);
      target = (source - (i + 5)) | 0;
    }
    data[i + 1] = target;
    data[i + 2] = target >> 8;
    data[i + 3] = target >> 16;
    data[i + 4] = target >> 24 & 1 ? 0xff : 0;
    i += 4;
    last = i - 4;
  }
}

/**
 * Unpacks a .lzma file.
 * @param r the packed file
 * @param size bytes it unpacks to when the header does not say; null when nobody knows
 * @param limit most bytes it may unpack to
 * @throws GuestError when it is malformed or unpacks to more than `limit`
 */
export function unpackLzma(r: ImageReader, size: number | null, limit: number): Uint8Array {
  const said = r.u64OrInf(5, "the LZMA header");
  const total = said < 2 ** 53 ? said : size;
  if (total === null) {
    r.fail(5, "the header does not say the unpacked size", "unpack it by hand with `xz -dc`");
  }
  if (total > limit) {
    r.fail(5, `it unpacks to ${total} bytes, more than the ${limit} that are useful`, "raise memory=");
  }
  const decoder = new LzmaDecoder(r.bytes, new Uint8Array(total));
  try {
    decoder.setProperties(r.u8(0, "the LZMA header"), 12);
    decoder.at = 13;
    decoder.startRange(r.length);
    decoder.decode(total);
  } catch (e) {
    if (e instanceof LzmaError) r.fail(decoder.at, e.message, NEXT);
    throw e;
  }
  return decoder.out.subarray(0, decoder.written);
}
