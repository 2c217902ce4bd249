/**
 * Decoded blocks: found by physical address, RIP and mode; dropped when their bytes are written.
 *
 * A block never crosses a page. An instruction that does is looked up each time it runs (`crossing.ts`), because the two
 * pages may be remapped separately. When the record area is full everything is dropped.
 *
 * @module
 */
import * as L from "../layout.ts";
import { jumpCacheOffset } from "../mmu/jump_cache.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { PAGE_SIZE } from "../mmu/physmem.ts";
import { CodePage } from "./code_page.ts";
import { CrossingCode, INSTRUCTION_BYTES_MAX } from "./crossing.ts";
import { Decoded, Decoder } from "./decode/decoder.ts";
import { VARIANTS } from "./decode/entry.ts";
import { type Form, formKey } from "./form.ts";
import type { FusedNode } from "./fuse.ts";
import { fuseBlock, loopHandler } from "./fuse_blocks.ts";
import { raise, Vec } from "./hooks.ts";
import { REC, REC_SIZE } from "./insn.ts";
import { Seg } from "./state.ts";
import type { CpuState } from "./state.ts";

/** Most instructions in a block. */
const BLOCK_MAX = 64;
/** Room for one block of any length, header and closing record included. */
const BLOCK_BYTES = 8 + (BLOCK_MAX + 1) * REC_SIZE;
/** Code in a page that has been overwritten this often is interpreted: compiling it again would cost more. */
const REWRITES_MAX = 32;
/** What stands for the count in the header of a block in such a page. */
const CHANGES = 0xffff;
/** Blocks that run once (truncated, alone, page-crossing) are built here. */
const SCRATCH = L.CODE + L.CODE_SIZE - BLOCK_BYTES;
/** Where the records of decoded blocks end. */
export const CODE_END: number = SCRATCH;

/** The decoded code of one machine. */
export class CodeCache {
  readonly #pages = new Map<number, CodePage>();
  /** An empty one: self-modifying code drops and makes one again and again. */
  #spare: CodePage | null = null;
  readonly #view: DataView;
  readonly #u8: Uint8Array;
  readonly #crossings: CrossingCode;
  #next = L.CODE;
  #stop: number;
  #stale: number;
  #jmp: number;
  readonly #profile: number;
  /** How often each page's code has been overwritten. */
  readonly #rewrites = new Uint8Array(1 << 20);
  /** How often a block runs before `Leave.HOT` asks for it to be compiled; 0: never. */
  threshold = 0;
  /** Told of the handler of each block that is dropped, and when all are. */
  onKill: ((rec: number, handler: number) => void) | null = null;
  onClear: (() => void) | null = null;
  /** Linear addresses at which blocks end, for a debugger; null: none. */
  splits: ReadonlySet<number> | null = null;
  /** Records end here; an instrument takes room behind it. */
  end = CODE_END;
  /** Sequences get handlers of their own; an instrumented interpreter has none. */
  fuses = true;
  /** Told of each record made, with where its instruction's bytes are; null: nobody looks on. */
  onRecord: ((rec: number, from: Uint8Array, at: number, length: number) => void) | null = null;
  /** Blocks decoded since start, for statistics. */
  decoded = 0;

  constructor(
    readonly s: CpuState,
    readonly mmu: Mmu,
    readonly decoder: Decoder,
    readonly handlers: ReadonlyMap<string, number>,
    /** Runs of instructions that have a handler together. */
    readonly fused: FusedNode["next"],
  ) {
    this.#view = s.view;
    this.#u8 = s.u8;
    this.#crossings = new CrossingCode(s, mmu, decoder, (rip) => this.linear(rip));
    const special = (name: string, size = 0): number => {
      const f: Form = { name, size, ops: [], addr: "L", stack: "L", code64: false, sub: 0 };
      return handlers.get(formKey(f))!;
    };
    this.#stop = special("stop");
    this.#stale = special("stale");
    this.#profile = special("profile");
    this.#jmp = special("jmp", 64);
    const { mem } = mmu;
    mem.onCodeWrite = (page, offset, length) => this.invalidate(page, offset, length);
    mem.codeOverlaps = (page, offset, length) => this.#pages.get(page)?.overlaps(offset, length) ?? false;
  }

  /** Linear address of an instruction: 64-bit code has no base; elsewhere CS base is added and the limit checked. */
  linear(rip: number): number {
    const { s } = this;
    if (s.code64) return rip;
    if (rip > s.segLimit(Seg.CS)) raise(Vec.GP, 0);
    return (s.segBase(Seg.CS) + rip) >>> 0;
  }

