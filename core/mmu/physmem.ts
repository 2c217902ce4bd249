/**
 * Guest-physical memory: page-granular backing inside the one WebAssembly memory, with dirty and code tracking.
 *
 * Guest-physical addresses ("gpa") are JavaScript numbers below 2^52; host offsets are byte offsets into the
 * WebAssembly memory. Backing exists below 4 GiB only; everything else is unbacked (MMIO or nothing).
 *
 * @module
 */
import { RAM } from "../layout.ts";

/** Bytes per page, and its logarithm. */
export const PAGE_SIZE = 4096, PAGE_SHIFT = 12;

/** A page may be backed by RAM (read/write) or ROM (writes ignored). */
export type PageKind = "ram" | "rom";

/** Told when a page that holds decoded code, or is otherwise watched, is about to be changed. */
export type CodeWriteHandler = (page: number, offset: number, length: number) => void;

/** Guest-physical memory of one machine. */
export class PhysMem {
  /** The one memory that holds guest RAM and all machine state. */
  readonly memory: WebAssembly.Memory;
  /** All of it as bytes. */
  readonly u8: Uint8Array;
  /** All of it, little-endian access. */
  readonly view: DataView;
  /** Host page number (host offset >> 12) by guest page below 4 GiB; 0 = unbacked. */
  readonly hostPage: Int32Array;
  /** 1 for guest pages that ignore writes. */
  readonly rom: Uint8Array;
  /** 1 for guest pages changed since the last `clearDirty`. Set on first write through a TLB entry. */
  readonly dirty: Uint8Array;
  /** 1 for guest pages from which code has been decoded (kept by the code cache). */
  readonly code: Uint8Array;
  /** Called before a byte range of a code page changes other than by generated code. */
  onCodeWrite: CodeWriteHandler | null = null;
  /**
   * Says whether bytes `[offset, offset + length)` of a code page hold decoded code; null: assume that they do.
   * A write that answers false needs no `onCodeWrite`.
   */
  codeOverlaps: ((page: number, offset: number, length: number) => boolean) | null = null;
  /** Called when the backing of a page changes: cached translations must go. */
  onRemap: (() => void) | null = null;
  /** Called before hypervisor or device code changes bytes of one page. */
  onTouch: ((page: number, offset: number, length: number) => void) | null = null;
  /** How often the backing of pages has changed. */
  remaps = 0;
  readonly #capacityPages: number;
  #nextPage = 0;
  #free: number[] = [];

  /** @param capacityBytes most bytes of guest pages (RAM, ROM, special pages) that can be backed at once. */
  /** Nothing is backed at first. @param capacityBytes most bytes of guest pages that will be backed */
  constructor(capacityBytes: number) {
    this.#capacityPages = Math.ceil(capacityBytes / PAGE_SIZE);
    const total = RAM + this.#capacityPages * PAGE_SIZE;
    const pages = Math.ceil(total / 65536);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.u8 = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.hostPage = new Int32Array(1 << 20);
    this.rom = new Uint8Array(1 << 20);
    this.dirty = new Uint8Array(1 << 20);
    this.code = new Uint8Array(1 << 20);
  }

  /** Backs `[gpa, gpa + bytes)` (page-aligned) with fresh zero pages; pages already backed keep their contents. */
  map(gpa: number, bytes: number, kind: PageKind = "ram"): void {
    const first = gpa / PAGE_SIZE, count = Math.ceil(bytes / PAGE_SIZE);
    if (!Number.isInteger(first) || first < 0 || first + count > 1 << 20) {
      throw new RangeError(
        `Cannot map guest pages: range 0x${gpa.toString(16)}+0x${
          bytes.toString(16)
        } is not page-aligned below 4 GiB`,
      );
    }
    for (let p = first; p < first + count; p++) {
      if (this.hostPage[p] === 0) {
        const reused = this.#free.pop();
        if (reused === undefined && this.#nextPage >= this.#capacityPages) {
          throw new RangeError("Cannot map guest pages: the machine's memory capacity is used up");
        }
        const host = reused ?? (RAM >>> PAGE_SHIFT) + this.#nextPage++;
        if (reused !== undefined) this.u8.fill(0, host * PAGE_SIZE, (host + 1) * PAGE_SIZE);
        this.hostPage[p] = host;
      }
      this.rom[p] = kind === "rom" ? 1 : 0;
      this.dirty[p] = 1;
    }
    this.remaps++;
    this.onRemap?.();
  }

