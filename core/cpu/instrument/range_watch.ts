/**
 * Tells a sink of the accesses to a small range of memory while the machine runs on its usual engines: only accesses to
 * the range's pages take the slow paths.
 *
 * @module
 */
import { type AccessObserver, Accessor, type Watch } from "../../mmu/access.ts";
import { PAGE_SIZE } from "../../mmu/physmem.ts";
import { PageWalker, Walk } from "../../mmu/walk.ts";
import { admit } from "../admit.ts";
import type { Cpu } from "../cpu.ts";
import { type EventSink, type Pair, type Range, split } from "./events.ts";

/** See above. */
export class RangeWatch implements Watch, AccessObserver {
  readonly pages: Set<number> = new Set();
  readonly frames: Set<number> = new Set();
  /** Where an access is, is known without its running alone. */
  pass = true;
  /** Its own: the machine's may be in the middle of a walk. */
  readonly #walker: PageWalker;
  readonly #rip: Pair = { lo: 0, hi: 0 };
  readonly #la: Pair = { lo: 0, hi: 0 };

  /** @param told which accesses */
  constructor(
    readonly cpu: Cpu,
    readonly told: { reads: boolean; writes: boolean },
    readonly sink: EventSink,
    readonly range: Range,
  ) {
    this.#walker = new PageWalker(cpu.s, cpu.mmu.mem);
    admit(this.#walker, cpu.policy);
    const { from, bytes } = range, set = range.physical ? this.frames : this.pages;
    for (let p = Math.floor(from / PAGE_SIZE); p <= Math.floor((from + bytes - 1) / PAGE_SIZE); p++) {
      set.add(p);
    }
  }

  /** Begins to look on. */
  attach(): void {
    const { mmu } = this.cpu;
    mmu.setWatch(this);
    if (!this.told.writes) return;
    mmu.setObserver(this, false);
    mmu.mem.onTouch = (page, offset, length) => {
      this.#outside(Accessor.HYPERVISOR, page * PAGE_SIZE + offset, length);
    };
  }

  /** Ends it. */
  detach(): void {
    const { mmu } = this.cpu;
    mmu.setWatch(null);
    mmu.setObserver(null);
    mmu.mem.onTouch = null;
  }

  concerns(la: number, gpa: number, size: number, write: boolean, rmw: boolean): boolean {
    const { physical, from, bytes } = this.range, at = physical ? gpa : la;
    if (at >= from + bytes || at + size <= from) return false;
    return write ? this.told.writes || (rmw && this.told.reads) : this.told.reads;
  }

  note(la: number, gpa: number, size: number, write: boolean, rmw: boolean): void {
    const { mem } = this.cpu.mmu;
    if (mem.host(gpa) < 0) return;
    if (this.told.reads && (!write || rmw)) this.#tell(false, la, gpa, size);
    if (this.told.writes && write && !mem.rom[gpa / PAGE_SIZE | 0]) this.#tell(true, la, gpa, size);
  }

  #tell(write: boolean, la: number, gpa: number, size: number): void {
    const { cpu } = this, source = cpu.delivering ? Accessor.EVENT : Accessor.CPU;
    const rip = split(this.#rip, cpu.hereRip);
    this.sink.access(write, source, cpu.hereIcount, rip, split(this.#la, la), gpa, size, null);
  }

  /** All other accesses come as `note`. */
  access(): void {}

  walked(gpa: number, size: number): void {
    this.#outside(Accessor.WALK, gpa, size);
  }

  #outside(source: number, gpa: number, size: number): void {
    const { physical, from, bytes } = this.range;
    // What the hypervisor writes has no linear address; it may be in a watched page all the same.
    if (physical ? gpa >= from + bytes || gpa + size <= from : !this.#mapped(gpa, size)) return;
    const { cpu } = this;
    this.sink.access(true, source, cpu.hereIcount, split(this.#rip, cpu.hereRip), null, gpa, size, null);
  }

  #translate(la: number): number {
    const w = this.#walker, found = w.walk(la | 0, Math.floor(la / 0x1_0000_0000) | 0) === Walk.FOUND;
    return found ? w.page * PAGE_SIZE + ((la | 0) & (PAGE_SIZE - 1)) : -1;
  }

  /** True when bytes at a guest-physical address are in the linear range as it is mapped now. */
  #mapped(gpa: number, size: number): boolean {
    const { from, bytes } = this.range;
    for (let at = from; at < from + bytes;) {
      const n = Math.min(from + bytes - at, PAGE_SIZE - ((at % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE);
      const there = this.#translate(at);
      if (there >= 0 && there < gpa + size && there + n > gpa) return true;
      at += n;
    }
    return false;
  }
}
