/**
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), eight bytes a step.
 *
 * @module
 */

const TABLE = makeTables();

function makeTables(): Int32Array {
  const t = new Int32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    t[i] = c;
  }
  for (let i = 256; i < t.length; i++) t[i] = t[t[i - 256] & 255] ^ (t[i - 256] >>> 8);
  return t;
}

function bytewise(bytes: Uint8Array, from: number, to: number, state: number): number {
  let c = state;
  for (let i = from; i < to; i++) c = TABLE[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return c;
}

/**
 * CRC-32C of bytes.
 * @param previous the CRC of what comes before, to continue it
 * @returns an unsigned 32-bit number
 */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  const lead = Math.min(bytes.length, -bytes.byteOffset & 3);
  let c = bytewise(bytes, 0, lead, ~previous);
  const pairs = (bytes.length - lead) >>> 3;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + lead, pairs * 2);
  for (let j = 0; j < words.length; j += 2) {
    const x = words[j] ^ c, y = words[j + 1];
    c = TABLE[1792 + (x & 255)] ^ TABLE[1536 + (x >>> 8 & 255)] ^ TABLE[1280 + (x >>> 16 & 255)] ^
      TABLE[1024 + (x >>> 24)] ^ TABLE[768 + (y & 255)] ^ TABLE[512 + (y >>> 8 & 255)] ^
      TABLE[256 + (y >>> 16 & 255)] ^ TABLE[y >>> 24];
  }
  return ~bytewise(bytes, lead + pairs * 8, bytes.length, c) >>> 0;
}
