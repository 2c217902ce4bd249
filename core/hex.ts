/**
 * Bytes as hexadecimal text, for state in checkpoints.
 *
 * @module
 */
const DIGITS = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

/** Lower-case hexadecimal of some bytes. */
export function hex(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; i++) out += DIGITS[bytes[i]];
  return out;
}

/** Bytes of a hexadecimal text; missing or extra digits are zero or ignored beyond `length`. */
export function unhex(text: string, length = text.length >> 1): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length && i * 2 + 1 < text.length; i++) {
    out[i] = parseInt(text.slice(i * 2, i * 2 + 2), 16) || 0;
  }
  return out;
}
