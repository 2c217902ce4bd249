/**
 * The grant table: frames of entries with which the guest shares its pages.
 *
 * Source: Xen 4.17 grant_table.h (versions 1 and 2).
 *
 * @module
 */
import type { Json } from "../bus.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { BACKEND_DOMID, CONSOLE_GFN, Errno, STORE_GFN } from "./abi.ts";
import { XenPage } from "./xenpage.ts";

/** Most frames of entries (Xen's default), and the entries reserved for the tools. */
export const MAX_GRANT_FRAMES = 64, RESERVED_ENTRIES = 8;
/** Reserved entries of the console and xenstore rings. */
export const CONSOLE_REF = 0, STORE_REF = 1;

/** Flags of an entry (GTF_*). */
export const Gtf = {
  invalid: 0,
  permit_access: 1,
  accept_transfer: 2,
  transitive: 3,
  type_mask: 3,
  readonly: 4,
  reading: 8,
  writing: 16,
  sub_page: 256,
} as const;

/** Bit of an index of XENMAPSPACE_grant_table that names status frames. */
const STATUS_INDEX = 0x80000000;
const ENTRIES_V1 = 512, ENTRIES_V2 = 256, STATUS_PER_PAGE = 2048;

/** What an entry grants. */
export interface GrantEntry {
  flags: number;
  domid: number;
  gfn: number;
  /** Part of the page, for sub-page grants. */
  offset: number;
  length: number;
}

/** The domain's grant table. */
export class Grants {
  version: 1 | 2 = 1;
  readonly #frames: XenPage[] = [];
  readonly #status: XenPage[] = [];

  constructor(readonly mem: PhysMem) {
    this.#grow(1);
    // The back ends keep the rings mapped: their entries are in use for reading and writing.
    this.#seed(CONSOLE_REF, CONSOLE_GFN);
    this.#seed(STORE_REF, STORE_GFN);
  }

  /** Frames of entries that exist. */
  get frames(): number {
    return this.#frames.length;
  }

  /** Entries that exist. */
  get entries(): number {
    return this.#frames.length * (this.version === 1 ? ENTRIES_V1 : ENTRIES_V2);
  }

