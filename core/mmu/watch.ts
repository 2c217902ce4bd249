/**
 * Watchpoints of a debugger on linear addresses. They are the host's: nothing of them is visible to the guest.
 *
 * Translations of watched pages stay in the TLB as they are, with a mark in their tags that makes generated code miss,
 * so that every access takes a slow path, which asks here.
 *
 * @module
 */
import type { Watch } from "./access.ts";
import { PAGE_SIZE } from "./physmem.ts";

/** Which accesses a watchpoint is for; the numbers are those of the packets Z2, Z3, Z4 of gdb's remote protocol. */
export const WatchKind = { WRITE: 2, READ: 3, ACCESS: 4 } as const;

/** One watchpoint: `[address, address + length)`. */
export interface Watchpoint {
  kind: number;
  address: number;
  length: number;
}

/** What an instruction did to a watchpoint. */
export interface WatchHit {
  point: Watchpoint;
  /** Instructions retired before the instruction that did it. */
  icount: number;
  /** Bytes of the watched range before the access. */
  before: Uint8Array;
  /** First linear address accessed. */
  address: number;
  write: boolean;
}

/** Most hits noted between two `take`s: an instruction makes few. */
const HITS_MAX = 64;

/** The watchpoints of one processor. */
export class DataWatch implements Watch {
  readonly points: Watchpoint[] = [];
  /** Linear page numbers with a watchpoint. */
  readonly pages: Set<number> = new Set();
  readonly frames: ReadonlySet<number> = new Set();
  readonly hits: WatchHit[] = [];
  /** The instruction in hand runs alone and has been charged: note what it does and let it. */
  pass = false;

  /**
   * @param icount instructions retired, exact while one instruction runs alone
   * @param peek reads linear memory without side effect
   */
  constructor(
    readonly icount: () => number,
    readonly peek: (address: number, length: number) => Uint8Array,
  ) {}

  /** Replaces all watchpoints. */
  set(points: readonly Watchpoint[]): void {
    this.points.length = 0;
    this.points.push(...points);
    this.pages.clear();
    for (const p of points) {
      const last = Math.floor((p.address + p.length - 1) / PAGE_SIZE);
      for (let page = Math.floor(p.address / PAGE_SIZE); page <= last; page++) this.pages.add(page);
    }
  }

  /** True when an access touches a watchpoint that is for it. */
  concerns(la: number, _gpa: number, size: number, write: boolean): boolean {
    for (const p of this.points) if (touches(p, la, size, write)) return true;
    return false;
  }

  /** Notes an access that is about to happen. */
  note(la: number, _gpa: number, size: number, write: boolean): void {
    for (const point of this.points) {
      if (!touches(point, la, size, write) || this.hits.length >= HITS_MAX) continue;
      const before = this.peek(point.address, point.length);
      this.hits.push({ point, icount: this.icount(), before, address: la, write });
    }
  }

  /**
   * Takes the hit that the instruction just run made, if any; a write watchpoint is hit when its bytes changed, as gdb
   * sees it.
   */
  take(): WatchHit | null {
    let found: WatchHit | null = null;
    for (const h of this.hits) {
      if (h.point.kind === WatchKind.WRITE) {
        const now = this.peek(h.point.address, h.point.length);
        if (now.every((b, i) => b === h.before[i])) continue;
      }
      found ??= h;
    }
    this.hits.length = 0;
    return found;
  }
}

function touches(p: Watchpoint, la: number, size: number, write: boolean): boolean {
  if (la >= p.address + p.length || la + size <= p.address) return false;
  return p.kind === WatchKind.ACCESS || (p.kind === WatchKind.WRITE) === write;
}

/** Two watches at once. */
export class BothWatch implements Watch {
  readonly pages: ReadonlySet<number>;
  readonly frames: ReadonlySet<number>;

  constructor(readonly a: Watch, readonly b: Watch) {
    this.pages = new Set([...a.pages, ...b.pages]);
    this.frames = new Set([...a.frames, ...b.frames]);
  }

  get pass(): boolean {
    return this.a.pass;
  }
  set pass(on: boolean) {
    this.a.pass = this.b.pass = on;
  }

  concerns(la: number, gpa: number, size: number, write: boolean, rmw: boolean): boolean {
    return this.a.concerns(la, gpa, size, write, rmw) || this.b.concerns(la, gpa, size, write, rmw);
  }

  note(la: number, gpa: number, size: number, write: boolean, rmw: boolean): void {
    for (const w of [this.a, this.b]) {
      if (w.concerns(la, gpa, size, write, rmw)) w.note(la, gpa, size, write, rmw);
    }
  }
}
