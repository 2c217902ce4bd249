/**
 * A growable byte buffer with WebAssembly's LEB128 encodings.
 *
 * Source: WebAssembly Core Specification, chapter 5 (Binary Format).
 *
 * @module
 */

/** Buffers of code that has been copied elsewhere, and most of them that are kept: modules have thousands of functions. */
const spare: Uint8Array[] = [], SPARE_MAX = 16;
const NOTHING = new Uint8Array(0);

/** Bytes under construction. */
export class Code {
  bytes: Uint8Array = spare.pop() ?? new Uint8Array(1024);
  length = 0;

  /** Gives the buffer up: the contents have been copied. */
  release(): void {
    if (spare.length < SPARE_MAX && this.bytes !== NOTHING) spare.push(this.bytes);
    this.bytes = NOTHING;
    this.length = 0;
  }

  /** Appends one byte. */
  u8(b: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length++] = b;
  }

  /** Appends raw bytes. */
  raw(b: ArrayLike<number>): void {
    if (this.length + b.length > this.bytes.length) this.#grow(b.length);
    this.bytes.set(b, this.length);
    this.length += b.length;
  }

  /** Appends the contents of another buffer. */
  append(c: Code): void {
    this.raw(c.view());
  }

  /** Appends an unsigned 32-bit LEB128. */
  u32(n: number): void {
    n = n >>> 0;
    while (n >= 0x80) {
      this.u8(n & 0x7f | 0x80);
      n >>>= 7;
    }
    this.u8(n);
  }

  /** Appends a signed 32-bit LEB128. */
  s32(n: number): void {
    n = n | 0;
    for (;;) {
      const b = n & 0x7f;
      n >>= 7;
      if ((n === 0 && !(b & 0x40)) || (n === -1 && (b & 0x40))) return this.u8(b);
      this.u8(b | 0x80);
    }
  }

  /** Appends a signed 64-bit LEB128 given as two 32-bit words. */
  s64(lo: number, hi: number): void {
    lo = lo >>> 0;
    hi = hi | 0;
    for (;;) {
      const b = lo & 0x7f;
      lo = (lo >>> 7 | hi << 25) >>> 0;
      hi >>= 7;
      if ((hi === 0 && lo === 0 && !(b & 0x40)) || (hi === -1 && lo === 0xffff_ffff && (b & 0x40))) {
        return this.u8(b);
      }
      this.u8(b | 0x80);
    }
  }

  /** Appends a length-prefixed UTF-8 name. */
  name(s: string): void {
    const b = new TextEncoder().encode(s);
    this.u32(b.length);
    this.raw(b);
  }

  /** What has been appended so far. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  #grow(by: number): void {
    const n = new Uint8Array(Math.max(this.bytes.length * 2, this.length + by, 256));
    n.set(this.view());
    this.bytes = n;
  }
}
