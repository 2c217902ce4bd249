/**
 * The compiler's `Emit`, first part: record fields are constants, general registers live in WebAssembly locals.
 *
 * Outside 64-bit mode registers are 32-bit locals: the upper halves are zero there (`Cpu.updateMode`). Whatever is in a
 * local is written to the state ("spilled") on every path that leaves the function, and nowhere else.
 *
 * @module
 */
import * as L from "../../layout.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { FuncBody, I32, I64, type ValType } from "../../wasm/module.ts";
import { Emit, type Runtime } from "../emit.ts";
import type { Operand } from "../form.ts";
import { REC } from "../insn.ts";
import type { CpuState } from "../state.ts";
import type { ColdPaths } from "./cold_paths.ts";

/** A place in the body where registers (and, with `flags`, the flag locals) are to be written to the state. */
interface SpillPoint {
  /** Offset in the body's code. */
  at: number;
  flags: boolean;
}

/** Emission with registers in locals. */
export class RegisterEmit extends Emit {
  /** Type of registers: I64 in 64-bit code, else I32. */
  readonly wide: ValType;
  /** Address of the record being compiled. */
  protected current = 0;
  /** Flags are written somewhere in the region. */
  protected flagsWritten = false;
  /** The lazy flag words. */
  protected readonly res: Expr;
  protected readonly aux: Expr;
  readonly #regs: (Expr | null)[] = new Array(16).fill(null);
  /** Bit n: register n is written somewhere in the region. */
  #written = 0;
  readonly #spills: SpillPoint[] = [];
  /** Locals that start with something else than zero. */
  readonly #starts: { local: Expr; value: Expr }[] = [];

  constructor(rt: Runtime, readonly s: CpuState, readonly cold: ColdPaths, readonly code64: boolean) {
    super(rt, new FuncBody([I32, I32]));
    this.wide = code64 ? I64 : I32;
    this.res = this.startingWith(X.load(64, X.c32(0), L.LF_RES));
    this.aux = this.startingWith(X.load(32, X.c32(0), L.LF_AUX));
  }

  /** Moves to an instruction. */
  at(rec: number): void {
    this.current = rec;
    this.rec = X.c32(rec);
  }

  /** A local that has a value (from constants and the state) when the function starts. */
  protected startingWith(value: Expr): Expr {
    const local = this.fresh(value.t);
    this.#starts.push({ local, value });
    return local;
  }

