/**
 * Translations for execution, apart from those for data, and the jump caches' guardian.
 *
 * Whether and when the dispatcher looks an address up depends on what is decoded and cached, so it must not be visible:
 * neither in accessed flags nor in which translations are still there. Three rules see to that. Data accesses never
 * displace these entries; a jump cache only knows pages that have an entry here (dropping an entry empties the jump
 * cache of its privilege); and the page that executes always has one. A lookup that one run makes and another does
 * not therefore always finds an entry, and changes nothing.
 *
 * @module
 */
import { PageClass } from "./walk.ts";

const SETS = 2048, WAYS = 4, ENTRIES = SETS * WAYS;
/** Information word: bits 0-1 `PageClass`, 2 global, 3 valid. */
const CLASS = 3, GLOBAL = 4, VALID = 8;
/** Bytes per entry in `save`. */
const SAVED = 24;

/** Number of the region of a page class (not 4 KiB) that holds an address; for one canonical half it is unique. */
export function region(pageClass: number, lo: number, hi: number): number {
  const shift = pageClass === PageClass.M2 ? 21 : pageClass === PageClass.M4 ? 22 : 30;
  return lo >>> shift | hi << (32 - shift);
}

/** True when two addresses lie in the same page of a class other than 4 KiB. */
export function sameRegion(c: number, lo: number, hi: number, lo2: number, hi2: number): boolean {
  const highs = c === PageClass.G1 ? hi >>> 30 === hi2 >>> 30 : hi === hi2;
  return highs && region(c, lo, hi) === region(c, lo2, hi2);
}

/** The entries of one privilege (supervisor or user): four-way, first in first out. */
export class ExecTlb {
  readonly #lo = new Int32Array(ENTRIES);
  readonly #hi = new Int32Array(ENTRIES);
  readonly #page = new Float64Array(ENTRIES);
  readonly #info = new Uint8Array(ENTRIES);
  /** Sets that have an entry, in no particular order, and whether a set is in that list. */
  readonly #occupied = new Int32Array(SETS);
  readonly #listed = new Uint8Array(SETS);
  #count = 0;
  /** Sets that were given an entry that is not global since the last flush of those. */
  readonly #local = new Int32Array(SETS);
  readonly #isLocal = new Uint8Array(SETS);
  #locals = 0;
  readonly #notGlobal = (entry: number): boolean => !(this.#info[entry] & GLOBAL);

  /** @param forget empties the jump cache of this privilege */
  constructor(readonly forget: () => void) {}

