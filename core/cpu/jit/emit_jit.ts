/**
 * The compiler's `Emit`: record fields are constants, general registers and lazy flags live in WebAssembly locals.
 *
 * Whatever is in a local is written to the state ("spilled") on every path that leaves the function, and nowhere else.
 * Flag updates are kept as their operands until somebody needs them.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Code } from "../../wasm/code.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { FuncBody, I32, I64 } from "../../wasm/module.ts";
import { Emit, type Runtime } from "../emit.ts";
import type { AddrKind, Operand } from "../form.ts";
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

/** What an earlier pass found out about the region. */
export interface RegisterUse {
  /** Bit n: register n is read or written. */
  used: number;
  /** Bit n: register n is written. */
  written: number;
  /** Flags are written. */
  flags: boolean;
}

/** Emits one region. */
export class JitEmit extends Emit {
  readonly use: RegisterUse = { used: 0, written: 0, flags: false };
  #regs: (Expr | null)[] = new Array(16).fill(null);
  readonly #res: Expr;
  readonly #aux: Expr;
  readonly #tlb: Expr;
  #pending: Pending | null = null;
  /** Address of the record being compiled. */
  #at = 0;
  /** What `jumpLinked` does here. */
  onLink: (slot: number, rip: Expr) => void = () => {};

  /** @param known register use found by an earlier pass over the same code; null in that pass */
  constructor(rt: Runtime, readonly s: CpuState, readonly known: RegisterUse | null) {
    super(rt, new FuncBody([I32, I32]));
    this.#res = X.local(I64, this.body.local(I64));
    this.#aux = X.local(I32, this.body.local(I32));
    this.#tlb = X.local(I32, this.body.local(I32));
  }

  /** Moves to an instruction. */
  at(rec: number): void {
    this.#at = rec;
    this.rec = X.c32(rec);
  }

  /** Loads what the region uses from the state; goes in front of the body. */
  prologue(into: Code): void {
    const body = this.body.code;
    const save = { bytes: body.bytes, length: body.length };
    body.bytes = into.bytes;
    body.length = into.length;
    for (let n = 0; n < 16; n++) {
      if (this.#regs[n]) this.set(this.#regs[n]!, X.load(64, X.c32(0), L.GPR + n * 8));
    }
    this.set(this.#res, X.load(64, X.c32(0), L.LF_RES));
    this.set(this.#aux, X.load(32, X.c32(0), L.LF_AUX));
    this.set(this.#tlb, X.load(32, X.c32(0), L.TLB_BASE));
    into.bytes = body.bytes;
    into.length = body.length;
    body.bytes = save.bytes;
    body.length = save.length;
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
    this.use.used |= 1 << n;
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
    this.use.written |= 1 << n;
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
      this.use.flags = true;
      this.settleFlags();
      return this.set(offset === L.LF_RES ? this.#res : this.#aux, value);
    }
    super.setState(size, offset, value);
  }
  override deferFlags(kind: FlagKind, size: number, a: Expr, b: Expr, r: Expr): boolean {
    this.use.flags = true;
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
  override unlikely(cond: Expr, then: () => void): void {
    this.rawIf(cond, then);
  }
  /** A conditional whose arms leave the block. */
  fork(cond: Expr, then: () => void): void {
    const p = this.#pending;
    this.rawIf(cond, then);
    this.#pending = p;
  }
  override next(): void {}
  override leave(reason: number): void {
    this.spill();
    super.leave(reason);
  }
  override jumpTo(rip: Expr): void {
    const target = this.let(rip);
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
    const written = this.known ? this.known.written : 0xffff & this.use.written;
    for (let n = 0; n < 16; n++) {
      if (written >> n & 1) this.store(64, X.c32(0), this.#reg(n), L.GPR + n * 8);
    }
    if (this.known && !this.known.flags) return;
    let res = this.#res, aux = this.#aux;
    const p = this.#pending;
    if (p !== null) ({ res, aux } = lazyWords(this, p.kind, p.size, p.a, p.b, p.r));
    this.store(64, X.c32(0), res, L.LF_RES);
    this.store(32, X.c32(0), aux, L.LF_AUX);
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