  /**
   * The whole function: what the region uses is loaded from the state, then the body, with each spill point filled in
   * now that it is known which registers the region writes.
   */
  finish(): void {
    const { body, cold } = this, code = body.code.view().slice(), hints = body.hints;
    const written = this.#regs.flatMap((r, n) => r && this.#written >> n & 1 ? [n] : []);
    body.code.length = 0;
    body.hints = [];
    this.#regs.forEach((r, n) => r && this.set(r, X.load(this.code64 ? 64 : 32, X.c32(0), L.GPR + n * 8)));
    for (const { local, value } of this.#starts) this.set(local, value);
    let hint = 0, from = 0;
    const copy = (end: number) => {
      const moved = body.code.length - from;
      for (; hint < hints.length && hints[hint].at < end; hint++) {
        body.hints.push({ at: hints[hint].at + moved, likely: hints[hint].likely });
      }
      body.code.raw(code.subarray(from, end));
      from = end;
    };
    for (const p of this.#spills) {
      copy(p.at);
      const flags = p.flags && this.flagsWritten;
      if (written.length === 0 && !flags) continue;
      for (const n of written) this.push(this.#regs[n]!);
      if (flags) {
        this.push(this.res);
        this.push(this.aux);
      }
      this.call(cold.spill(written, this.wide, flags));
    }
    copy(code.length);
  }

  /** Notes that locals are to be written to the state here. */
  protected spillPoint(flags: boolean): void {
    this.#spills.push({ at: this.body.code.length, flags });
  }

  // ---- the record ----

  override field8(off: number): Expr {
    return X.c32(this.s.u8[this.current + off]);
  }
  override field32(off: number): Expr {
    return X.c32(this.s.view.getInt32(this.current + off, true));
  }
  override field64(off: number): Expr {
    const { view } = this.s, at = this.current + off;
    return X.c64w(view.getInt32(at, true), view.getInt32(at + 4, true));
  }
  override imm(size: number): Expr {
    if (size === 64) return this.field64(REC.IMM);
    if (size === 32) return this.field32(REC.IMM);
    const v = this.s.u32[(this.current + REC.IMM) >> 2];
    return X.c32(size === 16 ? v & 0xffff : v & 0xff);
  }
  override rip(): Expr {
    const { view } = this.s, at = this.current;
    return X.c64w(view.getInt32(at + REC.RIP_LO, true), view.getInt32(at + REC.RIP_HI, true));
  }
  override nextRip(): Expr {
    const { i32, u32, u8 } = this.s, at = this.current;
    const rip = i32[(at + REC.RIP_HI) >> 2] * 0x1_0000_0000 + u32[(at + REC.RIP_LO) >> 2];
    return X.c64(rip + u8[at + REC.LEN]);
  }

  /** The mode is the region's, and no region runs alone. */
  override state(size: number, offset: number): Expr {
    if (offset === L.MODE) return X.c32(this.s.i32[L.MODE >> 2]);
    if (offset === L.ALONE) return X.c32(0);
    return super.state(size, offset);
  }

  // ---- registers ----

  /** Local of a register. */
  #reg(n: number): Expr {
    return this.#regs[n] ??= X.local(this.wide, this.body.local(this.wide));
  }
  /** True for locals that change. */
  protected isMutable(e: Expr): boolean {
    return e.op === 0x20 && (e === this.res || e === this.aux || this.#regs.includes(e));
  }
  override let(e: Expr): Expr {
    return this.isMutable(e) ? this.mutable(e) : super.let(e);
  }
  #get(byteOffset: number, size: number): Expr {
    if (byteOffset === L.ZERO) return size === 64 ? X.c64(0) : X.c32(0);
    const r = this.#reg(byteOffset >> 3);
    if (size === 64) return X.extU(r);
    const w = X.wrap(r);
    if (size === 32) return w;
    if (size === 16) return X.and(w, X.c32(0xffff));
    return byteOffset & 1 ? X.and(X.shrU(w, X.c32(8)), X.c32(0xff)) : X.and(w, X.c32(0xff));
  }
  #put(byteOffset: number, size: number, v: Expr): void {
    const n = byteOffset >> 3, r = this.#reg(n);
    this.#written |= 1 << n;
    if (size >= 32) return this.set(r, this.code64 ? X.extU(v) : X.wrap(v));
    const shift = byteOffset & 1 ? 8 : 0, mask = size === 16 ? 0xffff : 0xff;
    const value = this.code64 ? X.extU(v) : v;
    const field = X.shl(X.and(value, X.cLike(r, mask)), X.cLike(r, shift));
    this.set(r, X.or(X.and(r, X.not(X.cLike(r, mask << shift))), field));
  }
  override regField(at: number): Expr {
    return this.#get(this.s.u8[this.current + at], 64);
  }
  override gpr(n: number, size: number): Expr {
    return this.#get(n * 8, size);
  }
  override setGpr(n: number, size: number, v: Expr): void {
    this.#put(n * 8, size, v);
  }
  override read(o: Operand): Expr {
    if (o.k === "reg") return this.let(this.#get(this.s.u8[this.current + o.at], o.size));
    if (o.k === "gpr") return this.let(this.#get(o.n, o.size));
    return super.read(o);
  }
  override write(o: Operand, v: Expr): void {
    if (o.k === "reg") return this.#put(this.s.u8[this.current + o.at], o.size, v);
    if (o.k === "gpr") return this.#put(o.n, o.size, v);
    super.write(o, v);
  }
}
