/**
 * Guest memory at places of a recording: which page holds what, shared between places, and the machine's memory kept
 * in step with them.
 *
 * Going from one place to another costs what differs between the two, and leaves decoded and compiled code alone where
 * the bytes under it stay the same.
 *
 * @module
 */
import type { Machine } from "../core/api.ts";
import { PAGE_SIZE, type PhysMem } from "../core/mmu/physmem.ts";
import type { Batch } from "../traces/batch.ts";
import { RowCursor } from "../traces/cursor.ts";
import { TraceError } from "../traces/errors.ts";
import type { TableFile } from "../traces/table_file.ts";

/** Pages of one part of an image. */
const PART_PAGES = 256;
/** Guest pages below 4 GiB, and parts of an image. */
const GUEST_PAGES = 1 << 20, PARTS = GUEST_PAGES / PART_PAGES;

/** What a backed guest page holds. Two that are one object hold the same. */
export interface GuestPage {
  readonly rom: boolean;
  /** Its number in table `pages`, from 1; 0: zeros; -1: `bytes`; -2: as the images load. */
  readonly id: number;
  readonly bytes: Uint8Array | null;
}

/** Pages of zeros, by `rom`. */
const ZEROS: readonly [GuestPage, GuestPage] = [
  { rom: false, id: 0, bytes: null },
  { rom: true, id: 0, bytes: null },
];
const ZERO_BYTES = new Uint8Array(PAGE_SIZE);

type Part = readonly (GuestPage | null)[];
const NOTHING: Part = new Array(PART_PAGES).fill(null);

/** All of guest memory at one place; null where there is no backing. Images never change, and share what is equal. */
export class MemoryImage {
  static readonly EMPTY: MemoryImage = new MemoryImage(new Array(PARTS).fill(NOTHING));

  private constructor(readonly parts: readonly Part[]) {}

  /** The page at a guest page number. */
  page(gfn: number): GuestPage | null {
    return this.parts[Math.floor(gfn / PART_PAGES)][gfn % PART_PAGES];
  }

  /** An image that differs in some pages. */
  with(changes: Iterable<readonly [gfn: number, page: GuestPage | null]>): MemoryImage {
    const parts = this.parts.slice(), own = new Map<number, (GuestPage | null)[]>();
    for (const [gfn, page] of changes) {
      const index = Math.floor(gfn / PART_PAGES);
      let part = own.get(index);
      if (part === undefined) {
        own.set(index, part = parts[index].slice());
        parts[index] = part;
      }
      part[gfn % PART_PAGES] = page;
    }
    return own.size === 0 ? this : new MemoryImage(parts);
  }
}

/** Most bytes of decoded batches of table `pages` that are kept. */
const KEPT_BYTES_MAX = 512 << 20;

/** `GuestPage.id` of a page as the images load. */
const LOADED = -2;

/** The pages of a recording: those stored in it, and those that its images load. */
export class StoredPages {
  readonly #pages = new Map<number, GuestPage>();
  /** Pages as loaded, by guest page number. */
  readonly #loadedPages = new Map<number, GuestPage>();
  /** Memory of a machine as it was made, once somebody has asked for such a page. */
  #loaded: PhysMem | null = null;
  /** Decoded batches by their first row; the one used last is the last. */
  readonly #batches = new Map<number, Batch>();
  #bytes = 0;

  /** @param load makes a machine from the images and answers its memory */
  constructor(readonly table: TableFile, readonly load: () => PhysMem) {}

  /** The object of a page as the images load it at a guest page number. */
  loadedPage(gfn: number, rom: boolean): GuestPage {
    let page = this.#loadedPages.get(gfn);
    if (page === undefined) this.#loadedPages.set(gfn, page = { rom, id: LOADED, bytes: null });
    return page;
  }

  /** Contents of a page as loaded. @throws TraceError when nothing is loaded there */
  readLoaded(gfn: number): Uint8Array {
    const mem = this.#loaded ??= this.load(), at = mem.hostPage[gfn] * PAGE_SIZE;
    if (at === 0) {
      throw new TraceError(`A checkpoint takes guest page ${gfn} from the images, which load nothing there`, {
        table: "checkpoints",
        batch: null,
        offset: null,
      });
    }
    return mem.u8.subarray(at, at + PAGE_SIZE);
  }

  /** The page object of an id of table `pages`; 0 is the page of zeros. */
  page(id: number, rom: boolean): GuestPage {
    if (id === 0) return ZEROS[rom ? 1 : 0];
    const key = id * 2 + (rom ? 1 : 0);
    let page = this.#pages.get(key);
    if (page === undefined) this.#pages.set(key, page = { rom, id, bytes: null });
    return page;
  }

  /** Contents and hash of a stored page. @throws TraceError */
  read(id: number): { bytes: Uint8Array; hash: Uint8Array } {
    const { batch, row } = this.#locate(id - 1);
    if (batch === null || batch.number("id", row) !== id) {
      throw new TraceError(`Page ${id} is not where it should be`, {
        table: "pages",
        batch: null,
        offset: null,
      });
    }
    return { bytes: batch.bytes("bytes", row), hash: batch.bytes("hash", row) };
  }

