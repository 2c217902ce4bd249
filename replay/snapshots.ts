/**
 * Checkpoints in memory, made while travelling: the pages that differ from one common base, shared between them.
 *
 * @module
 */
import type { RetrovisorMachine } from "../core/machine.ts";
import { PAGE_SIZE } from "../core/mmu/physmem.ts";
import type { Checkpoint } from "./checkpoint_reader.ts";
import type { ReplaySession } from "./session.ts";

/** A guest page: its contents and backing; null: it has no backing. */
type Page = { readonly bytes: Uint8Array; readonly rom: boolean } | null;

/** One of them. */
export interface Snapshot {
  icount: number;
  state: Uint8Array;
  /** Translations, which a checkpoint at an arbitrary place has to keep. */
  tlb: Uint8Array;
  counts: Checkpoint["counts"];
  /** The guest pages that differ from the base. */
  pages: ReadonlyMap<number, Page>;
  /** In order of making. */
  serial: number;
}

/** Most snapshots, and how many of the newest are always kept. */
const SNAPSHOTS_MAX = 160, NEWEST_KEPT = 16;
/** Most pages in all snapshots together before some are dropped, counted without sharing. */
const PAGES_MAX = 8e6;

/** The snapshots of one session. */
export class Snapshots {
  /** In order of icount. */
  readonly list: Snapshot[] = [];
  /** Guest memory when this was made. */
  readonly #base: Base;
  /** Pages that differ from the base, as they were when last looked at. */
  #current: ReadonlyMap<number, Page> = new Map();
  #serial = 0;

  constructor(readonly session: ReplaySession, readonly machine: RetrovisorMachine) {
    session.takeChangedPages();
    this.#base = new Base(machine);
  }

  /** The last one at or before an icount. */
  before(icount: number): Snapshot | null {
    let found: Snapshot | null = null;
    for (const s of this.list) if (s.icount <= icount) found = s;
    return found;
  }

  /** Makes one of the machine as it is, unless there is one. */
  take(): void {
    const { machine, session } = this, { icount } = machine;
    if (machine.outcome !== null || this.before(icount)?.icount === icount) return;
    this.#note(session.takeChangedPages());
    const made: Snapshot = {
      icount,
      state: machine.saveState(),
      tlb: machine.cpu.mmu.saveTlb(),
      counts: session.counts(),
      pages: this.#current,
      serial: this.#serial++,
    };
    let at = this.list.length;
    while (at > 0 && this.list[at - 1].icount > icount) at--;
    this.list.splice(at, 0, made);
    this.#thin();
  }

  /** Puts the machine into one. */
  restore(to: Snapshot): void {
    const { session, machine } = this, changed = session.takeChangedPages();
    session.resume(() => {
      this.#restorePages(to.pages, new Set(changed));
      machine.loadState(to.state);
      machine.cpu.mmu.loadTlb(to.tlb);
    }, to.counts);
    this.#current = to.pages;
  }

  /** To be called when memory has been replaced as a whole: finds what differs from the base. */
  adopt(): void {
    this.session.takeChangedPages();
    this.#current = new Map();
    this.#note(this.#base.differing());
  }

  #restorePages(pages: ReadonlyMap<number, Page>, changed: ReadonlySet<number>): void {
    const wanted = new Map<number, Page>(), base = this.#base;
    for (const [gfn, page] of pages) {
      if (changed.has(gfn) || this.#current.get(gfn) !== page) wanted.set(gfn, page);
    }
    for (const gfn of this.#current.keys()) if (!pages.has(gfn)) wanted.set(gfn, base.page(gfn));
    for (const gfn of changed) if (!pages.has(gfn)) wanted.set(gfn, base.page(gfn));
    const { mem } = this.machine;
    // First what goes, to make room for what comes.
    for (const [gfn, page] of wanted) if (page === null) mem.unmap(gfn * PAGE_SIZE);
    for (const [gfn, page] of wanted) {
      if (page === null) continue;
      if (mem.hostPage[gfn] === 0 || (mem.rom[gfn] !== 0) !== page.rom) {
        mem.map(gfn * PAGE_SIZE, PAGE_SIZE, page.rom ? "rom" : "ram");
      }
      mem.write(gfn * PAGE_SIZE, page.bytes, true);
    }
  }

  #note(changed: readonly number[]): void {
    if (changed.length === 0) return;
    const { mem } = this.machine, now = new Map(this.#current);
    for (const gfn of changed) {
      const at = mem.hostPage[gfn] * PAGE_SIZE;
      now.set(
        gfn,
        at === 0 ? null : { bytes: mem.u8.slice(at, at + PAGE_SIZE), rom: mem.rom[gfn] !== 0 },
      );
    }
    this.#current = now;
  }

  /** Drops the snapshots that are missed least, when there are too many: where the neighbours are nearest. */
  #thin(): void {
    const { list } = this;
    let pages = 0;
    for (const s of list) pages += s.pages.size;
    while (list.length > SNAPSHOTS_MAX || (pages > PAGES_MAX && list.length > NEWEST_KEPT + 2)) {
      let victim = -1, least = Infinity;
      for (let i = 1; i < list.length - 1; i++) {
        const gap = list[i + 1].icount - list[i - 1].icount;
        if (list[i].serial >= this.#serial - NEWEST_KEPT || gap >= least) continue;
        victim = i;
        least = gap;
      }
      if (victim < 0) return;
      pages -= list[victim].pages.size;
      list.splice(victim, 1);
    }
  }
}

/** Guest memory at one moment. */
class Base {
  readonly #host: Uint32Array;
  readonly #rom: Uint8Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #first: number;

  constructor(readonly machine: RetrovisorMachine) {
    const { mem } = machine;
    this.#host = Uint32Array.from(mem.hostPage);
    this.#rom = mem.rom.slice();
    let first = Infinity, last = 0;
    for (const host of this.#host) {
      if (host > last) last = host;
      if (host !== 0 && host < first) first = host;
    }
    this.#first = Math.min(first, last);
    this.#bytes = mem.u8.slice(this.#first * PAGE_SIZE, (last + 1) * PAGE_SIZE);
    this.#words = new Int32Array(this.#bytes.buffer);
  }

  /** A page as it was. */
  page(gfn: number): Page {
    const host = this.#host[gfn];
    if (host === 0) return null;
    const at = (host - this.#first) * PAGE_SIZE;
    return { bytes: this.#bytes.subarray(at, at + PAGE_SIZE), rom: this.#rom[gfn] !== 0 };
  }

  /** Numbers of the pages that are not as they were. */
  differing(): number[] {
    const { mem } = this.machine, out: number[] = [], words = new Int32Array(mem.memory.buffer);
    for (let gfn = 0; gfn < this.#host.length; gfn++) {
      const then = this.#host[gfn], now = mem.hostPage[gfn];
      if (then === 0 && now === 0) continue;
      if (then === 0 || now === 0 || this.#rom[gfn] !== mem.rom[gfn] || this.#changed(words, then, now)) {
        out.push(gfn);
      }
    }
    return out;
  }

  #changed(words: Int32Array, then: number, now: number): boolean {
    const size = PAGE_SIZE / 4, a = (then - this.#first) * size, b = now * size, mine = this.#words;
    for (let i = 0; i < size; i++) if (mine[a + i] !== words[b + i]) return true;
    return false;
  }
}
