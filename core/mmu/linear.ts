/**
 * Linear memory for the TypeScript half of the instruction set: little-endian values, any alignment, page-crossing
 * and MMIO included. Every access raises `GuestFault` when it faults; a write that faults changed nothing.
 *
 * Instructions using these run alone in their block, so that MMIO and writes over decoded code take effect at once.
 *
 * @module
 */
import { raise, Vec } from "../cpu/hooks.ts";
import * as L from "../layout.ts";
import { PAGE_SIZE } from "./physmem.ts";
import { tlbIndex } from "./tlb.ts";
import { SUPERVISOR_SET, Translator } from "./translate.ts";
import { Access } from "./walk.ts";
import type { AccessObserver, Watch } from "./access.ts";

const TWO32 = 0x1_0000_0000;

/** Who handles guest-physical memory without backing. */
export interface MmuHooks {
  /** @param size 1, 2 or 4 */
  mmioRead(gpa: number, size: number, linear: number): number;
  mmioWrite(gpa: number, size: number, value: number, linear: number): void;
}

/** Nothing there: reads give all ones, writes vanish. */
export const NO_MMIO: MmuHooks = {
  mmioRead: (_gpa, size) => size === 4 ? 0xffff_ffff : (1 << size * 8) - 1,
  mmioWrite: () => {},
};

/** Reads and writes at linear addresses. `supervisor` marks implicit supervisor accesses (tables, TSS, inner stacks). */
export class LinearMemory extends Translator {
  hooks: MmuHooks = NO_MMIO;
  /** Watched places; null: none. Set by `Mmu.setWatch`. */
  protected watch: Watch | null = null;
  /** Told of every access; null: nobody looks on. Set by `Mmu.setObserver`. */
  protected observer: AccessObserver | null = null;

