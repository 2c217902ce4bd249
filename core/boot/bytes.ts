/**
 * Bounds-checked little-endian reading of guest images: whatever lies outside the file is a `GuestError`.
 *
 * @module
 */
import { GuestError } from "../config.ts";

/** Writes a number as people read addresses. */
export function hex(n: number): string {
  return `0x${n.toString(16)}`;
}

/** One guest image under a name, read at byte offsets. */
export class ImageReader {
  readonly #view: DataView;

  /**
   * @param name file name, for messages
   * @param bytes the whole file
   */
  constructor(readonly name: string, readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Size of the file in bytes. */
  get length(): number {
    return this.bytes.length;
  }

  /** Throws the one-sentence error for this file: `where` is a byte offset, `what` is wrong, `next` helps. */
  fail(where: number, what: string, next: string): never {
    throw new GuestError(`Cannot load ${this.name}: at offset ${hex(where)}, ${what}; ${next}.`);
  }

  /** Checks that `[offset, offset + size)` lies in the file. */
  need(offset: number, size: number, what: string): void {
    if (!(offset >= 0 && size >= 0 && offset + size <= this.bytes.length)) {
      this.fail(
        Math.max(0, offset),
        `${what} needs ${size} bytes but the file ends at ${hex(this.bytes.length)}`,
        "the file is cut off or damaged, fetch it again",
      );
    }
  }

  /** A slice of the file (not copied). */
  slice(offset: number, size: number, what: string): Uint8Array {
    this.need(offset, size, what);
    return this.bytes.subarray(offset, offset + size);
  }

  /** Reads an unsigned byte. */
  u8(offset: number, what: string): number {
    this.need(offset, 1, what);
    return this.bytes[offset];
  }

  /** Reads 16 bits, little-endian. */
  u16(offset: number, what: string): number {
    this.need(offset, 2, what);
    return this.#view.getUint16(offset, true);
  }

  /** Reads 32 bits, little-endian, unsigned. */
  u32(offset: number, what: string): number {
    this.need(offset, 4, what);
    return this.#view.getUint32(offset, true);
  }

  /** Reads 64 bits that must be a safe integer (an offset, a size, an address below 2^53). */
  u64(offset: number, what: string): number {
    const value = this.u64OrInf(offset, what);
    if (!Number.isSafeInteger(value)) {
      this.fail(offset, `${what} is larger than 2^53`, "the header is damaged, fetch the file again");
    }
    return value;
  }

  /** Reads 64 bits as a double: rounded above 2^53. For fields whose exact value does not matter. */
  u64OrInf(offset: number, what: string): number {
    this.need(offset, 8, what);
    return this.#view.getUint32(offset, true) + this.#view.getUint32(offset + 4, true) * 0x1_0000_0000;
  }
}

/** Encodes text as bytes with a terminating 0. */
export function cString(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  return out;
}

/** Rounds up to a multiple of `unit`. */
export function alignUp(n: number, unit: number): number {
  return Math.ceil(n / unit) * unit;
}