  /** Physical page number, or -1. */
  find(lo: number, hi: number): number {
    const tag = lo & ~0xfff, first = this.#set(lo, hi) * WAYS;
    for (let e = first; e < first + WAYS; e++) {
      if (this.#lo[e] === tag && this.#hi[e] === hi && this.#info[e] !== 0) return this.#page[e];
    }
    return -1;
  }

  /** Enters a translation that `find` does not know. */
  insert(lo: number, hi: number, page: number, global: boolean, pageClass: number): void {
    const set = this.#set(lo, hi), first = set * WAYS;
    if (this.#info[first + WAYS - 1] !== 0) this.forget();
    for (let e = first + WAYS - 1; e > first; e--) this.#move(e - 1, e);
    this.#lo[first] = lo & ~0xfff;
    this.#hi[first] = hi;
    this.#page[first] = page;
    this.#info[first] = VALID | (global ? GLOBAL : 0) | pageClass;
    this.#list(set, global);
  }

  /** Notes that a set has an entry. */
  #list(set: number, global: boolean): void {
    if (!this.#listed[set]) {
      this.#listed[set] = 1;
      this.#occupied[this.#count++] = set;
    }
    if (!global && !this.#isLocal[set]) {
      this.#isLocal[set] = 1;
      this.#local[this.#locals++] = set;
    }
  }

  /** Drops every entry. */
  flushAll(): void {
    this.#dropWhere(() => true);
    this.forget();
  }

  /** Drops every entry that is not global. */
  flushNonGlobal(): void {
    let dropped = false;
    for (let i = 0; i < this.#locals; i++) {
      const set = this.#local[i];
      this.#isLocal[set] = 0;
      if (this.#compact(set, this.#notGlobal)) dropped = true;
    }
    this.#locals = 0;
    if (dropped) this.forget();
  }

  /** Drops the entries of the page that holds an address. @param large large pages may be concerned */
  invlpg(lo: number, hi: number, large: boolean): void {
    const tag = lo & ~0xfff;
    if (large) {
      this.#dropWhere((e) => {
        const c = this.#info[e] & CLASS;
        if (c === PageClass.K4) return this.#lo[e] === tag && this.#hi[e] === hi;
        return sameRegion(c, lo, hi, this.#lo[e], this.#hi[e]);
      });
    } else if (this.find(lo, hi) >= 0) {
      this.#compact(this.#set(lo, hi), (e) => this.#lo[e] === tag && this.#hi[e] === hi);
      this.forget();
    }
  }

  /** All entries with their places: equal contents give equal bytes. */
  save(): Uint8Array {
    const sets = this.#occupied.slice(0, this.#count).sort(), out: number[] = [];
    for (const set of sets) {
      for (let e = set * WAYS; e < set * WAYS + WAYS; e++) {
        if (this.#info[e] !== 0) out.push(e);
      }
    }
    const bytes = new Uint8Array(out.length * SAVED), v = new DataView(bytes.buffer);
    out.forEach((e, n) => {
      v.setUint32(n * SAVED, e, true);
      v.setUint32(n * SAVED + 4, this.#info[e], true);
      v.setInt32(n * SAVED + 8, this.#lo[e], true);
      v.setInt32(n * SAVED + 12, this.#hi[e], true);
      v.setFloat64(n * SAVED + 16, this.#page[e], true);
    });
    return bytes;
  }

  /** Replaces all entries by what `save` gave; entries that make no sense are left out. */
  load(saved: Uint8Array): void {
    this.flushAll();
    const v = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
    for (let at = 0; at + SAVED <= saved.length; at += SAVED) {
      const e = v.getUint32(at, true), lo = v.getInt32(at + 8, true), hi = v.getInt32(at + 12, true);
      const set = this.#set(lo, hi), page = v.getFloat64(at + 16, true);
      if (e >> 2 !== set || !(page >= 0 && page < 2 ** 40)) continue;
      this.#info[e] = v.getUint32(at + 4, true) & (CLASS | GLOBAL) | VALID;
      this.#lo[e] = lo & ~0xfff;
      this.#hi[e] = hi;
      this.#page[e] = page;
      this.#list(set, (this.#info[e] & GLOBAL) !== 0);
    }
  }

  /** Regions (see `region`) that large pages here come from. */
  largePages(): number[] {
    const out: number[] = [];
    for (let i = 0; i < this.#count; i++) {
      for (let e = this.#occupied[i] * WAYS; e < this.#occupied[i] * WAYS + WAYS; e++) {
        const c = this.#info[e] & CLASS;
        if (c !== PageClass.K4) out.push(region(c, this.#lo[e], this.#hi[e]));
      }
    }
    return out;
  }

  #set(lo: number, hi: number): number {
    return (lo >>> 12 ^ (lo >>> 23 | hi << 9)) & (SETS - 1);
  }

  #move(from: number, to: number): void {
    this.#lo[to] = this.#lo[from];
    this.#hi[to] = this.#hi[from];
    this.#page[to] = this.#page[from];
    this.#info[to] = this.#info[from];
  }

  /** Drops entries by a predicate on their index; the jump cache forgets when there were any. */
  #dropWhere(drop: (entry: number) => boolean): void {
    let kept = 0, dropped = false;
    for (let i = 0; i < this.#count; i++) {
      const set = this.#occupied[i];
      if (this.#compact(set, drop)) dropped = true;
      if (this.#info[set * WAYS] !== 0) this.#occupied[kept++] = set;
      else this.#listed[set] = 0;
    }
    this.#count = kept;
    if (dropped) this.forget();
  }

  /** Drops entries of one set and closes the gaps. */
  #compact(set: number, drop: (entry: number) => boolean): boolean {
    const first = set * WAYS;
    let to = first;
    for (let e = first; e < first + WAYS && this.#info[e] !== 0; e++) {
      if (drop(e)) continue;
      if (to !== e) this.#move(e, to);
      to++;
    }
    const dropped = to < first + WAYS && this.#info[to] !== 0;
    for (let e = to; e < first + WAYS; e++) this.#info[e] = 0;
    return dropped;
  }
}
