/**
 * Checkpoints in memory, made while travelling.
 *
 * @module
 */
import type { RetrovisorMachine } from "../core/machine.ts";
import type { Checkpoint } from "./checkpoint_reader.ts";
import type { MemoryImage } from "./memory_image.ts";
import type { ReplaySession } from "./session.ts";

/** One of them. */
export interface Snapshot {
  icount: number;
  state: Uint8Array;
  /** Translations, which a checkpoint at an arbitrary place has to keep. */
  tlb: Uint8Array;
  counts: Checkpoint["counts"];
  image: MemoryImage;
  /** Pages it has of its own at most: those that changed since the place captured before it. */
  pages: number;
  /** In order of making. */
  serial: number;
}

/** Most snapshots, and how many of the newest are always kept. */
const SNAPSHOTS_MAX = 160, NEWEST_KEPT = 16;
/** Most pages of all snapshots together (2 GiB) before some are dropped. */
const PAGES_MAX = 1 << 19;

/** The snapshots of one session. */
export class Snapshots {
  /** In order of icount. */
  readonly list: Snapshot[] = [];
  #serial = 0;

  constructor(readonly session: ReplaySession, readonly machine: RetrovisorMachine) {}

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
    const { image, changed } = session.capture();
    const made: Snapshot = {
      icount,
      state: machine.saveState(),
      tlb: machine.cpu.mmu.saveTlb(),
      counts: session.counts(),
      image,
      pages: changed,
      serial: this.#serial++,
    };
    let at = this.list.length;
    while (at > 0 && this.list[at - 1].icount > icount) at--;
    this.list.splice(at, 0, made);
    this.#thin();
  }

  /** Puts the machine into one. */
  restore(to: Snapshot): void {
    const { session, machine } = this;
    session.resume(to.image, () => {
      machine.loadState(to.state);
      machine.cpu.mmu.loadTlb(to.tlb);
    }, to.counts);
  }

  /** Drops the snapshots that are missed least, when there are too many: where the neighbours are nearest. */
  #thin(): void {
    const { list } = this;
    let pages = 0;
    for (const s of list) pages += s.pages;
    while (list.length > SNAPSHOTS_MAX || (pages > PAGES_MAX && list.length > NEWEST_KEPT + 2)) {
      let victim = -1, least = Infinity;
      for (let i = 1; i < list.length - 1; i++) {
        const gap = list[i + 1].icount - list[i - 1].icount;
        if (list[i].serial >= this.#serial - NEWEST_KEPT || gap >= least) continue;
        victim = i;
        least = gap;
      }
      if (victim < 0) return;
      pages -= list[victim].pages;
      list.splice(victim, 1);
    }
  }
}
