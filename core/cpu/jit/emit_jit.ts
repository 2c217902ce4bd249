/**
 * The compiler's `Emit`: record fields are constants, general registers and lazy flags live in WebAssembly locals.
 *
 * Whatever is in a local is written to the state ("spilled") on every path that leaves the function, and nowhere else.
 * Flag updates are kept as their operands until somebody needs them.
 *
 * @module
 */
import * as L from "../../layout.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { FuncBody, I32, I64 } from "../../wasm/module.ts";
import { Emit, type Runtime } from "../emit.ts";
import type { AddrKind, Operand } from "../form.ts";
import { jumpCacheOffset } from "../code_cache.ts";
import { REC } from "../insn.ts";
import { type FlagKind, lazyWords, signExtend, truncate } from "../semantics/flags.ts";
import { type CpuState, Seg } from "../state.ts";

/** A flag update not yet made. */
interface Pending {
  kind: FlagKind;
  size: number;
  a: Expr;
  b: Expr;
  r: Expr;
}

/** A place in the body where registers (and, with `flags`, the flag locals) are to be written to the state. */
interface SpillPoint {
  /** Offset in the body's code. */
  at: number;
  flags: boolean;
}

/** Functions a region's module defines for its own cold paths. */
export interface ColdPaths {
  /** Function that stores the lazy words of a flag update to the state: (a, b, r) -> (). */
  storeFlags(kind: FlagKind, size: number): number;
}

/** Emits one region. */
export class JitEmit extends Emit {
  /** Bit n: register n is written somewhere in the region. */
  #written = 0;
  /** Flags are written somewhere in the region. */
  #flagsWritten = false;
  readonly #spills: SpillPoint[] = [];
  #regs: (Expr | null)[] = new Array(16).fill(null);
  readonly #res: Expr;
  readonly #aux: Expr;
  readonly #tlb: Expr;
  readonly #jumpCache: Expr;
  #pending: Pending | null = null;
  /** Address of the record being compiled. */
  #at = 0;
  /** What `jumpLinked` does here. */
  onLink: (slot: number, rip: Expr) => void = () => {};

  constructor(rt: Runtime, readonly s: CpuState, readonly cold: ColdPaths) {
    super(rt, new FuncBody([I32, I32]));
    this.#res = X.local(I64, this.body.local(I64));
    this.#aux = X.local(I32, this.body.local(I32));
    this.#tlb = X.local(I32, this.body.local(I32));
    this.#jumpCache = X.local(I32, this.body.local(I32));
  }

  /** Moves to an instruction. */
  at(rec: number): void {
    this.#at = rec;
    this.rec = X.c32(rec);
  }

