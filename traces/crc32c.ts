/**
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), sixteen bytes a step: only four of the look-ups wait for the step before.
 *
 * @module
 */

const TABLE = makeTables();

function makeTables(): Int32Array {
  const t = new Int32Array(16 * 256);
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
  if (bytes.length < 32) return ~bytewise(bytes, 0, bytes.length, ~previous) >>> 0;
  const lead = -bytes.byteOffset & 3;
  let c = bytewise(bytes, 0, lead, ~previous);
  const steps = (bytes.length - lead) >>> 4;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + lead, steps * 4);
  for (let j = 0; j < words.length; j += 4) {
    const x = words[j] ^ c, y = words[j + 1], z = words[j + 2], u = words[j + 3];
    const rest = TABLE[2816 + (y & 255)] ^ TABLE[2560 + (y >>> 8 & 255)] ^ TABLE[2304 + (y >>> 16 & 255)] ^
      TABLE[2048 + (y >>> 24)] ^ TABLE[1792 + (z & 255)] ^ TABLE[1536 + (z >>> 8 & 255)] ^
      TABLE[1280 + (z >>> 16 & 255)] ^ TABLE[1024 + (z >>> 24)] ^ TABLE[768 + (u & 255)] ^
      TABLE[512 + (u >>> 8 & 255)] ^ TABLE[256 + (u >>> 16 & 255)] ^ TABLE[u >>> 24];
    c = rest ^ TABLE[3840 + (x & 255)] ^ TABLE[3584 + (x >>> 8 & 255)] ^ TABLE[3328 + (x >>> 16 & 255)] ^
      TABLE[3072 + (x >>> 24)];
  }
  return ~bytewise(bytes, lead + steps * 16, bytes.length, c) >>> 0;
}
