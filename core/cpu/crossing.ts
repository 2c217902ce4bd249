/**
 * Decoded instructions that cross from one page into the next. Either page may be remapped or written without the other, so
 * they belong to no page's blocks; one that runs again is decoded again only if its bytes are no longer those that were.
 *
 * @module
 */
import type { Mmu } from "../mmu/mmu.ts";
import { PAGE_SIZE } from "../mmu/physmem.ts";

/** Bytes of the longest instruction (SDM volume 2, 2.3.11). */
export const INSTRUCTION_BYTES_MAX = 15;
/** Most instructions that are kept. */
const KEPT_MAX = 4096;

/** One decoded instruction. */
interface Crossing {
  rip: number;
  /** Base and limit of the code segment are part of it. */
  mode: number;
  /** Its bytes, and how many of them lie in the first page. */
  bytes: Uint8Array;
  inFirst: number;
  /** Its block. */
  rec: number;
}

/** The instructions of one machine that cross pages, by the guest-physical address of their first byte. */
export class CrossingCode {
  readonly #kept = new Map<number, Crossing>();

  /** @param linear linear address of a RIP in the current code segment */
  constructor(readonly u8: Uint8Array, readonly mmu: Mmu, readonly linear: (rip: number) => number) {}

  /**
   * Block of the instruction at a RIP, if it is known and its bytes are still there; else 0. Raises the fetch's faults.
   * @param host where its first byte is
   */
  find(rip: number, mode: number, gpa: number, host: number): number {
    const c = this.#kept.get(gpa);
    if (c === undefined || c.rip !== rip || c.mode !== mode) return 0;
    const { bytes, inFirst } = c, { u8 } = this;
    for (let i = 0; i < inFirst; i++) if (u8[host + i] !== bytes[i]) return 0;
    const behind = rip + inFirst;
    const second = this.mmu.fetchHost(this.linear((mode & 3) === 2 ? behind : behind >>> 0)).host;
    if (second < 0) return 0;
    for (let i = inFirst; i < bytes.length; i++) if (u8[second + i - inFirst] !== bytes[i]) return 0;
    return c.rec;
  }

  /**
   * Block for an instruction at an address that is to be kept: where the one before it was made, or at `otherwise`.
   * @returns 0 when too many are kept
   */
  place(gpa: number, otherwise: number): number {
    return this.#kept.get(gpa)?.rec ?? (this.#kept.size < KEPT_MAX ? otherwise : 0);
  }

  /** Keeps an instruction whose block is at `rec`. */
  keep(gpa: number, rip: number, mode: number, bytes: Uint8Array, rec: number): void {
    this.#kept.set(gpa, { rip, mode, bytes, inFirst: PAGE_SIZE - gpa % PAGE_SIZE, rec });
  }

  /** Forgets everything. */
  clear(): void {
    this.#kept.clear();
  }
}
