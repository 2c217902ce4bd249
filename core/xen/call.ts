/**
 * One hypercall in progress: its arguments and its bounded access to guest memory.
 *
 * @module
 */
import type { XenVcpu } from "./host.ts";

/** Most work units one hypercall may do: one for each byte copied, plus a fee for each copy; page operations charge more. */
export const WORK_LIMIT = 16 * 1024 * 1024;
const COPY_FEE = 64;
/** Bytes of a hypercall's data kept for the trace. */
export const BUFFER_LIMIT = 256;

/** A structure in guest memory, read as a whole. Fields are named by offset; 64-bit ones as safe integers or pointers. */
export class Struct {
  readonly view: DataView;
  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  u8(o: number): number {
    return this.bytes[o];
  }
  u16(o: number): number {
    return this.view.getUint16(o, true);
  }
  u32(o: number): number {
    return this.view.getUint32(o, true);
  }
  /** Unsigned 64-bit value; rounded above 2^53, which every caller refuses anyway. */
  u64(o: number): number {
    return this.u32(o + 4) * 0x1_0000_0000 + this.u32(o);
  }
  setU16(o: number, v: number): void {
    this.view.setUint16(o, v, true);
  }
  setU32(o: number, v: number): void {
    this.view.setUint32(o, v, true);
  }
  /** Stores a safe integer as 64 bits, sign-extended. */
  setU64(o: number, v: number): void {
    this.view.setUint32(o, v >>> 0, true);
    this.view.setUint32(o + 4, Math.floor(v / 0x1_0000_0000) >>> 0, true);
  }
}

/**
 * A 64-bit word as a linear address: signed canonical, or NaN when it is not canonical (48 bits).
 */
export function canonical(lo: number, hi: number): number {
  const high = hi | 0;
  return high >= -0x8000 && high < 0x8000 ? high * 0x1_0000_0000 + (lo >>> 0) : NaN;
}

/** Arguments, width and memory access of one hypercall (or one entry of a multicall). */
export class Call {
  /** Work units left. */
  #work: number;
  /** Bytes for the trace, kept only when `traced`. */
  buffer: Uint8Array | null = null;
  #bufferAddr = NaN;

  /**
   * @param words five or six arguments, low and high word alternating
   * @param work units it may use, see `WORK_LIMIT`
   */
  constructor(
    readonly vcpu: XenVcpu,
    readonly is64: boolean,
    readonly words: Uint32Array,
    readonly traced: boolean,
    work: number = WORK_LIMIT,
  ) {
    this.#work = work;
  }

  /** Work units left. */
  get work(): number {
    return this.#work;
  }

  /** Uses up work; false when there is not enough left. */
  charge(units: number): boolean {
    this.#work -= units;
    return this.#work >= 0;
  }

  /** Argument as an unsigned 32-bit number. */
  u32(i: number): number {
    return this.words[i * 2];
  }

  /** True when the argument does not fit 32 bits. */
  isWide(i: number): boolean {
    return this.words[i * 2 + 1] !== 0;
  }

  /** Argument as a pointer (see `canonical`). */
  ptr(i: number): number {
    return this.is64 ? canonical(this.words[i * 2], this.words[i * 2 + 1]) : this.words[i * 2];
  }

  /** Size of a pointer, unsigned long or frame number in the caller's ABI. */
  get long(): number {
    return this.is64 ? 8 : 4;
  }

  /** A pointer inside a structure. */
  ptrAt(s: Struct, o: number): number {
    return this.is64 ? canonical(s.u32(o), s.u32(o + 4)) : s.u32(o);
  }

  /** An unsigned long (or frame number) inside a structure. */
  longAt(s: Struct, o: number): number {
    return this.is64 ? s.u64(o) : s.u32(o);
  }

  /** Bytes of the guest, or null: -EFAULT. */
  read(addr: number, len: number): Uint8Array | null {
    if (len === 0) return new Uint8Array(0);
    if (!this.#inSpace(addr, len) || !this.charge(len + COPY_FEE)) return null;
    const bytes = this.vcpu.copyFromGuest(addr, len);
    if (this.traced && bytes !== null && this.buffer === null) {
      this.buffer = bytes.slice(0, BUFFER_LIMIT);
      this.#bufferAddr = addr;
    }
    return bytes;
  }

  /** Writes bytes to the guest; false: -EFAULT. */
  write(addr: number, bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true;
    if (!this.#inSpace(addr, bytes.length) || !this.charge(bytes.length + COPY_FEE)) return false;
    if (!this.vcpu.copyToGuest(addr, bytes)) return false;
    if (this.traced) this.#noteWrite(addr, bytes);
    return true;
  }

  /** A structure of the guest, by its size in the 64-bit and the 32-bit ABI; null: -EFAULT. */
  struct(addr: number, size64: number, size32: number = size64): Struct | null {
    const bytes = this.read(addr, this.is64 ? size64 : size32);
    return bytes === null ? null : new Struct(bytes);
  }

  /** Writes one 32-bit word. */
  write32(addr: number, value: number): boolean {
    const s = new Struct(new Uint8Array(4));
    s.setU32(0, value);
    return this.write(addr, s.bytes);
  }

  /** Writes one 16-bit word. */
  write16(addr: number, value: number): boolean {
    const s = new Struct(new Uint8Array(2));
    s.setU16(0, value);
    return this.write(addr, s.bytes);
  }

  /** Writes an unsigned long in the caller's ABI. */
  writeLong(addr: number, value: number): boolean {
    const s = new Struct(new Uint8Array(this.long));
    if (this.is64) s.setU64(0, value);
    else s.setU32(0, value);
    return this.write(addr, s.bytes);
  }

  /** Keeps bytes for the trace in place of what was read first. */
  note(bytes: Uint8Array): void {
    if (this.traced) this.buffer = bytes.slice(0, BUFFER_LIMIT);
  }

  #inSpace(addr: number, len: number): boolean {
    if (Number.isNaN(addr)) return false;
    const end = addr + len;
    if (!this.is64) return addr >= 0 && end <= 0x1_0000_0000;
    if (addr < 0) return addr >= -0x8000_0000_0000 && end <= 0;
    return end <= 0x8000_0000_0000;
  }

  /** A result written over the arguments shows in the trace; so does a result written elsewhere when nothing was read. */
  #noteWrite(addr: number, bytes: Uint8Array): void {
    if (this.buffer === null) {
      this.buffer = bytes.slice(0, BUFFER_LIMIT);
      this.#bufferAddr = addr;
      return;
    }
    const at = addr - this.#bufferAddr;
    if (at >= 0 && at < this.buffer.length) this.buffer.set(bytes.subarray(0, this.buffer.length - at), at);
  }
}
