/**
 * The hash of a whole machine: its state and every backed page of guest memory.
 *
 * SHA-256 over "retrovisor-state-1", the length and bytes of `saveState()`, and, for each group of 512 guest pages with
 * a backed one, the group's number and the SHA-256 of its backed pages in order (number, kind, SHA-256 of contents).
 * Two levels, so that a checkpoint costs what changed and not what exists.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { PAGE_SHIFT, PAGE_SIZE, type PhysMem } from "../core/mmu/physmem.ts";

/** What backs a guest page; the numbers are those of `checkpoints.pages.kind`. */
export const PageKindCode = { ram: 0, rom: 1, unbacked: 2 } as const;

/** SHA-256 of a page of zeros. */
export const ZERO_PAGE_HASH: Uint8Array = sha256(new Uint8Array(PAGE_SIZE));

const GROUP_PAGES = 512, HASH_BYTES = 32, ENTRY_BYTES = 5 + HASH_BYTES;

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

/** Hashes of a group's pages; `digest` is null when one changed since. */
interface Group {
  kinds: Uint8Array;
  hashes: Uint8Array;
  digest: Uint8Array | null;
}

/** Told about each page that was hashed: `hash` is null for an unbacked page. */
export type PageVisitor = (gfn: number, kind: number, hash: Uint8Array | null, zero: boolean) => void;

/** Keeps the hashes of a machine's pages, and hashes again only those said to have changed. */
export class StateHasher {
  readonly #groups = new Map<number, Group>();
  readonly #words: Int32Array;

  constructor(readonly mem: PhysMem) {
    this.#words = new Int32Array(mem.memory.buffer);
  }

  /** Hashes pages again. @param gfns guest page numbers, as `takeDirtyPages` gives them */
  update(gfns: readonly number[], visit: PageVisitor | null = null): void {
    for (const gfn of gfns) {
      const host = this.mem.hostPage[gfn];
      if (host === 0) {
        this.set(gfn, PageKindCode.unbacked, null);
        visit?.(gfn, PageKindCode.unbacked, null, false);
        continue;
      }
      const kind = this.mem.rom[gfn] ? PageKindCode.rom : PageKindCode.ram;
      const zero = this.isZero(gfn);
      const at = host << PAGE_SHIFT >>> 0;
      const hash = zero ? ZERO_PAGE_HASH : sha256(this.mem.u8.subarray(at, at + PAGE_SIZE));
      this.set(gfn, kind, hash);
      visit?.(gfn, kind, hash, zero);
    }
  }

  /** Sets a page's hash without looking at the page (after a restore). */
  set(gfn: number, kind: number, hash: Uint8Array | null): void {
    const index = Math.floor(gfn / GROUP_PAGES), slot = gfn % GROUP_PAGES;
    let group = this.#groups.get(index);
    if (group === undefined) {
      group = {
        kinds: new Uint8Array(GROUP_PAGES).fill(PageKindCode.unbacked),
        hashes: new Uint8Array(GROUP_PAGES * HASH_BYTES),
        digest: null,
      };
      this.#groups.set(index, group);
    }
    group.kinds[slot] = hash === null ? PageKindCode.unbacked : kind;
    if (hash !== null) group.hashes.set(hash, slot * HASH_BYTES);
    group.digest = null;
  }

  /** Forgets everything. */
  clear(): void {
    this.#groups.clear();
  }

  /** Hash of a machine whose state is `state` and whose changed pages were all given to `update`. */
  digest(state: Uint8Array): Uint8Array {
    const hash = createHash("sha256");
    hash.update("retrovisor-state-1");
    hash.update(le32(state.length));
    hash.update(state);
    for (const index of [...this.#groups.keys()].sort((a, b) => a - b)) {
      const group = this.#groups.get(index);
      if (group === undefined || group.kinds.every((k) => k === PageKindCode.unbacked)) continue;
      hash.update(le32(index));
      hash.update(group.digest ??= digestGroup(index, group));
    }
    return hash.digest();
  }

  /** True when a backed page holds only zeros. */
  isZero(gfn: number): boolean {
    const from = this.mem.hostPage[gfn] * (PAGE_SIZE / 4), words = this.#words;
    for (let i = from; i < from + PAGE_SIZE / 4; i += 8) {
      const low = words[i] | words[i + 1] | words[i + 2] | words[i + 3];
      if ((low | words[i + 4] | words[i + 5] | words[i + 6] | words[i + 7]) !== 0) return false;
    }
    return true;
  }
}

function le32(n: number): Uint8Array {
  return Uint8Array.of(n, n >>> 8, n >>> 16, n >>> 24);
}

function digestGroup(index: number, g: Group): Uint8Array {
  const bytes = new Uint8Array(GROUP_PAGES * ENTRY_BYTES), view = new DataView(bytes.buffer);
  let at = 0;
  for (let slot = 0; slot < GROUP_PAGES; slot++) {
    if (g.kinds[slot] === PageKindCode.unbacked) continue;
    view.setUint32(at, index * GROUP_PAGES + slot, true);
    bytes[at + 4] = g.kinds[slot];
    bytes.set(g.hashes.subarray(slot * HASH_BYTES, (slot + 1) * HASH_BYTES), at + 5);
    at += ENTRY_BYTES;
  }
  return sha256(bytes.subarray(0, at));
}