  /**
   * Record of the block at a RIP, decoded if need be. Raises the fetch's faults.
   * @returns record address; negative when the block is in the scratch area (its complement): it must not be linked
   */
  lookup(rip: number): number {
    const fetched = this.mmu.fetchHost(this.linear(rip));
    const mode = this.s.i32[L.MODE >> 2];
    const { page, offset } = fetched;
    const known = this.#pages.get(page)?.blocks.get(offset + mode * PAGE_SIZE);
    const rec = this.#at(known, rip | 0, Math.floor(rip / 0x1_0000_0000) | 0);
    if (rec === 0) return this.#decodeBlock(rip, page, offset, fetched.host, mode);
    return this.#lives(rec) || this.#decodeAgain(rec, rip, page, offset, fetched.host, mode)
      ? rec
      : ~this.scratch(rip, 1);
  }

  /** True for a block whose code is as it was decoded. */
  #lives(first: number): boolean {
    return this.s.i32[(first - 4) >> 2] > 0;
  }

  /** Decodes a block that `#spoil` left into its old records, which links and the jump cache know; false: nothing to decode. */
  #decodeAgain(
    first: number,
    rip: number,
    page: number,
    offset: number,
    host: number,
    mode: number,
  ): boolean {
    const most = this.#u8[first + REC.REM], { count, end } = this.#fill(first, rip, offset, host, most, mode);
    if (count === 0) {
      this.#u8[first + REC.REM] = most;
      this.#view.setUint16(first + REC.HANDLER, this.#stale, true);
      return false;
    }
    this.#header(first, count);
    this.#view.setUint16(first - 6, CHANGES, true);
    this.#pages.get(page)!.mark(offset, this.#ripOf(end) - rip);
    this.decoded++;
    return true;
  }

  #decodeBlock(rip: number, page: number, offset: number, host: number, mode: number): number {
    if (host < 0) return ~this.scratch(rip, 1);
    if (this.#next + BLOCK_BYTES > this.end) this.clear();
    const gpa = page * PAGE_SIZE + offset, mayCross = offset > PAGE_SIZE - INSTRUCTION_BYTES_MAX;
    const crossing = mayCross ? this.#crossings.find(rip, mode, gpa, host) : 0;
    if (crossing !== 0) return ~crossing;
    const first = this.#next + 8;
    const { count, end } = this.#fill(first, rip, offset, host, BLOCK_MAX, mode);
    if (count === 0) {
      const made = this.scratch(rip, 1),
        kept = this.onRecord === null ? this.#crossings.keep(made, first) : made;
      if (kept === first) this.#next = first + 2 * REC_SIZE;
      return ~kept;
    }
    this.#header(first, count);
    this.#markLoop(first, count, page, offset, mode);
    if (this.#rewrites[page] >= REWRITES_MAX) this.#view.setUint16(first - 6, CHANGES, true);
    else if (this.threshold > 0) this.#count(first);
    const bytes = this.#ripOf(end) - rip;
    let p = this.#pages.get(page);
    if (!p) {
      p = this.#spare ?? new CodePage();
      this.#spare = null;
      this.#pages.set(page, p);
      this.mmu.mem.code[page] = 1;
      this.mmu.pageBecameCode(page);
    }
    p.mark(offset, bytes);
    if (this.splits !== null) p.linear.add(Math.floor(this.linear(rip) / PAGE_SIZE));
    const key = offset + mode * PAGE_SIZE, list = p.blocks.get(key);
    if (list) list.push(first);
    else p.blocks.set(key, [first]);
    this.#next = end + REC_SIZE;
    this.decoded++;
    return first;
  }

  /**
   * Gives a block the handler for loops when it goes on with itself, or with one of its shape that is decoded already; that
   * one gets it as well.
   */
  #markLoop(first: number, count: number, page: number, offset: number, mode: number): void {
    const v = this.#view, loop = this.fuses ? loopHandler(v, this.fused, first, count) : -1;
    if (loop < 0) return;
    const i32 = this.s.i32, branch = first + (count - 1) * REC_SIZE, rip = i32[(first + REC.RIP_LO) >> 2];
    const taken = i32[(branch + REC.IMM) >> 2], next = i32[(branch + REC_SIZE + REC.RIP_LO) >> 2];
    if (taken === rip) return this.#setOwn(first, loop);
    for (const lo of [taken, next]) {
      const at = offset + lo - rip;
      if (at < 0 || at >= PAGE_SIZE) continue;
      const list = this.#pages.get(page)?.blocks.get(at + mode * PAGE_SIZE);
      const other = this.#at(list, lo, i32[(branch + REC.RIP_HI) >> 2]);
      if (other === 0 || loopHandler(v, this.fused, other, v.getUint32(other - 4, true)) !== loop) continue;
      this.#setOwn(first, loop);
      this.#setOwn(other, loop);
    }
  }

  /** Replaces a block's own handler, which may be hidden behind the one that counts, or by compiled code. */
  #setOwn(first: number, handler: number): void {
    const v = this.#view, before = v.getUint16(first - 8, true);
    v.setUint16(first - 8, handler, true);
    if (v.getUint16(first + REC.HANDLER, true) === before) v.setUint16(first + REC.HANDLER, handler, true);
  }

  /** The one of these blocks that begins at a RIP, or 0. */
  #at(list: readonly number[] | undefined, ripLo: number, ripHi: number): number {
    if (list === undefined) return 0;
    const { i32 } = this.s;
    for (const rec of list) {
      if (i32[(rec + REC.RIP_LO) >> 2] === ripLo && i32[(rec + REC.RIP_HI) >> 2] === ripHi) return rec;
    }
    return 0;
  }

  /** Puts the profiling handler in front of a block's own. */
  #count(first: number): void {
    const v = this.#view, own = v.getUint16(first + REC.HANDLER, true);
    v.setUint32(first - 8, own | Math.min(this.threshold, 0xffff) << 16, true);
    v.setUint16(first + REC.HANDLER, this.#profile, true);
  }

  /**
   * How often a counted block has run; Infinity for one that is not counted (any more); less than nothing where code keeps
   * changing: such blocks go one by one, and compiled code counts on a page's going together.
   */
  heat(first: number): number {
    const v = this.#view;
    if (v.getUint16(first + REC.HANDLER, true) !== this.#profile) {
      return v.getUint16(first - 6, true) === CHANGES ? -1 : Infinity;
    }
    return Math.min(this.threshold, 0xffff) - (v.getUint32(first - 8, true) >>> 16);
  }

  /** Starts a block's count again: it has become part of compiled code, and may never be entered by itself. */
  recount(first: number): void {
    const v = this.#view;
    if (v.getUint16(first + REC.HANDLER, true) !== this.#profile) return;
    const own = v.getUint32(first - 8, true) & 0xffff;
    v.setUint32(first - 8, own | Math.min(this.threshold, 0xffff) << 16, true);
  }

  /** Lets a block be interpreted without counting. */
  uncount(first: number): void {
    const v = this.#view;
    if (v.getUint16(first + REC.HANDLER, true) === this.#profile) {
      v.setUint16(first + REC.HANDLER, v.getUint16(first - 8, true), true);
    }
  }

  /** Handler index of a record's own form. */
  handlerOf(rec: number): number {
    return this.#view.getUint16(rec + REC.FORM, true);
  }

  /** A block that was compiled is interpreted, and counted, again. */
  restore(first: number): void {
    const v = this.#view, own = v.getUint16(first - 8, true);
    v.setUint32(first - 8, own | Math.min(this.threshold, 0xffff) << 16, true);
    v.setUint16(first + REC.HANDLER, this.#profile, true);
  }

  /** Blocks in the page and mode that `locate` found, the hottest first. */
  nearby(): number[] {
    const here = this.#pageOf;
    if (here === null) return [];
    const found: number[] = [], { i32 } = this.s;
    for (const [key, list] of here.page.blocks) {
      if (Math.floor(key / PAGE_SIZE) !== here.mode) continue;
      for (const rec of list) {
        const lo = i32[(rec + REC.RIP_LO) >> 2], hi = i32[(rec + REC.RIP_HI) >> 2];
        if (hi === here.ripHi && lo >>> 12 === here.ripLo >>> 12 && this.#lives(rec)) found.push(rec);
      }
    }
    return found.sort((a, b) => Math.min(this.heat(b), 0xffff) - Math.min(this.heat(a), 0xffff) || a - b);
  }

  /**
   * Record of the decoded block at a RIP near where `locate` was; 0 when none is known. In another page only what the jump
   * cache knows counts: its mapping holds now.
   */
  find(ripLo: number, ripHi: number): number {
    const here = this.#pageOf;
    if (here === null) return 0;
    const inPage = ripHi === here.ripHi && ripLo >>> 12 === here.ripLo >>> 12;
    if (!inPage) return this.#cachedJump(ripLo, ripHi, here.mode);
    const offset = here.offset + ripLo - here.ripLo & 0xfff;
    const rec = this.#at(here.page.blocks.get(offset + here.mode * PAGE_SIZE), ripLo, ripHi);
    return rec !== 0 && this.#lives(rec) ? rec : 0;
  }

  #cachedJump(ripLo: number, ripHi: number, mode: number): number {
    const { i32 } = this.s, at = (i32[L.JC_BASE >> 2] + jumpCacheOffset(ripLo, ripHi)) >> 2;
    if (i32[at] !== ripLo || i32[at + 1] !== ripHi || i32[at + 3] !== mode) return 0;
    const rec = i32[at + 2];
    return this.#lives(rec) ? rec : 0;
  }
  #pageOf: { page: CodePage; offset: number; ripLo: number; ripHi: number; mode: number } | null = null;

  /** Prepares `find` for the blocks around a RIP that is about to be executed. */
  locate(rip: number): void {
    const { page: number, offset } = this.mmu.fetchHost(this.linear(rip));
    const page = this.#pages.get(number);
    const mode = this.s.i32[L.MODE >> 2];
    const ripHi = Math.floor(rip / 0x1_0000_0000) | 0;
    this.#pageOf = page ? { page, offset, ripLo: rip | 0, ripHi, mode } : null;
  }

  /** RIP in a record, as far as differences inside a page need it. */
  #ripOf(rec: number): number {
    return this.s.i32[(rec + REC.RIP_HI) >> 2] * 0x1_0000_0000 + this.s.u32[(rec + REC.RIP_LO) >> 2];
  }

  /**
   * Decodes up to `most` instructions from one page into records; closes with a jump to what follows.
   * @returns how many, and the closing record
   */
  #fill(
    at: number,
    start: number,
    offset: number,
    host: number,
    most: number,
    mode: number,
  ): { count: number; end: number } {
    const d = this.decoder, limit = this.s.code64 ? Infinity : this.s.segLimit(Seg.CS);
    const base = this.s.code64 ? 0 : this.s.segBase(Seg.CS), { splits } = this;
    let count = 0, rip = start, rec = at;
    while (count < most) {
      if (splits !== null && count > 0 && splits.has(base === 0 ? rip : (base + rip) >>> 0)) break;
      const room = Math.min(PAGE_SIZE - offset, limit - rip + 1);
      if (room <= 0 || d.decode(this.#u8, host, room, mode) !== Decoded.OK) break;
      this.#record(rec, rip);
      this.onRecord?.(rec, this.#u8, host, d.length);
      rec += REC_SIZE;
      count++;
      rip += d.length;
      host += d.length;
      offset += d.length;
      if (d.endsBlock) break;
    }
    for (let i = 0; i < count; i++) this.#u8[at + i * REC_SIZE + REC.REM] = count - i;
    if (this.fuses) fuseBlock(this.#view, this.fused, at, count);
    this.#closing(rec, rip, this.#jmp);
    return { count, end: rec };
  }

  /** Writes the decoder's instruction as a record. */
  #record(rec: number, rip: number): void {
    const d = this.decoder;
    d.write(this.#u8, this.#view, rec, rip);
    const { entry } = d;
    const cached = d.name === entry.name ? entry.handlers ??= new Int32Array(VARIANTS).fill(-1) : null;
    const v = cached ? d.variant() : 0;
    let h = cached ? cached[v] : -1;
    if (h < 0) {
      const key = formKey(d.form()), found = this.handlers.get(key);
      if (found === undefined) {
        throw new Error(`Cannot decode: the interpreter has no handler for form ${key}`);
      }
      h = found;
      if (cached) cached[v] = h;
    }
    this.#view.setUint32(rec + REC.HANDLER, h | h << 16, true);
  }

  /** A record that is not an instruction, at a RIP. */
  #closing(rec: number, rip: number, handler: number): void {
    const v = this.#view, hi = Math.floor(rip / 0x1_0000_0000) | 0;
    for (let at = rec; at < rec + REC_SIZE; at += 8) v.setFloat64(at, 0);
    v.setUint32(rec + REC.HANDLER, handler | handler << 16, true);
    v.setInt32(rec + REC.RIP_LO, rip | 0, true);
    v.setInt32(rec + REC.RIP_HI, hi, true);
    v.setInt32(rec + REC.IMM, rip | 0, true);
    v.setInt32(rec + REC.IMM + 4, hi, true);
  }

  /** Header of a block: its first record's own handler (and count, see `#count`), its length. */
  #header(first: number, count: number): void {
    this.#view.setUint32(first - 8, this.#view.getUint16(first + REC.HANDLER, true), true);
    this.#view.setUint32(first - 4, count, true);
  }

  /**
   * Builds a block of at most `most` instructions that stops behind the last one; it lives until the next call.
   * @returns record address
   */
  scratch(rip: number, most: number): number {
    const mode = this.s.i32[L.MODE >> 2], first = SCRATCH + 8;
    const fetched = this.mmu.fetchHost(this.linear(rip));
    const { offset } = fetched;
    let count = 0, end = first;
    if (fetched.host >= 0) {
      ({ count, end } = this.#fill(first, rip, offset, fetched.host, Math.min(most, BLOCK_MAX), mode));
    }
    if (count === 0) {
      this.#crossings.gather(rip, offset, fetched.gpa, fetched.host);
      this.#record(first, rip);
      this.onRecord?.(first, this.#crossings.gathered, 0, this.decoder.length);
      this.#u8[first + REC.REM] = 1;
      count = 1;
      end = first + REC_SIZE;
      this.#closing(end, rip + this.decoder.length, this.#stop);
    } else this.#view.setUint16(end + REC.HANDLER, this.#stop, true);
    this.#header(first, count);
    return first;
  }

  /** Drops the blocks of a page when some of the bytes about to change hold code. */
  invalidate(page: number, offset: number, length: number): void {
    const p = this.#pages.get(page);
    if (!p || !p.overlaps(offset, length)) return;
    if (this.#rewrites[page] < REWRITES_MAX) this.#rewrites[page]++;
    else if (this.#spoil(p, offset, length)) return;
    this.#drop(page, p);
  }

  /**
   * Drops only the blocks that hold bytes about to change, in a page that is overwritten again and again: they keep their
   * records, and are decoded into them when they are wanted.
   * @returns false when none was good any more: the page has become data
   */
  #spoil(p: CodePage, offset: number, length: number): boolean {
    let killed = false;
    for (const [key, list] of p.blocks) {
      const at = key & (PAGE_SIZE - 1);
      for (const rec of list) {
        const end = rec + this.#u8[rec + REC.REM] * REC_SIZE;
        if (
          !this.#lives(rec) || at >= offset + length || at + this.#ripOf(end) - this.#ripOf(rec) <= offset
        ) {
          continue;
        }
        this.#kill(rec);
        killed = true;
      }
    }
    return killed;
  }

  /** Drops what was decoded around a linear address, because blocks are to end there from now on. */
  dropLinear(address: number): void {
    const at = Math.floor(address / PAGE_SIZE);
    for (const [page, p] of this.#pages) if (p.linear.has(at)) this.#drop(page, p);
  }

  #drop(page: number, p: CodePage): void {
    for (const list of p.blocks.values()) for (const rec of list) if (this.#lives(rec)) this.#kill(rec);
    this.#pages.delete(page);
    p.clear();
    this.#spare = p;
    this.mmu.mem.code[page] = 0;
    this.mmu.pageNoLongerCode(page);
  }

  /** Forgets how often pages have been overwritten: a debugger has been replacing memory. */
  forgive(): void {
    this.#rewrites.fill(0);
  }

  /** Makes a block that others may jump to look itself up again. */
  #kill(rec: number): void {
    this.onKill?.(rec, this.#view.getUint16(rec + REC.HANDLER, true));
    this.#view.setUint16(rec + REC.HANDLER, this.#stale, true);
    this.#view.setUint32(rec - 4, 0, true);
  }

  /** Forgets everything (the record area is full, or memory was replaced as a whole). */
  clear(): void {
    for (const page of this.#pages.keys()) {
      this.mmu.mem.code[page] = 0;
      this.mmu.pageNoLongerCode(page);
    }
    this.#pages.clear();
    this.#crossings.clear();
    this.onClear?.();
    this.#next = L.CODE;
    this.mmu.flushJumpCaches();
    this.s.i32[L.LINK_SLOT >> 2] = 0;
  }
}
