/**
 * The jump caches: decoded blocks by RIP, one cache for supervisor and one for user code. Generated code looks into them,
 * the dispatcher fills them, and a dropped translation for execution empties them (`exec_tlb.ts`).
 *
 * An entry is RIP (i64), record and mode (u32 each); an empty one is all ones.
 *
 * @module
 */
import * as L from "../layout.ts";

/** With more entries than this in use, all are cleared at once. */
const ONE_BY_ONE_MAX = L.JUMP_CACHE_ENTRIES >> 3;

/**
 * Byte offset in a jump cache of the entry for a RIP, exactly as generated code computes it (`core/cpu/runtime.ts`).
 * Functions begin at multiples of 16, and a megabyte of those share no entry; other addresses are spread elsewhere.
 */
export function jumpCacheOffset(lo: number, hi: number): number {
  return ((lo >>> 4 ^ lo << 12 ^ (lo >>> 20 | hi << 12)) & (L.JUMP_CACHE_ENTRIES - 1)) * 16;
}

/** One of them. */
export class JumpCache {
  readonly #base: number;
  /** Word indexes of entries in use. */
  readonly #used = new Int32Array(L.JUMP_CACHE_ENTRIES);
  #count = 0;

  /** @param n 0: the supervisor's, 1: the user's */
  constructor(readonly m: Int32Array, n: number) {
    this.#base = (L.JUMP_CACHE + n * L.JUMP_CACHE_SIZE) >> 2;
    m.fill(-1, this.#base, this.#base + (L.JUMP_CACHE_SIZE >> 2));
  }

  /** Enters a block. */
  remember(lo: number, hi: number, rec: number, mode: number): void {
    const { m } = this, at = this.#base + (jumpCacheOffset(lo, hi) >> 2);
    if (m[at + 2] === -1) this.#used[this.#count++] = at;
    m[at] = lo;
    m[at + 1] = hi;
    m[at + 2] = rec;
    m[at + 3] = mode;
  }

  /** Drops every entry. */
  forget(): void {
    const { m } = this;
    if (this.#count > ONE_BY_ONE_MAX) m.fill(-1, this.#base, this.#base + (L.JUMP_CACHE_SIZE >> 2));
    else {
      for (let i = 0; i < this.#count; i++) {
        const at = this.#used[i];
        m[at] =
          m[at + 1] =
          m[at + 2] =
          m[at + 3] =
            -1;
      }
    }
    this.#count = 0;
  }
}
