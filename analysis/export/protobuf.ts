/**
 * Protocol buffers, writing only: varints, strings, bytes, messages (protobuf.dev, "Encoding").
 *
 * @module
 */

const encoder = new TextEncoder();

/** A message that grows field by field. */
export class Message {
  #bytes = new Uint8Array(64);
  #length = 0;

  /** The message so far. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** An integer field; negative values take their 64-bit two's complement. */
  int(field: number, value: number | bigint): this {
    this.#varint(field * 8);
    this.#varint(value);
    return this;
  }

  /** A fixed 64-bit field. */
  fixed64(field: number, value: bigint): this {
    this.#varint(field * 8 + 1);
    this.#reserve(8);
    new DataView(this.#bytes.buffer).setBigUint64(this.#length, BigInt.asUintN(64, value), true);
    this.#length += 8;
    return this;
  }

  /** A string field. */
  text(field: number, value: string): this {
    return this.raw(field, encoder.encode(value));
  }

  /** A field of bytes, or of a message already encoded. */
  raw(field: number, value: Uint8Array): this {
    this.#varint(field * 8 + 2);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** A message field. */
  message(field: number, value: Message): this {
    return this.raw(field, value.bytes());
  }

  /** A packed repeated integer field; nothing when it is empty. */
  packed(field: number, values: readonly (number | bigint)[]): this {
    if (values.length === 0) return this;
    const inner = new Message();
    for (const v of values) inner.#varint(v);
    return this.message(field, inner);
  }

  #varint(value: number | bigint): void {
    this.#reserve(10);
    if (typeof value === "number" && value >= 0 && value <= 0x7fff_ffff) {
      let v = value;
      for (; v > 0x7f; v >>>= 7) this.#bytes[this.#length++] = (v & 0x7f) | 0x80;
      this.#bytes[this.#length++] = v;
      return;
    }
    let v = BigInt.asUintN(64, BigInt(value));
    for (; v > 0x7fn; v >>= 7n) this.#bytes[this.#length++] = Number(v & 0x7fn) | 0x80;
    this.#bytes[this.#length++] = Number(v);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.bytes());
    this.#bytes = grown;
  }
}
