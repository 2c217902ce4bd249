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
import { collectRegion } from "./region.ts";

/** A block joins a region when it has run at least 1/16 as often as a block must to be compiled. */
const WARM_FRACTION = 16;
/** Most bytes of compiled modules; beyond, all decoded and compiled code is dropped. */
const CODE_BYTES_MAX = 64 << 20;

/** What the compiler needs of the code cache. */
export interface JitCode {
  handlerOf(rec: number): number;
  find(from: number, ripLo: number, ripHi: number): number;
  /** How often a block has run. */
  heat(rec: number): number;
  /** Starts counting a block again. */
  recount(rec: number): void;
  readonly threshold: number;
  /** Drops all decoded code. */
  clear(): void;
}

/** Compiled code of one processor. */
export class Jit {
  readonly #first: number;
  readonly #free: number[] = [];
  #next = 0;
  /** Bytes of WebAssembly compiled since the last `reset`. */
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
   * Compiles the region that starts with a block and makes the block run it.
   * @returns false when nothing was compiled: the caller lets the block be interpreted for good
   */
  compile(rec: number, code64: boolean): boolean {
    const slot = this.#free.pop() ?? (this.#next < JIT_SLOTS ? this.#next++ : -1);
    if (slot < 0 || this.bytes > CODE_BYTES_MAX) {
      this.code.clear();
      return false;
    }
    const { interp, s } = this;
    const source = {
      s,
      forms: interp.forms,
      handlerOf: (r: number) => this.code.handlerOf(r),
      find: (from: number, lo: number, hi: number) => this.code.find(from, lo, hi),
      isWarm: (r: number) => this.budget.waits(r) || this.code.heat(r) * WARM_FRACTION >= this.code.threshold,
    };
    const blocks = collectRegion(source, rec);
    if (blocks.length === 0) return false;
    const bytes = compileRegion(s, blocks, interp.table.length, code64);
    const module = new WebAssembly.Module(bytes as BufferSource);
    const instance = new WebAssembly.Instance(module, {
      env: { ...interp.runtime, memory: this.memory, table: interp.table },
    });
    interp.table.set(this.#first + slot, instance.exports.f as () => void);
    s.view.setUint16(rec + REC.HANDLER, this.#first + slot, true);
    for (const b of blocks) if (b.rec !== rec) this.code.recount(b.rec);
    this.bytes += bytes.length;
    this.regions++;
    return true;
  }

  /** A block's compiled code, if it has any, will not be entered again. */
  release(handler: number): void {
    const slot = handler - this.#first;
    if (slot >= 0) this.#free.push(slot);
  }

  /** All decoded code is gone. */
  reset(): void {
    this.budget.forget();
    this.#free.length = 0;
    this.#next = 0;
    this.bytes = 0;
  }
}
