/**
 * Decides what to compile, and puts compiled code where the interpreter finds it: into the handler of a block's first
 * record. Whether and when code is compiled never shows in what the guest sees or how instructions are counted.
 *
 * @module
 */
import { REC } from "../insn.ts";
import type { Interpreter } from "../interp.ts";
import { JIT_SLOTS } from "../interp.ts";
import type { CpuState } from "../state.ts";
import { CompileBudget } from "./budget.ts";
import { compileRegion } from "./compile.ts";
import { ENTRY_INDEX } from "./emit_jit.ts";
import { collectRegion } from "./region.ts";

/** A block joins a region when it has run at least 1/16 as often as a block must to be compiled. */
const WARM_FRACTION = 16;
/** Most bytes of compiled modules in use; beyond, all decoded and compiled code is dropped. */
const CODE_BYTES_MAX = 64 << 20;
/**
 * A page's code is compiled again when this many instructions have been interpreted for each one that its last region had
 * (at the default threshold): about what compiling costs.
 */
const PATIENCE = 1000, USUAL_THRESHOLD = 2000;

/** What the compiler needs of the code cache. */
export interface JitCode {
  handlerOf(rec: number): number;
  find(ripLo: number, ripHi: number): number;
  nearby(): number[];
  /** How often a block has run. */
  heat(rec: number): number;
  /** Starts counting a block again. */
  recount(rec: number): void;
  /** Makes a compiled block an interpreted one that is counted. */
  restore(rec: number): void;
  readonly threshold: number;
  /** Drops all decoded code. */
  clear(): void;
}

/** One function of compiled code. */
interface Region {
  slot: number;
  bytes: number;
  /** Records whose handler it is. */
  entries: Set<number>;
  /** Records of all blocks in it. */
  blocks: number[];
}

/** What has been compiled of a page's code. */
interface PageHistory {
  /** Blocks that had to be enterable. */
  required: Set<number>;
  /** Instructions in the last region. */
  instructions: number;
  /** Instructions interpreted since, as far as is known. */
  interpreted: number;
}

/** Compiled code of one processor. */
export class Jit {
  readonly #first: number;
  readonly #free: number[] = [];
  readonly #regions = new Map<number, Region>();
  /** The latest region that each compiled block is in. */
  readonly #compiled = new Map<number, Region>();
  /** By linear page number. */
  readonly #pages = new Map<number, PageHistory>();
  #next = 0;
  /** Bytes of WebAssembly in use. */
  bytes = 0;
  /** Regions compiled since start. */
  regions = 0;
  readonly budget = new CompileBudget();

  constructor(
    readonly s: CpuState,
    readonly interp: Interpreter,
    readonly memory: WebAssembly.Memory,
    readonly code: JitCode,
  ) {
    this.#first = interp.slots;
  }

  /**
   * Compiles the region around a block and makes its entries run it.
   * @returns false when nothing was compiled: the caller lets the block be interpreted for good
   */
  compile(rec: number): boolean {
    const history = this.#history(rec);
    if (!this.#isTime(history, rec)) return true;
    const blocks = collectRegion(this.#source(), rec);
    if (blocks.length === 0) return false;
    const slot = this.#free.pop() ?? (this.#next < JIT_SLOTS ? this.#next++ : -1);
    if (slot < 0 || this.bytes > CODE_BYTES_MAX) {
      this.code.clear();
      return false;
    }
    history.instructions = blocks.reduce((sum, b) => sum + b.count, 0);
    history.interpreted = 0;
    history.required.add(rec);
    const { interp, s } = this, handler = this.#first + slot;
    const { bytes, entries } = compileRegion(s, blocks, interp.table.length, handler, history.required);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), {
      env: { ...interp.runtime, memory: this.memory, table: interp.table },
    });
    interp.table.set(handler, instance.exports.f as () => void);
    const region = { slot, bytes: bytes.length, entries: new Set(entries), blocks: blocks.map((b) => b.rec) };
    this.#regions.set(slot, region);
    this.bytes += bytes.length;
    this.budget.charge(bytes.length);
    this.regions++;
    for (const block of region.blocks) {
      this.code.recount(block);
      this.#compiled.set(block, region);
    }
    entries.forEach((entry, index) => this.#enter(entry, handler, index));
    return true;
  }

  #source() {
    const { interp, s, code } = this;
    return {
      s,
      forms: interp.forms,
      code64: s.code64,
      handlerOf: (r: number) => code.handlerOf(r),
      find: (lo: number, hi: number) => code.find(lo, hi),
      isWarm: (r: number) =>
        this.#compiled.has(r) || this.budget.waits(r) || code.heat(r) * WARM_FRACTION >= code.threshold,
      nearby: () => code.nearby(),
    };
  }

  /** Makes a record run a region's function, in place of what it ran before. */
  #enter(rec: number, handler: number, index: number): void {
    const { view } = this.s,
      before = this.#regions.get(view.getUint16(rec + REC.HANDLER, true) - this.#first);
    if (before !== undefined) {
      before.entries.delete(rec);
      if (before.entries.size === 0) this.#drop(before);
    }
    view.setUint16(rec + ENTRY_INDEX, index, true);
    view.setUint16(rec + REC.HANDLER, handler, true);
  }

  #history(rec: number): PageHistory {
    const page = this.#page(rec);
    let h = this.#pages.get(page);
    if (h === undefined) this.#pages.set(page, h = { required: new Set(), instructions: 0, interpreted: 0 });
    return h;
  }
  #page(rec: number): number {
    const { u32, i32 } = this.s;
    return i32[(rec + REC.RIP_HI) >> 2] * 0x10_0000 + (u32[(rec + REC.RIP_LO) >> 2] >>> 12);
  }

  /** True when it pays to compile a page (again) for a block. */
  #isTime(history: PageHistory, rec: number): boolean {
    const { threshold } = this.code;
    history.interpreted += threshold * this.s.i32[(rec - 4) >> 2];
    if (history.interpreted >= PATIENCE * history.instructions * threshold / USUAL_THRESHOLD) return true;
    this.code.recount(rec);
    return false;
  }

  /** A block is gone: if it was compiled, its region will not be entered again. */
  release(rec: number, handler: number): void {
    if (this.#pages.size > 0) this.#pages.delete(this.#page(rec));
    const region = this.#regions.get(handler - this.#first) ?? this.#compiled.get(rec);
    if (region === undefined) return;
    for (const entry of region.entries) this.code.restore(entry);
    this.#drop(region);
  }

  #drop(region: Region): void {
    const { table } = this.interp;
    table.set(this.#first + region.slot, table.get(0)); // so that the module can be collected
    this.#regions.delete(region.slot);
    for (const block of region.blocks) {
      if (this.#compiled.get(block) === region) this.#compiled.delete(block);
    }
    this.#free.push(region.slot);
    this.bytes -= region.bytes;
  }

  /** All decoded code is gone. */
  reset(): void {
    this.budget.forget();
    for (const region of [...this.#regions.values()]) this.#drop(region);
    this.#pages.clear();
    this.#free.length = 0;
    this.#next = 0;
  }
}
