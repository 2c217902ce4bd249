/**
 * A small FlatBuffers encoder, as far as Arrow's IPC metadata needs it (FlatBuffers "Internals" page, binary format).
 *
 * Objects are laid out front to back: a table's vtable lies before it, what it refers to after it.
 *
 * @module
 */

/** A field of a table: absent, a scalar of 1, 2, 4 or 8 bytes, or something laid out after the table. */
export type Slot = null | { bytes: 1 | 2 | 4 | 8; value: number } | ((b: FlatBuffer) => number);

/** Scalars by width. */
export const u8 = (value: number): Slot => ({ bytes: 1, value });
/** 16-bit scalar. */
export const i16 = (value: number): Slot => ({ bytes: 2, value });
/** 32-bit scalar. */
export const i32 = (value: number): Slot => ({ bytes: 4, value });
/** 64-bit scalar from a safe non-negative integer. */
export const i64 = (value: number): Slot => ({ bytes: 8, value });

/** One flatbuffer being written. */
export class FlatBuffer {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Encodes a root table, padded to a multiple of 8 bytes. */
  static root(slots: Slot[]): Uint8Array {
    const b = new FlatBuffer();
    b.#reserve(4);
    // Not in one expression: the view changes when the buffer grows.
    const table = b.table(slots);
    b.#view.setUint32(0, table, true);
    b.#align(8, 0);
    return b.#bytes.slice(0, b.#length);
  }

  /** Position at which the next byte goes. */
  get position(): number {
    return this.#length;
  }

  #reserve(n: number): number {
    const at = this.#length;
    this.#length += n;
    if (this.#length > this.#bytes.length) {
      const bigger = new Uint8Array(this.#length * 2);
      bigger.set(this.#bytes.subarray(0, at));
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    return at;
  }

  /** Pads so that `position + ahead` is a multiple of `n`. */
  #align(n: number, ahead: number): void {
    this.#reserve(-(this.#length + ahead) & (n - 1));
  }

  #scalar(at: number, bytes: number, value: number): void {
    if (bytes === 1) this.#view.setUint8(at, value);
    else if (bytes === 2) this.#view.setInt16(at, value, true);
    else if (bytes === 4) this.#view.setInt32(at, value, true);
    else {
      this.#view.setUint32(at, value >>> 0, true);
      this.#view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
    }
  }

  /** Writes a table and everything it refers to. @returns its position */
  table(slots: Slot[]): number {
    let size = 4;
    const offsets = slots.map((s) => {
      if (s === null) return 0;
      const width = typeof s === "function" ? 4 : s.bytes;
      size = Math.ceil(size / width) * width;
      size += width;
      return size - width;
    });
    const vtableBytes = 4 + slots.length * 2;
    this.#align(8, vtableBytes);
    const vtable = this.#reserve(vtableBytes), table = this.#reserve(size);
    this.#view.setUint16(vtable, vtableBytes, true);
    this.#view.setUint16(vtable + 2, size, true);
    this.#view.setInt32(table, table - vtable, true);
    slots.forEach((s, i) => {
      if (s === null) return;
      this.#view.setUint16(vtable + 4 + i * 2, offsets[i], true);
      const at = table + offsets[i];
      if (typeof s !== "function") return this.#scalar(at, s.bytes, s.value);
      const target = s(this);
      this.#view.setUint32(at, target - at, true);
    });
    return table;
  }

  /** Slot: a string. */
  static string(text: string): Slot {
    return (b) => {
      const utf8 = new TextEncoder().encode(text);
      b.#align(4, 0);
      const at = b.#reserve(4 + utf8.length + 1);
      b.#view.setUint32(at, utf8.length, true);
      b.#bytes.set(utf8, at + 4);
      return at;
    };
  }

  /** Slot: a table. */
  static table(slots: Slot[]): Slot {
    return (b) => b.table(slots);
  }

  /** Slot: a vector of tables. */
  static tables(items: Slot[][]): Slot {
    return (b) => {
      b.#align(4, 0);
      const at = b.#reserve(4 + items.length * 4);
      b.#view.setUint32(at, items.length, true);
      items.forEach((slots, i) => {
        const target = b.table(slots), from = at + 4 + i * 4;
        b.#view.setUint32(from, target - from, true);
      });
      return at;
    };
  }

  /** Slot: a vector of `count` zeroed structs of two 64-bit integers; `onPlaced` learns where the first one lies. */
  static longPairs(count: number, onPlaced: (position: number) => void): Slot {
    return (b) => {
      b.#align(8, 4);
      const at = b.#reserve(4 + count * 16);
      b.#view.setUint32(at, count, true);
      onPlaced(at + 4);
      return at;
    };
  }
}