  /**
   * The whole function: what the region uses is loaded from the state, then the body, with each spill point filled in
   * now that it is known which registers the region writes.
   * @param spill index of the function that stores what `spillTypes` says
   */
  finish(spillRegisters: number, spillAll: number): void {
    const { body } = this, code = body.code.view().slice(), hints = body.hints;
    body.code.length = 0;
    body.hints = [];
    let hint = 0;
    const copy = (start: number, end: number) => {
      const moved = body.code.length - start;
      for (; hint < hints.length && hints[hint].at < end; hint++) {
        body.hints.push({ at: hints[hint].at + moved, likely: hints[hint].likely });
      }
      body.code.raw(code.subarray(start, end));
    };
    for (let n = 0; n < 16; n++) {
      if (this.#regs[n]) this.set(this.#regs[n]!, X.load(64, X.c32(0), L.GPR + n * 8));
    }
    this.set(this.#res, X.load(64, X.c32(0), L.LF_RES));
    this.set(this.#aux, X.load(32, X.c32(0), L.LF_AUX));
    this.set(this.#tlb, X.load(32, X.c32(0), L.TLB_BASE));
    this.set(this.#jumpCache, X.load(32, X.c32(0), L.JC_BASE));
    let from = 0;
    for (const p of this.#spills) {
      copy(from, p.at);
      from = p.at;
      const flags = p.flags && this.#flagsWritten;
      if (this.#written === 0 && !flags) continue;
      for (let n = 0; n < 16; n++) if (this.#written >> n & 1) this.push(this.#regs[n]!);
      if (flags) {
        this.push(this.#res);
        this.push(this.#aux);
      }
      this.call(flags ? spillAll : spillRegisters);
    }
    copy(from, code.length);
  }
  /** Registers the region writes, ascending: parameters of the spill functions. */
  get written(): number[] {
    return Array.from({ length: 16 }, (_, n) => n).filter((n) => this.#written >> n & 1);
  }

  // ---- the record ----

  override field8(off: number): Expr {
    return X.c32(this.s.u8[this.#at + off]);
  }
  override field32(off: number): Expr {
    return X.c32(this.s.view.getInt32(this.#at + off, true));
  }
  override field64(off: number): Expr {
    return X.c64w(this.s.view.getInt32(this.#at + off, true), this.s.view.getInt32(this.#at + off + 4, true));
  }
  override imm(size: number): Expr {
    if (size === 64) return this.field64(REC.IMM);
    if (size === 32) return this.field32(REC.IMM);
    const v = this.s.u32[(this.#at + REC.IMM) >> 2];
    return X.c32(size === 16 ? v & 0xffff : v & 0xff);
  }
  override rip(): Expr {
    return X.c64w(
      this.s.view.getInt32(this.#at + REC.RIP_LO, true),
      this.s.view.getInt32(this.#at + REC.RIP_HI, true),
    );
  }
  override nextRip(): Expr {
    const rip = this.s.i32[(this.#at + REC.RIP_HI) >> 2] * 0x1_0000_0000 +
      this.s.u32[(this.#at + REC.RIP_LO) >> 2];
    return X.c64(rip + this.s.u8[this.#at + REC.LEN]);
  }

  // ---- registers ----

  /** Local of a register. */
  #reg(n: number): Expr {
    return this.#regs[n] ??= X.local(I64, this.body.local(I64));
  }
  #isMutable(e: Expr): boolean {
    return e.op === 0x20 && (e === this.#res || e === this.#aux || this.#regs.includes(e));
  }
  override let(e: Expr): Expr {
    return this.#isMutable(e) ? this.mutable(e) : super.let(e);
  }
  #get(byteOffset: number, size: number): Expr {
    if (byteOffset === L.ZERO) return size === 64 ? X.c64(0) : X.c32(0);
    const r = this.#reg(byteOffset >> 3);
    if (size === 64) return r;
    const w = X.wrap(r);
    if (size === 32) return w;
    if (size === 16) return X.and(w, X.c32(0xffff));
    return byteOffset & 1 ? X.and(X.shrU(w, X.c32(8)), X.c32(0xff)) : X.and(w, X.c32(0xff));
  }
  #put(byteOffset: number, size: number, v: Expr): void {
    const n = byteOffset >> 3, r = this.#reg(n);
    this.#written |= 1 << n;
    if (size === 64) return this.set(r, v);
    if (size === 32) return this.set(r, X.extU(v));
    const shift = byteOffset & 1 ? 8 : 0, mask = size === 16 ? 0xffff : 0xff;
    const field = X.shl(X.and(X.extU(v), X.c64(mask)), X.c64(shift));
    this.set(r, X.or(X.and(r, X.not(X.c64(mask << shift))), field));
  }
  override regField(at: number): Expr {
    return this.#get(this.s.u8[this.#at + at], 64);
  }
  override gpr(n: number, size: number): Expr {
    return this.#get(n * 8, size);
  }
  override setGpr(n: number, size: number, v: Expr): void {
    this.#put(n * 8, size, v);
  }
  override read(o: Operand): Expr {
    if (o.k === "reg") return this.let(this.#get(this.s.u8[this.#at + o.at], o.size));
    if (o.k === "gpr") return this.let(this.#get(o.n, o.size));
    return super.read(o);
  }
  override write(o: Operand, v: Expr): void {
    if (o.k === "reg") return this.#put(this.s.u8[this.#at + o.at], o.size, v);
    if (o.k === "gpr") return this.#put(o.n, o.size, v);
    super.write(o, v);
  }
  /** General addressing is compiled for 64-bit code only: FS and GS have bases, nothing has limits. */
  override ea(kind: AddrKind, sizeFlags: number): Expr {
    if (kind !== "G") return super.ea(kind, sizeFlags);
    const bits = this.s.u8[this.#at + REC.ADDRSIZE] * 8, seg = this.s.u8[this.#at + REC.SEG];
    const off = bits === 64 ? this.offset() : X.extU(X.wrap(this.offset()));
    return this.let(seg >= Seg.FS * L.SEG_SIZE ? X.add(off, this.state(64, L.SEG + seg + L.SEG_BASE)) : off);
  }
  override offset(): Expr {
    const scaled = X.shl(this.regField(REC.INDEX), this.#constant64(REC.SCALE));
    const base = this.regField(REC.BASE), disp = this.field64(REC.DISP);
    const sum = base.is(0) ? disp : X.add(base, disp);
    return scaled.is(0) || this.s.u8[this.#at + REC.INDEX] === L.ZERO ? sum : X.add(sum, scaled);
  }
  #constant64(off: number): Expr {
    return X.c64(this.s.u8[this.#at + off]);
  }
  protected override tlbBase(): Expr {
    return this.#tlb;
  }

  // ---- flags ----

  override state(size: number, offset: number): Expr {
    if (offset === L.LF_RES) {
      this.settleFlags();
      return size === 64 ? this.#res : X.wrap(this.#res);
    }
    if (offset === L.LF_AUX) {
      this.settleFlags();
      return this.#aux;
    }
    return super.state(size, offset);
  }
  override setState(size: number, offset: number, value: Expr): void {
    if (offset === L.LF_RES || offset === L.LF_AUX) {
      this.#flagsWritten = true;
      this.settleFlags();
      return this.set(offset === L.LF_RES ? this.#res : this.#aux, value);
    }
    super.setState(size, offset, value);
  }
  override deferFlags(kind: FlagKind, size: number, a: Expr, b: Expr, r: Expr): boolean {
    this.#flagsWritten = true;
    this.#pending = { kind, size, a, b, r };
    return true;
  }
  /** Makes the pending flag update in the locals. */
  settleFlags(): void {
    const p = this.#pending;
    if (p === null) return;
    this.#pending = null;
    const w = lazyWords(this, p.kind, p.size, p.a, p.b, p.r);
    this.set(this.#res, w.res);
    this.set(this.#aux, w.aux);
  }
  /** Forgets the pending update: whatever follows sets the flags before anything can see them. */
  dropFlags(): void {
    this.#pending = null;
  }
  override knownCondition(cc: number): Expr | null {
    const p = this.#pending;
    if (p === null) return null;
    const s = (v: Expr) => p.size >= 32 ? v : X.wrap(signExtend(p.size, v));
    const u = (v: Expr) => p.size >= 32 ? v : truncate(p.size, v);
    const zero = X.cLike(p.r, 0);
    if (p.kind === "sub") {
      switch (cc) {
        case 1:
          return X.ltU(u(p.a), u(p.b));
        case 2:
          return X.eq(u(p.a), u(p.b));
        case 3:
          return X.leU(u(p.a), u(p.b));
        case 6:
          return X.ltS(s(p.a), s(p.b));
        case 7:
          return X.leS(s(p.a), s(p.b));
      }
    } else if (p.kind === "logic") {
      if (cc === 0 || cc === 1) return X.c32(0);
      if (cc === 3) return X.eqz(u(p.r));
      if (cc === 6) return X.ltS(s(p.r), zero);
      if (cc === 7) return X.leS(s(p.r), zero);
    } else if (p.kind === "add" && cc === 1) return X.ltU(u(p.r), u(p.a));
    if (cc === 2) return X.eqz(u(p.r));
    if (cc === 4) return X.ltS(s(p.r), zero);
    return null;
  }

  // ---- control ----

  override if(cond: Expr, then: () => void, otherwise?: () => void): void {
    if (cond.op === 0x41) return super.if(cond, then, otherwise);
    const c = this.let(cond);
    this.settleFlags();
    const settle = (f: () => void) => () => {
      f();
      this.settleFlags();
    };
    super.if(c, settle(then), otherwise && settle(otherwise));
  }
  /** A conditional whose arms leave the block. */
  fork(cond: Expr, then: () => void, likely?: boolean): void {
    const p = this.#pending;
    this.rawIf(cond, then, undefined, likely);
    this.#pending = p;
  }
  override next(): void {}
  override leave(reason: number): void {
    this.spill();
    super.leave(reason);
  }
  /** What `jumpTo` does first, with the target in a local. */
  onJump: ((target: Expr) => void) | null = null;
  override jumpTo(rip: Expr): void {
    const target = this.let(rip);
    this.onJump?.(target);
    this.spill();
    super.jumpTo(target);
  }
  override jumpLinked(slot: number, rip: Expr): void {
    this.onLink(slot, rip);
  }
  /** Leaves through the record's link word. */
  leaveLinked(slot: number, rip: Expr): void {
    this.spill();
    super.jumpLinked(slot, rip);
  }
  /**
   * True (i32) while the jump cache maps a RIP to a block and the block is as it was: then it may be continued at although
   * it lies in another page.
   */
  stillThere(rec: number, count: number, mode: number): Expr {
    const lo = this.s.view.getInt32(rec + REC.RIP_LO, true),
      hi = this.s.view.getInt32(rec + REC.RIP_HI, true);
    const at = jumpCacheOffset(lo, hi), jc = this.#jumpCache;
    const entry = X.and(
      X.eq(X.load(64, jc, at), X.c64w(lo, hi)),
      X.eq(X.load(64, jc, at + 8), X.c64w(rec, mode)),
    );
    return X.and(entry, X.eq(X.load(32, X.c32(rec - 4)), X.c32(count)));
  }
  /** Leaves because the budget does not cover the block at `rec`. */
  leaveForBudget(rec: number): void {
    this.spill();
    this.tailCall(this.rt.outOfBudget, X.c32(rec), this.bud);
  }
  /** Goes on with the interpreter at the current record. */
  interpret(handler: number): void {
    this.spill();
    this.continueAs(X.c32(handler));
  }
  protected override beforeSlow(): void {
    this.spill();
  }

  /** Writes locals to the state; what is pending stays pending. */
  spill(): void {
    const p = this.#pending;
    if (p !== null) this.call(this.cold.storeFlags(p.kind, p.size), p.a, p.b, p.r);
    this.#spills.push({ at: this.body.code.length, flags: p === null });
  }

  // ---- scopes of the region ----

  /** Opens a block (branching to it goes to its end) or a loop (to its start); returns its label. */
  open(loop: boolean): number {
    this.body.code.raw([loop ? 0x03 : 0x02, 0x40]);
    return ++this.depth;
  }
  /** Closes the innermost scope. */
  close(): void {
    this.body.code.u8(0x0b);
    this.depth--;
  }
  /** Branches to a label. */
  goTo(label: number): void {
    this.branch(label);
  }
}