  /** Frame by its index in XENMAPSPACE_grant_table, created when it may exist. @returns page or negative error */
  frame(index: number): XenPage | number {
    const status = this.version === 2 && index < 0x1_0000_0000 && (index & STATUS_INDEX) !== 0;
    const i = status ? index - STATUS_INDEX : index;
    const needed = status ? (i + 1) * (STATUS_PER_PAGE / ENTRIES_V2) : i + 1;
    if (!(needed <= MAX_GRANT_FRAMES)) return -Errno.EINVAL;
    this.#grow(needed);
    return (status ? this.#status : this.#frames)[i];
  }

  /** Makes `count` frames exist; false when that is too many. */
  setup(count: number): boolean {
    if (count > MAX_GRANT_FRAMES) return false;
    this.#grow(count);
    return true;
  }

  /** Guest frame at which a frame of entries is mapped, or -1. */
  frameGfn(index: number): number {
    return this.#frames[index].gfn;
  }

  /** The table's page mapped at a guest frame, or null. */
  pageAt(gfn: number): XenPage | null {
    for (const p of this.#frames) if (p.gfn === gfn) return p;
    for (const p of this.#status) if (p.gfn === gfn) return p;
    return null;
  }

  /** Reads an entry; `ref` must be below `entries`. */
  entry(ref: number): GrantEntry {
    if (this.version === 1) {
      const p = this.#frames[Math.floor(ref / ENTRIES_V1)], o = ref % ENTRIES_V1 * 8;
      return { flags: p.read16(o), domid: p.read16(o + 2), gfn: p.read32(o + 4), offset: 0, length: 4096 };
    }
    const p = this.#frames[Math.floor(ref / ENTRIES_V2)], o = ref % ENTRIES_V2 * 16;
    const flags = p.read16(o), gfn = p.read32(o + 8) + p.read32(o + 12) * 0x1_0000_0000;
    const part = (flags & Gtf.sub_page) !== 0;
    return {
      flags,
      domid: p.read16(o + 2),
      gfn,
      offset: part ? p.read16(o + 4) : 0,
      length: part ? p.read16(o + 6) : 4096,
    };
  }

  /** Exchanges two entries. */
  swap(a: number, b: number): void {
    const per = this.version === 1 ? ENTRIES_V1 : ENTRIES_V2, size = 4096 / per;
    const pa = this.#frames[Math.floor(a / per)], pb = this.#frames[Math.floor(b / per)];
    const oa = a % per * size, ob = b % per * size;
    for (let i = 0; i < size; i += 4) {
      const word = pa.read32(oa + i);
      pa.write32(oa + i, pb.read32(ob + i));
      pb.write32(ob + i, word);
    }
    if (this.version === 1) return;
    const status = this.#readStatus(a);
    this.#writeStatus(a, this.#readStatus(b));
    this.#writeStatus(b, status);
  }

  /** Changes the version: entries are cleared, the reserved ones translated. @returns 0 or a negative error */
  setVersion(version: 1 | 2): number {
    if (version === this.version) return 0;
    if (version === 1) {
      for (let i = 0; i < RESERVED_ENTRIES; i++) {
        const e = this.entry(i), type = e.flags & Gtf.type_mask;
        if (type === Gtf.transitive || (type === Gtf.permit_access && e.gfn > 0xffffffff)) {
          return -Errno.ERANGE;
        }
      }
    }
    const kept: GrantEntry[] = [];
    for (let i = 0; i < RESERVED_ENTRIES; i++) {
      const e = this.entry(i);
      if (this.version === 2) e.flags |= this.#readStatus(i);
      kept.push(e);
    }
    for (const p of this.#frames) p.clear();
    if (version === 1) this.#dropStatus();
    this.version = version;
    this.#grow(this.#frames.length);
    kept.forEach((e, i) => {
      if (version === 1 && (e.flags & Gtf.type_mask) !== Gtf.permit_access) return;
      this.#write(i, e);
    });
    return 0;
  }

  save(): Json {
    return {
      version: this.version,
      frames: this.#frames.map((p) => p.save()),
      status: this.#status.map((p) => p.save()),
    };
  }
  load(state: Json): void {
    const s = state as { version: 1 | 2; frames: Json[]; status: Json[] };
    this.version = s.version;
    this.#restore(this.#frames, s.frames);
    this.#restore(this.#status, s.status);
  }

  #restore(pages: XenPage[], states: Json[]): void {
    pages.length = 0;
    for (const state of states) {
      const p = new XenPage(this.mem);
      p.load(state);
      pages.push(p);
    }
  }

  #grow(frames: number): void {
    while (this.#frames.length < frames) this.#frames.push(new XenPage(this.mem));
    if (this.version !== 2) return;
    const needed = Math.ceil(this.#frames.length * ENTRIES_V2 / STATUS_PER_PAGE);
    while (this.#status.length < needed) this.#status.push(new XenPage(this.mem));
  }

  #seed(ref: number, gfn: number): void {
    const flags = Gtf.permit_access | Gtf.reading | Gtf.writing;
    this.#write(ref, { flags, domid: BACKEND_DOMID, gfn, offset: 0, length: 4096 });
  }

  #write(ref: number, e: GrantEntry): void {
    if (this.version === 1) {
      const p = this.#frames[0], o = ref * 8;
      p.write16(o, e.flags);
      p.write16(o + 2, e.domid);
      p.write32(o + 4, e.gfn);
      return;
    }
    const p = this.#frames[0], o = ref * 16, used = Gtf.reading | Gtf.writing;
    p.write16(o, e.flags & ~used);
    p.write16(o + 2, e.domid);
    p.write32(o + 8, e.gfn);
    this.#writeStatus(ref, e.flags & used);
  }

  #readStatus(ref: number): number {
    return this.#status[Math.floor(ref / STATUS_PER_PAGE)].read16(ref % STATUS_PER_PAGE * 2);
  }
  #writeStatus(ref: number, value: number): void {
    this.#status[Math.floor(ref / STATUS_PER_PAGE)].write16(ref % STATUS_PER_PAGE * 2, value);
  }
  #dropStatus(): void {
    for (const p of this.#status) p.detach();
    this.#status.length = 0;
  }
}
