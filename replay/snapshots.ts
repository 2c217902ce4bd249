/**
 * Checkpoints in memory, made while travelling: the pages that differ from one common base, shared between them.
 *
 * @module
 */
import type { RetrovisorMachine } from "../core/machine.ts";
import { PAGE_SIZE } from "../core/mmu/physmem.ts";
import type { Checkpoint } from "./checkpoint_reader.ts";
import type { ReplaySession } from "./session.ts";

/** One of them. */
export interface Snapshot {
  icount: number;
  state: Uint8Array;
  /** Translations, which a checkpoint at an arbitrary place has to keep. */
  tlb: Uint8Array;
  counts: Checkpoint["counts"];
  /** Contents of the guest pages that differ from the base. */
  pages: Map<number, Uint8Array>;
  /** In order of making. */
  serial: number;
}

/** Most snapshots, and how many of the newest are always kept. */
const SNAPSHOTS_MAX = 64, NEWEST_KEPT = 16;
/** Most pages in all snapshots together before the oldest are dropped, counted without sharing. */
const PAGES_MAX = 4e6;

/** The snapshots of one session. */
export class Snapshots {
  /** In order of icount. */
  readonly list: Snapshot[] = [];
  #base = new Uint8Array();
  /** What backed each guest page when the base was taken. */
  #backing: Uint32Array | null = null;
  /** Pages that differ from the base, as they were when last looked at. */
  #current = new Map<number, Uint8Array>();
  #serial = 0;
  /** Bytes of guest memory in front of the base. */
  readonly #offset: number;

  constructor(readonly session: ReplaySession, readonly machine: RetrovisorMachine, ramOffset: number) {
    this.#offset = ramOffset;
  }

  /** Forgets all of them: memory has been replaced as a whole. */
  clear(): void {
    this.list.length = 0;
    this.#backing = null;
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
    const changed = session.takeChangedPages();
    if (!this.#sameBacking()) this.#rebase();
    else this.#note(changed);
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

  /** Puts the machine into one. @returns false when memory has been rearranged meanwhile: nothing was done */
  restore(to: Snapshot): boolean {
    const { session, machine } = this;
    const changed = session.takeChangedPages();
    if (!this.#sameBacking()) return false;
    session.resume(() => {
      this.#restorePages(to.pages, new Set(changed));
      machine.loadState(to.state);
      machine.cpu.mmu.loadTlb(to.tlb);
    }, to.counts);
    this.#current = to.pages;
    return true;
  }

  #restorePages(pages: Map<number, Uint8Array>, changed: ReadonlySet<number>): void {
    const { mem } = this.machine;
    for (const [gfn, bytes] of pages) {
      if (changed.has(gfn) || this.#current.get(gfn) !== bytes) mem.write(gfn * PAGE_SIZE, bytes, true);
    }
    const back = (gfn: number): void => {
      if (!pages.has(gfn)) mem.write(gfn * PAGE_SIZE, this.#basePage(gfn), true);
    };
    for (const gfn of this.#current.keys()) back(gfn);
    for (const gfn of changed) if (!this.#current.has(gfn)) back(gfn);
  }

  #basePage(gfn: number): Uint8Array {
    const at = this.machine.mem.hostPage[gfn] * PAGE_SIZE - this.#offset;
    return this.#base.subarray(at, at + PAGE_SIZE);
  }

  /** Takes memory as it is for the base; what was made on another one is of no use any more. */
  #rebase(): void {
    const { mem } = this.machine;
    this.list.length = 0;
    this.#backing = Uint32Array.from(mem.hostPage);
    let last = 0;
    for (const host of this.#backing) if (host > last) last = host;
    this.#base = mem.u8.slice(this.#offset, (last + 1) * PAGE_SIZE);
    this.#current = new Map();
  }

  #note(changed: readonly number[]): void {
    if (changed.length === 0) return;
    const { mem } = this.machine;
    this.#current = new Map(this.#current);
    for (const gfn of changed) {
      const at = mem.hostPage[gfn] * PAGE_SIZE;
      if (at !== 0) this.#current.set(gfn, mem.u8.slice(at, at + PAGE_SIZE));
    }
  }

  #sameBacking(): boolean {
    const now = this.machine.mem.hostPage, then = this.#backing;
    if (then === null) return false;
    for (let gfn = 0; gfn < then.length; gfn++) if (now[gfn] !== then[gfn]) return false;
    return true;
  }

  /** Drops the snapshot that is missed least, when there are too many: where the neighbours are nearest. */
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