  #locate(index: number): { batch: Batch | null; row: number } {
    for (const [first, batch] of this.#batches) {
      if (index < first || index >= first + batch.rows) continue;
      this.#batches.delete(first);
      this.#batches.set(first, batch);
      return { batch, row: index - first };
    }
    const cursor = new RowCursor(this.table);
    cursor.seek(index);
    const { batch, row } = cursor;
    if (batch !== null) this.#keep(index - row, batch);
    return { batch, row };
  }

  #keep(first: number, batch: Batch): void {
    this.#batches.set(first, batch);
    this.#bytes += batch.rows * PAGE_SIZE;
    for (const [oldest, b] of this.#batches) {
      if (this.#bytes <= KEPT_BYTES_MAX || oldest === first) return;
      this.#batches.delete(oldest);
      this.#bytes -= b.rows * PAGE_SIZE;
    }
  }
}

/** Told what a page became: its hash where that is known; undefined: it has to be hashed; null: it has no backing. */
export type PageSetter = (gfn: number, page: GuestPage | null, hash: Uint8Array | null | undefined) => void;

/** The memory of one machine, and which image it is. */
export class GuestMemory {
  readonly #words: Int32Array;
  /** What memory held when it was last looked at; null: not known yet. */
  #image: MemoryImage | null = null;

  constructor(readonly machine: Machine, readonly stored: StoredPages) {
    this.#words = new Int32Array(machine.mem.memory.buffer);
  }

  /** True when no image is known: `restore` visits every page then. */
  get unknown(): boolean {
    return this.#image === null;
  }

  /** Says what memory holds, apart from what changed. */
  assume(image: MemoryImage): void {
    this.#image = image;
  }

  /**
   * The machine's memory as an image. There must have been a restore before.
   * @param changed guest pages changed since the last restore or capture
   */
  capture(changed: readonly number[]): MemoryImage {
    if (this.#image === null) throw new Error("Cannot capture memory before the first restore");
    return this.#image = this.#image.with(changed.map((gfn) => [gfn, this.#look(gfn)] as const));
  }

  #look(gfn: number): GuestPage | null {
    const { mem } = this.machine, host = mem.hostPage[gfn];
    if (host === 0) return null;
    const at = host * PAGE_SIZE, rom = mem.rom[gfn] !== 0;
    if (this.#equal(gfn, ZERO_BYTES)) return ZEROS[rom ? 1 : 0];
    return { rom, id: -1, bytes: mem.u8.slice(at, at + PAGE_SIZE) };
  }

  /**
   * Makes the machine's memory what an image says.
   * @param changed guest pages changed since the last restore or capture
   * @param tell called for every page that may have become another
   * @throws TraceError
   */
  restore(to: MemoryImage, changed: readonly number[], tell: PageSetter): void {
    const from = this.#image, put: number[] = [];
    const known = from?.with(changed.map((gfn) => [gfn, CHANGED] as const));
    for (let p = 0; p < PARTS; p++) {
      const wanted = to.parts[p], have = known?.parts[p];
      if (wanted === have) continue;
      for (let i = 0; i < PART_PAGES; i++) {
        if (have === undefined || wanted[i] !== have[i]) put.push(p * PART_PAGES + i);
      }
    }
    this.#image = null;
    // First what goes, to make room for what comes.
    for (const gfn of put) if (to.page(gfn) === null) this.#unmap(gfn, from !== null, tell);
    // In the order of the file, so that each batch is read once however many there are.
    const backed = put.filter((gfn) => to.page(gfn) !== null);
    backed.sort((a, b) => to.page(a)!.id - to.page(b)!.id);
    for (const gfn of backed) this.#put(gfn, to.page(gfn)!, tell);
    this.#image = to;
  }

  #unmap(gfn: number, known: boolean, tell: PageSetter): void {
    const { mem } = this.machine;
    if (mem.hostPage[gfn] !== 0) mem.unmap(gfn * PAGE_SIZE);
    if (known) tell(gfn, null, null);
  }

  #put(gfn: number, page: GuestPage, tell: PageSetter): void {
    const { mem } = this.machine, at = gfn * PAGE_SIZE;
    if (mem.hostPage[gfn] === 0 || (mem.rom[gfn] !== 0) !== page.rom) {
      mem.map(at, PAGE_SIZE, page.rom ? "rom" : "ram");
    }
    let bytes = page.bytes ?? ZERO_BYTES, hash: Uint8Array | undefined;
    if (page.id > 0) ({ bytes, hash } = this.stored.read(page.id));
    else if (page.id === LOADED) bytes = this.stored.readLoaded(gfn);
    if (!this.#equal(gfn, bytes)) mem.write(at, bytes, true);
    tell(gfn, page, hash);
  }

  /** True when a backed page holds these bytes. */
  #equal(gfn: number, bytes: Uint8Array): boolean {
    const words = this.#words, from = this.machine.mem.hostPage[gfn] * (PAGE_SIZE / 4);
    const wanted = new Int32Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE / 4);
    for (let i = 0; i < PAGE_SIZE / 4; i++) if (words[from + i] !== wanted[i]) return false;
    return true;
  }
}

/** Stands for a page that is not what the image says any more. */
const CHANGED: GuestPage = { rom: false, id: -1, bytes: null };
