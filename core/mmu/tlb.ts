/**
 * The TLB that generated code probes: entry layout in `core/layout.ts`, one word of side information per entry here.
 *
 * Flushes cost as much as there are entries filled. Translations for execution live in `exec_tlb.ts`.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { CpuState } from "../cpu/state.ts";
import type { PhysMem } from "./physmem.ts";
import { ExecTlb, region, sameRegion } from "./exec_tlb.ts";
import type { Watch } from "./access.ts";
import { JumpCache } from "./jump_cache.ts";
import { PageClass, Right } from "./walk.ts";

/** Low bits of a write tag, which make generated code miss. */
export const WriteTag = {
  /** Translation valid; the first write marks the page dirty and clears the bit. */
  WATCHED: 1,
  /** The page holds decoded code. */
  CODE: 2,
  /** A debugger watches the page; in read tags, too. */
  DEBUG: 4,
} as const;

/** The set for user-mode accesses; 0 and 2 are the supervisor's, 3 is never filled. */
export const USER_SET = 1;

const TOTAL = L.TLB_ENTRIES * L.TLB_SETS;
/** Side information: bits 0-1 `PageClass`, 2 global, 3 and 4 in the list of entries filled with local or global ones. */
const CLASS = 3, GLOBAL = 4, LISTED_LOCAL = 8, LISTED_GLOBAL = 16, LISTED = LISTED_LOCAL | LISTED_GLOBAL;
/** Bytes per entry in `save`. */
const SAVED = 20;
const FILTER_BITS = 0x1_0000;
const FIRST = L.TLB >> 2, STRIDE = L.TLB_ENTRY_SIZE >> 2;

/** A set of 65536 bits: "may have been seen". */
class Filter {
  readonly #words = new Int32Array(FILTER_BITS >> 5);
  #empty = true;
  add(n: number): void {
    this.#words[(n & 0xffff) >> 5] |= 1 << (n & 31);
    this.#empty = false;
  }
  has(n: number): boolean {
    return !this.#empty && (this.#words[(n & 0xffff) >> 5] >>> (n & 31) & 1) !== 0;
  }
  clear(): void {
    if (!this.#empty) this.#words.fill(0);
    this.#empty = true;
  }
}

/**
 * Index of a linear address in a set, exactly as generated code computes it. A sum, not an exclusive or: neighbouring
 * pages must never share an entry, for a probe compares the tag with the page of an access's last byte.
 */
export function tlbIndex(lo: number, hi: number): number {
  return (lo >>> 12) + (lo >>> 24 | hi << 8) & (L.TLB_ENTRIES - 1);
}

/** Numbers of entries. */
class SlotList {
  readonly slots = new Int32Array(TOTAL);
  count = 0;
  add(slot: number): void {
    this.slots[this.count++] = slot;
  }
}

/** All sets of the TLB. */
export class Tlb {
  /** The memory below guest RAM as words; entry `n` starts at `entry(set, lo, hi)`. */
  readonly m: Int32Array;
  readonly #side = new Uint8Array(TOTAL);
  /** Entries that have been filled since they were last flushed: with local translations, with global ones. */
  readonly #local = new SlotList();
  readonly #global = new SlotList();
  readonly #lists = [this.#local, this.#global];
  /** Translations for execution by the supervisor and by user code. */
  readonly exec: readonly [ExecTlb, ExecTlb];
  /** Jump caches of the supervisor and of user code. */
  readonly jumpCaches: readonly [JumpCache, JumpCache];
  /** Regions that large pages filled entries in. */
  readonly #large = new Filter();
  /** A valid entry has given way to another one, or changed, since this was last cleared. */
  displaced = false;
  /** What a debugger watches. */
  #watched: Pick<Watch, "pages" | "frames"> | null = null;

  constructor(readonly s: CpuState, readonly mem: PhysMem) {
    this.m = s.i32;
    this.m.fill(-1, FIRST, FIRST + TOTAL * STRIDE);
    const [supervisor, user] = this.jumpCaches = [new JumpCache(this.m, 0), new JumpCache(this.m, 1)];
    this.exec = [new ExecTlb(() => supervisor.forget()), new ExecTlb(() => user.forget())];
  }

  /** Word index of the entry for an address. */
  entry(set: number, lo: number, hi: number): number {
    return FIRST + (set * L.TLB_ENTRIES + tlbIndex(lo, hi)) * STRIDE;
  }

  /** Enters a translation for execution; `user`: the user's. */
  fillExec(user: boolean, lo: number, hi: number, page: number, rights: number, pageClass: number): void {
    this.exec[user ? 1 : 0].insert(lo, hi, page, (rights & Right.GLOBAL) !== 0, pageClass);
    if (pageClass !== PageClass.K4) this.#large.add(region(pageClass, lo, hi));
  }

