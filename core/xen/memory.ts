/**
 * The guest's physical map as Xen's calls change it: RAM pages given back and populated, Xen's own pages placed.
 *
 * Source: Xen 4.17 memory.h. Frames of the guest are backed one to one by the machine's memory, so a frame is either
 * empty, RAM, or one of Xen's pages.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { Errno, SPECIAL_PAGES, SPECIAL_PAGES_GFN } from "./abi.ts";
import type { Grants } from "./grants.ts";
import { gpaOf, type SharedInfo } from "./shared_info.ts";
import type { XenPage } from "./xenpage.ts";

/** One entry of the memory map that XENMEM_memory_map gives (types as in E820). */
export interface MapEntry {
  addr: number;
  size: number;
  type: number;
}

/** Pages that xl lets a domain have beyond its memory (1 MiB). */
const SLACK_PAGES = 256;
/** First frame number that the machine cannot back. */
const GFN_LIMIT = 1 << 20;

/** The guest's physical map and its page counts. */
export class Memory {
  /** Pages the domain owns now, and may own at most. */
  totalPages: number;
  readonly maxPages: number;
  /** Set by XENMEM_set_memory_map; null: as the domain builder gave it. */
  map: MapEntry[] | null = null;

  constructor(readonly mem: PhysMem, ramPages: number, readonly shared: SharedInfo, readonly grants: Grants) {
    mem.map(gpaOf(SPECIAL_PAGES_GFN), SPECIAL_PAGES * 4096);
    this.totalPages = ramPages + SPECIAL_PAGES;
    this.maxPages = ramPages + SLACK_PAGES;
  }

  /** True when a frame holds anything. */
  isBacked(gfn: number): boolean {
    return gfn >= 0 && gfn < GFN_LIMIT && this.mem.hostPage[gfn] !== 0;
  }

  /** True when a frame can be written by the guest. */
  isWritableRam(gfn: number): boolean {
    return this.isBacked(gfn) && this.mem.rom[gfn] === 0;
  }

  /** Highest frame that holds anything. */
  maximumGfn(): number {
    for (let gfn = GFN_LIMIT - 1; gfn > 0; gfn--) if (this.mem.hostPage[gfn] !== 0) return gfn;
    return 0;
  }

  /** Xen's page at a frame, if one is there. */
  xenPageAt(gfn: number): XenPage | null {
    if (this.shared.page.gfn === gfn) return this.shared.page;
    return this.grants.pageAt(gfn);
  }

  /** Gives one page back to Xen. @returns 0 or a negative error */
  release(gfn: number): number {
    if (!this.isBacked(gfn)) return -Errno.ENOENT;
    const page = this.xenPageAt(gfn);
    if (page !== null) {
      page.detach();
      return 0;
    }
    this.mem.unmap(gpaOf(gfn));
    this.totalPages--;
    return 0;
  }

  /** Puts a fresh zero page at a frame; false when the domain may have no more or the frame cannot be backed. */
  populate(gfn: number): boolean {
    if (gfn < 0 || gfn >= GFN_LIMIT || this.totalPages >= this.maxPages) return false;
    this.#unhook(gfn);
    try {
      this.mem.map(gpaOf(gfn), 4096);
    } catch (e) {
      if (e instanceof RangeError) return false;
      throw e;
    }
    this.totalPages++;
    return true;
  }

  /** XENMEM_remove_from_physmap of one frame. @returns 0 or a negative error */
  remove(gfn: number): number {
    if (!this.isBacked(gfn)) return -Errno.ENOENT;
    this.#unhook(gfn);
    return 0;
  }

  /** Puts one of Xen's pages at a frame; what was there is given back. @returns 0 or a negative error */
  place(page: XenPage, gfn: number): number {
    if (gfn < 0 || gfn >= GFN_LIMIT) return -Errno.EINVAL;
    const there = this.xenPageAt(gfn);
    if (there === page) return 0;
    if (there !== null) there.detach();
    else if (this.isBacked(gfn)) this.release(gfn);
    try {
      page.attach(gfn);
    } catch (e) {
      if (e instanceof RangeError) return -Errno.ENOMEM;
      throw e;
    }
    return 0;
  }

  /** XENMAPSPACE_gmfn: moves what is at one frame to another. @returns 0 or a negative error */
  move(from: number, to: number): number {
    if (!this.isBacked(from) || to < 0 || to >= GFN_LIMIT) return -Errno.EINVAL;
    if (from === to) return 0;
    const page = this.xenPageAt(from);
    if (page !== null) return this.place(page, to);
    const bytes = this.mem.read(gpaOf(from), 4096);
    if (this.isBacked(to)) this.release(to);
    this.mem.unmap(gpaOf(from));
    this.mem.map(gpaOf(to), 4096);
    this.mem.write(gpaOf(to), bytes);
    return 0;
  }

  save(): Json {
    return { totalPages: this.totalPages, map: this.map === null ? null : this.map.map((e) => ({ ...e })) };
  }
  load(state: Json): void {
    const s = state as { totalPages: number; map: Json };
    this.totalPages = s.totalPages;
    this.map = s.map as MapEntry[] | null;
  }

  /** Empties a frame without giving its page back. */
  #unhook(gfn: number): void {
    const page = this.xenPageAt(gfn);
    if (page !== null) page.detach();
    else if (this.isBacked(gfn)) this.mem.unmap(gpaOf(gfn));
  }
}