  /** Notes an access inside one page that has been translated and happens now. */
  #note(la: number, gpa: number, size: number, write: boolean): void {
    const { watch, observer } = this;
    if (watch !== null && watch.concerns(la, gpa, size, write, false)) {
      watch.note(la, gpa, size, write, false);
    }
    if (observer === null || this.mem.host(gpa) < 0) return;
    if (!write || !this.mem.rom[gpa / PAGE_SIZE | 0]) observer.access(write, la, gpa, size);
  }

  /** Address of a following byte: wraps at 4 GiB outside 64-bit code. */
  next(la: number, by: number): number {
    const n = la + by;
    return n >= TWO32 && la < TWO32 && !this.s.code64 ? n - TWO32 : n;
  }

  /** @returns an unsigned byte */
  read8(la: number, supervisor = false): number {
    const h = this.#readable(la, 1, supervisor);
    return h > 0 ? this.mem.u8[h] : this.#readParts(la, 1, supervisor);
  }

  /** @returns an unsigned 16-bit value */
  read16(la: number, supervisor = false): number {
    const h = this.#readable(la, 2, supervisor);
    return h > 0 ? this.mem.view.getUint16(h, true) : this.#readParts(la, 2, supervisor);
  }

  /** @returns an unsigned 32-bit value */
  read32(la: number, supervisor = false): number {
    const h = this.#readable(la, 4, supervisor);
    return h > 0 ? this.mem.view.getUint32(h, true) : this.#readParts(la, 4, supervisor);
  }

  /** Reads 64 bits into `lo` and `hi`; returns `lo`. */
  readWords64(la: number, supervisor = false): number {
    const h = this.#readable(la, 8, supervisor);
    if (h > 0) {
      this.lo = this.mem.view.getUint32(h, true);
      this.hi = this.mem.view.getUint32(h + 4, true);
    } else {
      const lo = this.#readParts(la, 4, supervisor);
      this.hi = this.#readParts(this.next(la, 4), 4, supervisor);
      this.lo = lo;
    }
    return this.lo;
  }

  /** Writes the low byte of a value. */
  write8(la: number, value: number, supervisor = false): void {
    const h = this.#writable(la, 1, supervisor);
    if (h > 0) this.mem.u8[h] = value;
    else this.#writeParts(la, 1, value, 0, supervisor);
  }

  /** Writes the low 16 bits of a value. */
  write16(la: number, value: number, supervisor = false): void {
    const h = this.#writable(la, 2, supervisor);
    if (h > 0) this.mem.view.setUint16(h, value, true);
    else this.#writeParts(la, 2, value, 0, supervisor);
  }

  /** Writes 32 bits. */
  write32(la: number, value: number, supervisor = false): void {
    const h = this.#writable(la, 4, supervisor);
    if (h > 0) this.mem.view.setUint32(h, value, true);
    else this.#writeParts(la, 4, value, 0, supervisor);
  }

  /** Writes 64 bits given as two words. */
  write64(la: number, lo: number, hi: number, supervisor = false): void {
    const h = this.#writable(la, 8, supervisor);
    if (h > 0) {
      this.mem.view.setUint32(h, lo, true);
      this.mem.view.setUint32(h + 4, hi, true);
    } else this.#writeParts(la, 8, lo, hi, supervisor);
  }

  /**
   * Raises the fault that a write of `bytes` bytes would raise, so that operations with several writes are atomic.
   * @param element size in bytes to which alignment checks apply; above 8: none
   */
  probeWrite(la: number, bytes: number, supervisor = false, element = bytes): void {
    this.#probe(la, bytes, Access.WRITE, supervisor, element);
  }

  /** @see probeWrite */
  probeRead(la: number, bytes: number, supervisor = false, element = bytes): void {
    this.#probe(la, bytes, Access.READ, supervisor, element);
  }

  /** Processors look at the first element and, for long operands, the very last byte: the fault address tells. */
  #probe(la: number, bytes: number, access: number, supervisor: boolean, element: number): void {
    if (element <= 8) this.#checkAlignment(la | 0, element, supervisor);
    this.translate(la, access, supervisor);
    const first = PAGE_SIZE - (la & 0xfff);
    for (let at = first; at < bytes; at += PAGE_SIZE) {
      const last = bytes > 10 && first >= element && at + PAGE_SIZE >= bytes ? bytes - 1 : at;
      this.translate(this.canonical(this.next(la, last)), access, supervisor);
    }
  }

  /** Later parts of an access may run out of the canonical range: #GP(0). */
  canonical(la: number): number {
    if (la >= 0x8000_0000_0000 || la < -0x8000_0000_0000) raise(Vec.GP, 0);
    return la;
  }

  /** True when an explicit access of user code with alignment checks on is not aligned to its size (at most 8). */
  misaligned(la: number, size: number): boolean {
    return size <= 8 && ((la | 0) & (size - 1)) !== 0 && this.checksAlignment;
  }

  /** #AC(0) for explicit accesses of user code with alignment checks on. */
  #checkAlignment(lo: number, size: number, supervisor: boolean): void {
    if (lo & (size - 1) && !supervisor && this.checksAlignment) raise(Vec.AC, 0);
  }

  /** Word index of the TLB entry to probe; in the set for alignment-checked accesses nothing ever hits. */
  #entry(lo: number, hi: number, supervisor: boolean): number {
    const set = supervisor ? L.TLB : this.tlb.m[L.TLB_BASE >> 2];
    return (set >> 2) + (tlbIndex(lo, hi) << 3);
  }

  /** Host offset for a read inside one backed page; -1 otherwise. Raises when not translated. */
  #readable(la: number, size: number, supervisor: boolean): number {
    const lo = la | 0, hi = Math.floor(la / TWO32) | 0, m = this.tlb.m, e = this.#entry(lo, hi, supervisor);
    if (m[e] === (lo & ~0xfff) && m[e + 1] === hi && (lo & 0xfff) + size <= PAGE_SIZE) {
      this.observer?.access(false, la, m[e + 7] * PAGE_SIZE + (lo & 0xfff), size);
      return (lo + m[e + 6]) >>> 0;
    }
    return this.#readableSlow(lo, hi, size, supervisor);
  }

  #readableSlow(lo: number, hi: number, size: number, supervisor: boolean): number {
    this.#checkAlignment(lo, size, supervisor);
    if ((lo & 0xfff) + size > PAGE_SIZE) return -1;
    const set = supervisor ? SUPERVISOR_SET : this.currentSet();
    const page = this.resolveCached(lo, hi, Access.READ, set, false);
    if (page < 0) this.raisePending();
    const gpa = page * PAGE_SIZE + (lo & 0xfff);
    this.#note(hi * TWO32 + (lo >>> 0), gpa, size, false);
    return this.mem.host(gpa);
  }

  /** Host offset for a write inside one page of RAM that holds no code; -1 otherwise. */
  #writable(la: number, size: number, supervisor: boolean): number {
    const lo = la | 0, hi = Math.floor(la / TWO32) | 0, m = this.tlb.m, e = this.#entry(lo, hi, supervisor);
    if (m[e + 2] === (lo & ~0xfff) && m[e + 3] === hi && (lo & 0xfff) + size <= PAGE_SIZE) {
      this.observer?.access(true, la, m[e + 7] * PAGE_SIZE + (lo & 0xfff), size);
      return (lo + m[e + 6]) >>> 0;
    }
    return this.#writableSlow(lo, hi, size, supervisor);
  }

  #writableSlow(lo: number, hi: number, size: number, supervisor: boolean): number {
    this.#checkAlignment(lo, size, supervisor);
    if ((lo & 0xfff) + size > PAGE_SIZE) return -1;
    const set = supervisor ? SUPERVISOR_SET : this.currentSet();
    const page = this.resolveCached(lo, hi, Access.WRITE, set, false);
    if (page < 0) this.raisePending();
    if (page < 1 << 20 && (this.mem.rom[page] || this.mem.code[page])) return -1;
    const gpa = page * PAGE_SIZE + (lo & 0xfff), host = this.mem.host(gpa);
    if (host >= 0) this.#note(hi * TWO32 + (lo >>> 0), gpa, size, true);
    return host;
  }

  /** Reads 1, 2 or 4 bytes across pages or from MMIO. */
  #readParts(la: number, size: number, supervisor: boolean): number {
    const first = Math.min(size, PAGE_SIZE - (la & 0xfff));
    const a = this.translate(la, Access.READ, supervisor);
    if (first === size) {
      // A backed page that the caller has not noted: half of a value that crosses.
      if (this.mem.host(a) >= 0) this.#note(la, a, size, false);
      return this.#readPhysical(a, size, la);
    }
    const rest = this.canonical(this.next(la, first));
    const b = this.translate(rest, Access.READ, supervisor);
    this.#note(la, a, first, false);
    this.#note(rest, b, size - first, false);
    let value = 0;
    for (let i = 0; i < size; i++) {
      const byte = i < first
        ? this.#readPhysical(a + i, 1, la + i)
        : this.#readPhysical(b + i - first, 1, rest + i - first);
      value |= byte << i * 8;
    }
    return value >>> 0;
  }

  #readPhysical(gpa: number, size: number, la: number): number {
    const h = this.mem.host(gpa);
    if (h < 0) return this.hooks.mmioRead(gpa, size, la) >>> 0;
    if (size === 4) return this.mem.view.getUint32(h, true);
    return size === 2 ? this.mem.view.getUint16(h, true) : this.mem.u8[h];
  }

  /** Writes 1 to 8 bytes across pages, to MMIO, ROM or over code. */
  #writeParts(la: number, size: number, lo: number, hi: number, supervisor: boolean): void {
    const first = Math.min(size, PAGE_SIZE - (la & 0xfff));
    const a = this.translate(la, Access.WRITE, supervisor);
    if (first === size) {
      this.#note(la, a, size, true);
      this.writePhysical(a, Math.min(size, 4), lo, la);
      if (size === 8) this.writePhysical(a + 4, 4, hi, la + 4);
      return;
    }
    const rest = this.canonical(this.next(la, first));
    const b = this.translate(rest, Access.WRITE, supervisor);
    this.#note(la, a, first, true);
    this.#note(rest, b, size - first, true);
    for (let i = 0; i < size; i++) {
      const byte = (i < 4 ? lo >>> i * 8 : hi >>> (i - 4) * 8) & 0xff;
      if (i < first) this.writePhysical(a + i, 1, byte, la + i);
      else this.writePhysical(b + i - first, 1, byte, rest + i - first);
    }
  }

  /** Writes 1, 2 or 4 bytes inside one page at a guest-physical address: RAM, ROM (dropped) or MMIO. */
  protected writePhysical(gpa: number, size: number, value: number, la: number): void {
    const { mem } = this, h = mem.host(gpa);
    if (h < 0) {
      this.hooks.mmioWrite(gpa, size, size === 4 ? value >>> 0 : value & ((1 << size * 8) - 1), la);
      return;
    }
    const page = gpa / PAGE_SIZE | 0;
    if (mem.rom[page]) return;
    mem.dirty[page] = 1;
    if (mem.code[page]) this.aboutToChangeCode(page, gpa & 0xfff, size);
    if (size === 4) mem.view.setUint32(h, value, true);
    else if (size === 2) mem.view.setUint16(h, value, true);
    else mem.u8[h] = value;
  }

  /** Tells the code cache that bytes of a code page change, if they are decoded ones. */
  protected aboutToChangeCode(page: number, offset: number, length: number): void {
    const { mem } = this;
    if (mem.codeOverlaps === null || mem.codeOverlaps(page, offset, length)) {
      mem.onCodeWrite?.(page, offset, length);
    }
  }
}
