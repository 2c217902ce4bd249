/**
 * Decoded instructions that cross from one page into the next. Either page may be remapped or written without the other, so
 * they belong to no page's blocks; one that runs again is decoded again only if its bytes are no longer those that were.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { PAGE_SIZE } from "../mmu/physmem.ts";
import { Decoded, type Decoder } from "./decode/decoder.ts";
import { raise, Vec } from "./hooks.ts";
import { REC_SIZE } from "./insn.ts";
import { type CpuState, Seg } from "./state.ts";

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
  /** Bytes of the instruction gathered last. */
  readonly gathered = new Uint8Array(16);
  readonly #kept = new Map<number, Crossing>();
  /** Address of the instruction gathered last, when it crosses from one backed page into another; else -1. */
  #gpa = -1;
  #rip = 0;

  /** @param linear linear address of a RIP in the current code segment */
  constructor(
    readonly s: CpuState,
    readonly mmu: Mmu,
    readonly decoder: Decoder,
    readonly linear: (rip: number) => number,
  ) {}

  /**
   * Block of the instruction at a RIP, if it is known and its bytes are still there; else 0. Raises the fetch's faults.
   * @param host where its first byte is
   */
  find(rip: number, mode: number, gpa: number, host: number): number {
    const c = this.#kept.get(gpa);
    if (c === undefined || c.rip !== rip || c.mode !== mode) return 0;
    const { bytes, inFirst } = c, { u8 } = this.s;
    for (let i = 0; i < inFirst; i++) if (u8[host + i] !== bytes[i]) return 0;
    const second = this.#fetchBehind(rip, inFirst).host;
    if (second < 0) return 0;
    for (let i = inFirst; i < bytes.length; i++) if (u8[second + i - inFirst] !== bytes[i]) return 0;
    return c.rec;
  }

  /**
   * Keeps the instruction gathered last, if it is one that can be.
   * @param made its block, which is copied
   * @param place where it goes unless one of its address was kept before
   * @returns the block that is kept, or `made`
   */
  keep(made: number, place: number): number {
    const gpa = this.#gpa, rec = this.#kept.get(gpa)?.rec ?? (this.#kept.size < KEPT_MAX ? place : 0);
    if (gpa < 0 || rec === 0) return made;
    this.s.u8.copyWithin(rec - 8, made - 8, made + 2 * REC_SIZE);
    this.#kept.set(gpa, {
      rip: this.#rip,
      mode: this.s.i32[L.MODE >> 2],
      bytes: this.gathered.slice(0, this.decoder.length),
      inFirst: PAGE_SIZE - gpa % PAGE_SIZE,
      rec,
    });
    return rec;
  }

  /** Decodes one instruction that crosses into the next page or lies in unbacked memory. Raises what fetching it does. */
  gather(rip: number, offset: number, gpa: number, host: number): void {
    const { s, gathered: g, decoder } = this, { u8 } = s;
    const limit = s.code64 ? Infinity : s.segLimit(Seg.CS);
    const inPage = Math.min(INSTRUCTION_BYTES_MAX, PAGE_SIZE - offset, limit - rip + 1);
    for (let i = 0; i < inPage; i++) g[i] = host < 0 ? this.mmu.mem.read8(gpa + i) : u8[host + i];
    const mode = s.i32[L.MODE >> 2];
    let status = decoder.decode(g, 0, inPage, mode);
    this.#gpa = -1;
    if (status === Decoded.TRUNCATED) {
      const most = Math.min(INSTRUCTION_BYTES_MAX, limit - rip + 1);
      if (most > inPage) {
        const second = this.#fetchBehind(rip, inPage);
        for (let i = inPage; i < most; i++) {
          g[i] = second.host < 0 ? this.mmu.mem.read8(second.gpa + i - inPage) : u8[second.host + i - inPage];
        }
        status = decoder.decode(g, 0, most, mode);
        if (host >= 0 && second.host >= 0) this.#gpa = gpa;
        this.#rip = rip;
      }
    }
    if (status !== Decoded.OK) raise(Vec.GP, 0);
  }

  #fetchBehind(rip: number, bytes: number): { gpa: number; host: number } {
    return this.mmu.fetchHost(this.linear(this.s.code64 ? rip + bytes : (rip + bytes) >>> 0));
  }

  /** Forgets everything. */
  clear(): void {
    this.#kept.clear();
  }
}