  /** Takes the backing of one page away (its contents are lost). */
  unmap(gpa: number): void {
    const p = gpa / PAGE_SIZE;
    if (this.hostPage[p] === 0) return;
    if (this.code[p]) this.onCodeWrite?.(p, 0, PAGE_SIZE);
    this.#free.push(this.hostPage[p]);
    this.hostPage[p] = 0;
    this.rom[p] = 0;
    this.dirty[p] = 1;
    this.remaps++;
    this.onRemap?.();
  }

  /** Host offset of a backed gpa, or -1. Valid up to the end of its page only. */
  host(gpa: number): number {
    if (gpa < 0 || gpa > 0xffff_ffff) return -1;
    const h = this.hostPage[gpa >>> 12];
    return h === 0 ? -1 : h * PAGE_SIZE + (gpa & (PAGE_SIZE - 1));
  }

  /** True when every byte of the range is backed. */
  isBacked(gpa: number, bytes: number): boolean {
    for (let a = gpa - (gpa % PAGE_SIZE); a < gpa + bytes; a += PAGE_SIZE) if (this.host(a) < 0) return false;
    return true;
  }

  /** Tells dirty and code tracking that hypervisor or device code changes bytes of one page. */
  touch(page: number, offset: number, length: number): void {
    this.dirty[page] = 1;
    if (this.code[page]) this.onCodeWrite?.(page, offset, length);
    this.onTouch?.(page, offset, length);
  }

  /** Reads bytes; unbacked bytes read as 0xff. */
  read(gpa: number, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes).fill(0xff);
    for (let done = 0; done < bytes;) {
      const n = Math.min(bytes - done, PAGE_SIZE - ((gpa + done) % PAGE_SIZE));
      const h = this.host(gpa + done);
      if (h >= 0) out.set(this.u8.subarray(h, h + n), done);
      done += n;
    }
    return out;
  }

  /** Writes bytes (ROM included, for loaders: pass `force`); bytes on unbacked pages are dropped. */
  write(gpa: number, data: Uint8Array, force = false): void {
    for (let done = 0; done < data.length;) {
      const n = Math.min(data.length - done, PAGE_SIZE - ((gpa + done) % PAGE_SIZE));
      const h = this.host(gpa + done);
      const page = Math.floor((gpa + done) / PAGE_SIZE);
      if (h >= 0 && (force || !this.rom[page])) {
        this.touch(page, (gpa + done) % PAGE_SIZE, n);
        this.u8.set(data.subarray(done, done + n), h);
      }
      done += n;
    }
  }

  /** Little-endian reads of one aligned-or-not value that may cross pages; unbacked bytes are 0xff. */
  read8(gpa: number): number {
    const h = this.host(gpa);
    return h < 0 ? 0xff : this.u8[h];
  }
  /** @see read8 */
  /** Reads 16 bits. */
  read16(gpa: number): number {
    const h = this.host(gpa);
    if (h >= 0 && (gpa & (PAGE_SIZE - 1)) <= PAGE_SIZE - 2) return this.view.getUint16(h, true);
    return this.read8(gpa) | this.read8(gpa + 1) << 8;
  }
  /** @see read8 */
  /** Reads 32 bits. */
  read32(gpa: number): number {
    const h = this.host(gpa);
    if (h >= 0 && (gpa & (PAGE_SIZE - 1)) <= PAGE_SIZE - 4) return this.view.getUint32(h, true);
    return (this.read16(gpa) | this.read16(gpa + 2) << 16) >>> 0;
  }
  /** Little-endian writes; writes to ROM or unbacked memory are dropped. */
  write8(gpa: number, value: number): void {
    const h = this.host(gpa), page = Math.floor(gpa / PAGE_SIZE);
    if (h < 0 || this.rom[page]) return;
    this.touch(page, gpa & (PAGE_SIZE - 1), 1);
    this.u8[h] = value;
  }
  /** @see write8 */
  /** Writes 16 bits. */
  write16(gpa: number, value: number): void {
    this.write8(gpa, value & 0xff);
    this.write8(gpa + 1, value >>> 8 & 0xff);
  }
  /** @see write8 */
  /** Writes 32 bits. */
  write32(gpa: number, value: number): void {
    const h = this.host(gpa), page = Math.floor(gpa / PAGE_SIZE);
    if (h >= 0 && (gpa & (PAGE_SIZE - 1)) <= PAGE_SIZE - 4) {
      if (this.rom[page]) return;
      this.touch(page, gpa & (PAGE_SIZE - 1), 4);
      this.view.setUint32(h, value >>> 0, true);
      return;
    }
    this.write16(gpa, value & 0xffff);
    this.write16(gpa + 2, value >>> 16);
  }
}