  /** Enters a data translation to a backed page. `allowed` has bits 1 << `Access`, `rights` are the walk's. */
  fill(
    set: number,
    lo: number,
    hi: number,
    page: number,
    allowed: number,
    rights: number,
    pageClass: number,
  ): void {
    const { m, mem } = this, slot = set * L.TLB_ENTRIES + tlbIndex(lo, hi), e = FIRST + slot * STRIDE;
    const tag = lo & ~0xfff;
    const debug = this.#watched !== null && this.#isWatched(lo, hi, page) ? WriteTag.DEBUG : 0;
    if (this.#allowed(slot) !== 0 && !this.#grows(e, tag, hi, page, allowed)) this.displaced = true;
    this.#set(e, allowed & 1, tag | debug, hi);
    const writable = allowed & 2 && rights & Right.DIRTY && !mem.rom[page];
    const bits = (mem.dirty[page] ? 0 : WriteTag.WATCHED) | (mem.code[page] ? WriteTag.CODE : 0) | debug;
    this.#set(e + 2, writable, tag | bits, hi);
    m[e + 6] = (mem.hostPage[page] << 12) - tag;
    m[e + 7] = page;
    const global = rights & Right.GLOBAL ? GLOBAL : 0;
    if (pageClass !== PageClass.K4) this.#large.add(region(pageClass, lo, hi));
    const listed = global ? LISTED_GLOBAL : LISTED_LOCAL, side = this.#side[slot];
    if (!(side & listed)) (global ? this.#global : this.#local).add(slot);
    this.#side[slot] = side & LISTED | listed | global | pageClass;
  }

  /** True when an entry would keep its translation, and lose no right. */
  #grows(e: number, tag: number, hi: number, page: number, allowed: number): boolean {
    const { m } = this;
    const same = (right: number, word: number): boolean =>
      !this.#valid(word) || ((allowed & right) !== 0 && (m[word] & ~7) === tag && m[word + 1] === hi);
    return m[e + 7] === page && same(1, e) && same(2, e + 2);
  }

  /** Drops every translation and both jump caches. */
  flushAll(): void {
    if (this.#local.count + this.#global.count > TOTAL >> 2) {
      this.m.fill(-1, FIRST, FIRST + TOTAL * STRIDE);
      this.#side.fill(0);
    } else {
      for (const { slots, count } of this.#lists) for (let i = 0; i < count; i++) this.#drop(slots[i], 0);
    }
    this.#local.count = this.#global.count = 0;
    this.#large.clear();
    for (const exec of this.exec) exec.flushAll();
  }

  /** Drops every translation that is not global, and empties the jump caches that may know one. */
  flushNonGlobal(): void {
    const { slots, count } = this.#local;
    for (let i = 0; i < count; i++) {
      const slot = slots[i];
      if (this.#side[slot] & GLOBAL) this.#side[slot] &= ~LISTED_LOCAL;
      else this.#drop(slot, LISTED_GLOBAL);
    }
    this.#local.count = 0;
    for (const exec of this.exec) exec.flushNonGlobal();
  }

  /** Drops the translations of the page (of whatever size) that holds an address, global or not. */
  invlpg(lo: number, hi: number): void {
    const tag = lo & ~0xfff;
    for (let set = 0; set < L.TLB_SETS; set++) {
      const slot = set * L.TLB_ENTRIES + tlbIndex(lo, hi);
      if (this.#isPage(FIRST + slot * STRIDE, tag, hi)) this.#drop(slot, LISTED);
    }
    let large = false;
    for (let c: number = PageClass.M2; c <= PageClass.G1; c++) large ||= this.#large.has(region(c, lo, hi));
    if (large) this.#dropRegions(lo, hi);
    for (const exec of this.exec) exec.invlpg(lo, hi, large);
  }

  /** Makes every jump cache forget. An empty entry is all ones. */
  flushJumpCaches(): void {
    for (const cache of this.jumpCaches) cache.forget();
  }

  /** Sets a bit of the valid write tags of all entries, or of those that map one physical page. */
  markWrites(bit: number, page = -1): void {
    const { m } = this;
    for (const { slots, count } of this.#lists) {
      for (let i = 0; i < count; i++) {
        const e = FIRST + slots[i] * STRIDE;
        if ((page < 0 || m[e + 7] === page) && this.#valid(e + 2)) m[e + 2] |= bit;
      }
    }
  }

  /** Clears the "holds code" bit of the write tags that map a physical page. */
  unmarkCode(page: number): void {
    const { m } = this;
    for (const { slots, count } of this.#lists) {
      for (let i = 0; i < count; i++) {
        const e = FIRST + slots[i] * STRIDE;
        if (m[e + 7] === page && this.#valid(e + 2)) m[e + 2] &= ~WriteTag.CODE;
      }
    }
  }

  /** Makes generated code miss on the pages with these linear or physical numbers; the translations stay. */
  watchPages(watch: Pick<Watch, "pages" | "frames"> | null): void {
    this.#watched = watch;
    const { m } = this;
    for (const slot of this.#valids()) {
      const e = FIRST + slot * STRIDE;
      for (const tag of [e, e + 2]) {
        if (!this.#valid(tag)) continue;
        m[tag] &= ~WriteTag.DEBUG;
        if (watch !== null && this.#isWatched(m[tag], m[tag + 1], m[e + 7])) m[tag] |= WriteTag.DEBUG;
      }
    }
  }

  /** Physical page of a watched page's valid read translation; -1: there is none. */
  watchedRead(set: number, lo: number, hi: number): number {
    const { m } = this, e = this.entry(set, lo, hi);
    return m[e] === ((lo & ~0xfff) | WriteTag.DEBUG) && m[e + 1] === hi ? m[e + 7] : -1;
  }

  #isWatched(lo: number, hi: number, page: number): boolean {
    const { pages, frames } = this.#watched!;
    return pages.has(hi * 0x10_0000 + (lo >>> 12)) || frames.has(page);
  }

  /** The valid entries, in index order: equal contents give equal bytes (marks in write tags are left out). */
  save(): Uint8Array {
    const slots = this.#valids();
    const exec = this.exec.map((x) => x.save());
    const out = new Uint8Array(8 + slots.length * SAVED + exec[0].length + exec[1].length);
    const v = new DataView(out.buffer);
    v.setUint32(0, slots.length, true);
    v.setUint32(4, exec[0].length, true);
    let at = 8;
    for (const slot of slots) {
      const e = FIRST + slot * STRIDE, allowed = this.#allowed(slot), tag = allowed & 1 ? e : e + 2;
      v.setUint32(at, slot, true);
      v.setInt32(at + 4, this.m[tag] & ~0xfff, true);
      v.setInt32(at + 8, this.m[tag + 1], true);
      v.setUint32(at + 12, allowed | (this.#side[slot] & (CLASS | GLOBAL)) << 8, true);
      v.setInt32(at + 16, this.m[e + 7], true);
      at += SAVED;
    }
    out.set(exec[0], at);
    out.set(exec[1], at + exec[0].length);
    return out;
  }

  /** Replaces all entries by what `save` gave. The memory's pages must be in place; entries of unbacked ones are left out. */
  load(saved: Uint8Array): void {
    this.flushAll();
    if (saved.length < 8) return;
    const v = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
    const end = Math.min(8 + v.getUint32(0, true) * SAVED, saved.length);
    for (let at = 8; at + SAVED <= end; at += SAVED) {
      const slot = v.getUint32(at, true),
        flags = v.getUint32(at + 12, true),
        page = v.getUint32(at + 16, true);
      if (slot >= TOTAL || page >= 1 << 20 || this.mem.hostPage[page] === 0) continue;
      const rights = (flags & 2 ? Right.DIRTY : 0) | (flags >>> 8 & GLOBAL ? Right.GLOBAL : 0);
      const lo = v.getInt32(at + 4, true), hi = v.getInt32(at + 8, true);
      this.fill(slot >>> 12, lo, hi, page, flags & 3, rights, flags >>> 8 & CLASS);
    }
    const split = Math.min(end + v.getUint32(4, true), saved.length);
    this.exec[0].load(saved.subarray(end, split));
    this.exec[1].load(saved.subarray(split));
    for (const exec of this.exec) for (const place of exec.largePages()) this.#large.add(place);
  }

  /** Numbers of all valid entries, ascending. */
  #valids(): number[] {
    const all = new Set<number>();
    for (const { slots, count } of this.#lists) for (const slot of slots.subarray(0, count)) all.add(slot);
    return [...all].filter((slot) => this.#allowed(slot) !== 0).sort((a, b) => a - b);
  }

  #set(word: number, valid: number | boolean, lo: number, hi: number): void {
    this.m[word] = valid ? lo : -1;
    this.m[word + 1] = valid ? hi : -1;
  }

  /** True when the tag at a word index is one (and not all ones). */
  #valid(word: number): boolean {
    return (this.m[word] & 0xff8) === 0;
  }

  #allowed(slot: number): number {
    const e = FIRST + slot * STRIDE;
    return (this.#valid(e) ? 1 : 0) | (this.#valid(e + 2) ? 2 : 0);
  }

  #isPage(e: number, tag: number, hi: number): boolean {
    const { m } = this;
    return ((m[e] & ~7) === tag && m[e + 1] === hi) || ((m[e + 2] & ~7) === tag && m[e + 3] === hi);
  }

  #drop(slot: number, side: number): void {
    const e = FIRST + slot * STRIDE;
    const { m } = this;
    m[e] =
      m[e + 1] =
      m[e + 2] =
      m[e + 3] =
      m[e + 4] =
      m[e + 5] =
        -1;
    this.#side[slot] &= side;
  }

  /** Drops the entries that came from a large page holding an address. */
  #dropRegions(lo: number, hi: number): void {
    for (const { slots, count } of this.#lists) {
      for (let i = 0; i < count; i++) {
        const slot = slots[i], e = FIRST + slot * STRIDE, c = this.#side[slot] & CLASS;
        if (c === PageClass.K4) continue;
        const tag = this.#valid(e) ? e : e + 2;
        if (sameRegion(c, lo, hi, this.m[tag], this.m[tag + 1])) this.#drop(slot, LISTED);
      }
    }
  }
}
