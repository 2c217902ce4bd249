/**
 * The small language in which instruction semantics are written.
 *
 * A semantic function is handed an `Emit` and the instruction's `Form`; what it emits is the body of one WebAssembly
 * function (interpreter) or part of a region (JIT). Operands come from the instruction record: as loads from the
 * record (interpreter), or as constants (an `Emit` whose `field*` methods are overridden).
 *
 * @module
 */
import * as L from "../layout.ts";
import type { FuncBody } from "../wasm/module.ts";
import { F32, F64, I32, I64, V128, type ValType } from "../wasm/module.ts";
import * as X from "../wasm/expr.ts";
import { emitExpr, type Expr } from "../wasm/expr.ts";
import { REC, REC_SIZE } from "./insn.ts";
import { Leave } from "./leave.ts";
import type { AddrKind, Form, Operand } from "./form.ts";
import type { FlagKind } from "./semantics/flags.ts";

/** A function that semantics share within a module, made when it is first wanted. */
export interface Helper {
  /** Its identity. */
  key: string;
  params: ValType[];
  results: ValType[];
  fill(e: Emit, p: Expr[]): void;
}

/** Indexes of the functions every engine module shares. */
export interface Runtime {
  /** Index of a helper. */
  helper(h: Helper): number;
  /** (la i64, sizeFlags i32, rec i32, bud i32) -> host offset, 0: left. */
  slowLoad: number;
  /** As `slowLoad`, for stores. */
  slowStore: number;
  /** () -> (); completes a store that went to SLOW_DATA. */
  commitStore: number;
  /** (rip i64, bud i32, slot i32) -> (); continues at an address: jump cache or dispatcher. */
  goto: number;
  /** (rec i32, bud i32) -> (); the block at `rec` does not fit the budget (already subtracted). */
  outOfBudget: number;
  /** (rec i32, bud i32) -> (); what compiled code ends in when a slow path answered 0. */
  left: number;
  /** (rec i32, bud i32) -> (); interprets a block (already subtracted) because compiled code might outrun the budget. */
  short: number;
  /** (segment offset i32, offset i64, sizeFlags i32) -> linear i64; a magic non-canonical address on violation. */
  segLinear: number;
  /** (rec i32, sizeFlags i32) -> linear i64; any address size and segment. */
  generalEa: number;
  /** (register offset i32, address size i32) -> masked register i64. */
  getIndex: number;
  /** (register offset i32, address size i32, delta i32) -> (); wraps and merges as the address size asks. */
  addIndex: number;
  /** Type of handlers: (rec i32, bud i32) -> (). */
  handlerType: number;
}

/** Bits added to an access size for the slow path; the low byte is the size in bytes. */
export const SF_RMW = 0x100, SF_STACK = 0x200, SF_WRITE = 0x400, SF_REC_SEG = 0x800, SF_COMPILED = 0x1000;
/** The same: nothing is accessed. */
export const SF_PROBE = 0x2000;

/** Arguments of every handler. */
export const P_REC = 0, P_BUD = 1;

/** Emits the code of one function. */
export class Emit {
  /** Address of the instruction's record. */
  rec: Expr = X.local(I32, P_REC);
  /** Instruction budget left, the current block paid for. */
  readonly bud: Expr = X.local(I32, P_BUD);
  /** Open control constructs, for branch depths. */
  protected depth = 0;

  constructor(readonly rt: Runtime, readonly body: FuncBody) {}

  // ---- raw emission ----

  /** Emits an expression, leaving its value on the stack. */
  push(e: Expr): void {
    emitExpr(this.body.code, e);
  }
  /** Binds an expression to a fresh local (constants and locals are returned as they are). */
  let(e: Expr): Expr {
    if (e.isConst || e.op === 0x20) return e;
    return this.mutable(e);
  }
  /** Binds an expression to a fresh local that may be `set` later. */
  mutable(e: Expr): Expr {
    const i = this.body.local(e.t);
    this.push(e);
    this.body.code.u8(0x21);
    this.body.code.u32(i);
    return X.local(e.t, i);
  }
  /** A fresh local, zero. */
  fresh(t: ValType): Expr {
    return X.local(t, this.body.local(t));
  }
  /** Assigns a local. */
  set(l: Expr, e: Expr): void {
    this.push(e);
    this.body.code.u8(0x21);
    this.body.code.u32(l.lo);
  }
  /** Stores `size` bits of a value at address + offset of the WebAssembly memory. */
  store(size: number, addr: Expr, value: Expr, offset = 0): void {
    this.push(addr);
    this.push(value);
    const o = X.storeOp(size, value.t);
    if (o >= 0xfd00) {
      this.body.code.u8(0xfd);
      this.body.code.u32(o - 0xfd00);
    } else this.body.code.u8(o);
    this.body.code.u8(0);
    this.body.code.u32(offset);
  }
  /** Stores to a state field. */
  setState(size: number, offset: number, value: Expr): void {
    this.store(size, X.c32(0), value, offset);
  }
  /** Reads a state field. */
  state(size: number, offset: number): Expr {
    return X.load(size, X.c32(0), offset);
  }
  /** Structured conditional. */
  if(cond: Expr, then: () => void, otherwise?: () => void): void {
    this.rawIf(cond, then, otherwise);
  }
  /** Structured conditional without regard to what a subclass keeps outside the state. */
  protected rawIf(cond: Expr, then: () => void, otherwise?: () => void, likely?: boolean): void {
    if (cond.op === 0x41) {
      if (cond.lo) then();
      else otherwise?.();
      return;
    }
    this.push(cond);
    if (likely !== undefined) this.body.hint(likely);
    this.body.code.raw([0x04, 0x40]);
    this.depth++;
    then();
    if (otherwise) {
      this.body.code.u8(0x05);
      otherwise();
    }
    this.body.code.u8(0x0b);
    this.depth--;
  }
  /** As `if`, for a path that leaves the function. */
  unlikely(cond: Expr, then: () => void): void {
    this.rawIf(cond, then, undefined, false);
  }
  /** A loop; `again(cond?)` branches back to its start. Falling off the end leaves it. */
  loop(fn: (again: (cond?: Expr) => void) => void): void {
    this.body.code.raw([0x03, 0x40]);
    const at = ++this.depth;
    fn((cond) => this.branch(at, cond));
    this.body.code.u8(0x0b);
    this.depth--;
  }
  /** A block; `out(cond?)` leaves it. */
  block(fn: (out: (cond?: Expr) => void) => void): void {
    this.body.code.raw([0x02, 0x40]);
    const at = ++this.depth;
    fn((cond) => this.branch(at, cond));
    this.body.code.u8(0x0b);
    this.depth--;
  }
  /** Branches to the construct that was opened at depth `at`. */
  protected branch(at: number, cond?: Expr): void {
    if (cond) this.push(cond);
    this.body.code.u8(cond ? 0x0d : 0x0c);
    this.body.code.u32(this.depth - at);
  }
  /** Returns from the function. */
  ret(): void {
    this.body.code.u8(0x0f);
  }
  /** Calls a function without result. */
  call(func: number, ...args: Expr[]): void {
    for (const a of args) this.push(a);
    this.body.code.u8(0x10);
    this.body.code.u32(func);
  }
  /** Tail-calls a function. */
  tailCall(func: number, ...args: Expr[]): void {
    for (const a of args) this.push(a);
    this.body.code.u8(0x12);
    this.body.code.u32(func);
  }

  /** Index of a helper function. */
  helper(h: Helper): number {
    return this.rt.helper(h);
  }

  // ---- the record ----

  /** A load from the record. */
  protected recordLoad(size: number, off: number): Expr {
    return X.load(size, this.rec, off);
  }
  /** An unsigned byte of the record. */
  field8(off: number): Expr {
    return this.recordLoad(8, off);
  }
  /** An unsigned 16-bit field of the record. */
  field16(off: number): Expr {
    return this.recordLoad(16, off);
  }
  /** A 32-bit field of the record. */
  field32(off: number): Expr {
    return this.recordLoad(32, off);
  }
  /** A 64-bit field of the record. */
  field64(off: number): Expr {
    return this.recordLoad(64, off);
  }
  /** RIP of this instruction. */
  rip(): Expr {
    return X.or(X.extU(this.field32(REC.RIP_LO)), X.shl(X.extU(this.field32(REC.RIP_HI)), X.c64(32)));
  }
  /** RIP of the next instruction (in narrower modes the dispatcher wraps it). */
  nextRip(): Expr {
    return X.add(this.rip(), X.extU(this.field8(REC.LEN)));
  }

  // ---- registers ----

  /** The 64-bit register named by a record field (`REC.BASE`, `REC.INDEX`). */
  regField(at: number): Expr {
    return X.load(64, this.field8(at), L.GPR);
  }
  /** Reads a fixed general register at a size in bits (not high byte registers). */
  gpr(n: number, size: number): Expr {
    return X.load(size, X.c32(0), L.GPR + n * 8);
  }
  /** Writes a fixed general register at a size in bits; 32-bit writes zero the upper half. */
  setGpr(n: number, size: number, v: Expr): void {
    this.#putReg(X.c32(0), L.GPR + n * 8, size, v);
  }
  #putReg(addr: Expr, offset: number, size: number, v: Expr): void {
    if (size === 32) this.store(64, addr, X.extU(v), offset);
    else this.store(size, addr, v, offset);
  }

  // ---- operands ----

  /** Value of an operand, bound to a local; sizes below 64 are zero-extended i32. Memory operands are loaded. */
  read(o: Operand): Expr {
    switch (o.k) {
      case "reg":
        return this.let(X.load(o.size, this.field8(o.at), L.GPR));
      case "gpr":
        return this.let(X.load(o.size, X.c32(0), L.GPR + o.n));
      case "imm":
        return this.let(this.imm(o.size));
      case "xmm":
        return this.let(X.load(o.size, this.field8(o.at), L.XMM));
      case "mm":
        return this.let(X.load(o.size, this.field8(o.at), L.FPR));
      case "mem":
        return this.memRead(o.size, this.ea(o.addr, o.size >> 3), SF_REC_SEG);
    }
  }
  /** The immediate truncated to a size. */
  imm(size: number): Expr {
    if (size === 64) return this.field64(REC.IMM);
    return size === 32
      ? this.field32(REC.IMM)
      : size === 16
      ? this.recordLoad(16, REC.IMM)
      : this.field8(REC.IMM);
  }
  /** Writes an operand. */
  write(o: Operand, v: Expr): void {
    switch (o.k) {
      case "reg":
        return this.#putReg(this.field8(o.at), L.GPR, o.size, v);
      case "gpr":
        return this.#putReg(X.c32(0), L.GPR + o.n, o.size, v);
      case "mem":
        return this.memWrite(o.size, this.ea(o.addr, o.size >> 3 | SF_WRITE), v, SF_REC_SEG);
      case "xmm":
        return this.store(o.size, this.field8(o.at), v, L.XMM);
      case "mm":
        return this.store(o.size, this.field8(o.at), v, L.FPR);
      case "imm":
        throw new Error("Cannot write an immediate operand");
    }
  }
  /** Read-modify-write of an operand; `after` (flags, second register) runs when the store is done. */
  modify(o: Operand, fn: (old: Expr) => Expr, after?: () => void): void {
    if (o.k === "mem") {
      this.memModify(o.size, this.ea(o.addr, o.size >> 3 | SF_WRITE | SF_RMW), fn, SF_REC_SEG);
    } else this.write(o, fn(this.read(o)));
    after?.();
  }

  // ---- flags ----

  /** Takes over a flag update to be made later, if this engine can; see `semantics/flags.ts`. */
  deferFlags(_kind: FlagKind, _size: number, _a: Expr, _b: Expr, _r: Expr): boolean {
    return false;
  }
  /** A condition (code >> 1, as 0 or 1) from a flag update that was taken over, or null. */
  knownCondition(_cc: number): Expr | null {
    return null;
  }

  // ---- looking on ----

  /** Called before anything of an instruction is emitted. For instrumented engines, as are the two that follow. */
  begin(_f: Form): void {}
  /** Called after a load or store of `size` bits; the bytes are at `host`, which may be `SLOW_DATA`. */
  protected loaded(_size: number, _la: Expr, _host: Expr): void {}
  /** @see loaded */
  protected stored(_size: number, _la: Expr, _host: Expr): void {}
  /** False: every element of a repeated string instruction is accessed by itself. */
  readonly bulk: boolean = true;

  // ---- memory ----

  /** Linear address of the record's memory operand; `sizeFlags` as for the slow path (limit checks need it). */
  ea(kind: AddrKind, sizeFlags: number): Expr {
    if (kind === "G") return this.let(X.callX(I64, this.rt.generalEa, this.rec, X.c32(sizeFlags)));
    const sum = this.offset();
    return this.let(kind === "L" ? sum : X.extU(X.wrap(sum)));
  }

  /** Base + index × scale + displacement of the record, 64 bits, not wrapped. */
  offset(): Expr {
    const scaled = X.shl(this.regField(REC.INDEX), X.extU(this.field8(REC.SCALE)));
    return X.add(X.add(this.regField(REC.BASE), this.field64(REC.DISP)), scaled);
  }

  /** Emitted before a call that may leave the function: whatever is not in the state must be put there. */
  protected beforeSlow(): void {}
  /** Emitted where such a call has come back: translations may have gone. */
  protected afterSlow(): void {}
  /** Called for an access of `bytes` bytes that the TLB translates; returns the addend to use. */
  protected translated(_la: Expr, _bytes: number, addend: Expr): Expr {
    return addend;
  }

  /** The TLB set in use. */
  protected tlbBase(): Expr {
    return this.state(32, L.TLB_BASE);
  }

  /**
   * Emits the TLB probe; afterwards the returned local holds the host offset of the access.
   * @param direct emitted where the probe hits, `after` where the slow path has found the place
   */
  protected probe(
    size: number,
    la: Expr,
    tag: number,
    slow: number,
    flags: number,
    direct?: (host: Expr) => void,
    after?: (host: Expr) => void,
  ): Expr {
    const bytes = size >> 3;
    const host = this.fresh(I32);
    const entry = this.tlbEntry(la);
    const last = bytes > 1 ? X.add(la, X.c64(bytes - 1)) : la;
    this.rawIf(X.eq(X.and(last, X.c64(-4096)), X.load(64, entry, tag)), () => {
      const addend = this.translated(la, bytes, X.load(32, entry, L.TLB_ADDEND));
      this.set(host, X.add(X.wrap(la), addend));
      direct?.(host);
    }, () => {
      this.beforeSlow();
      this.push(X.callX(I32, slow, la, X.c32(bytes | flags), this.rec, this.bud));
      this.body.code.u8(0x22);
      this.body.code.u32(host.lo);
      this.body.code.u8(0x45); // eqz
      this.body.hint(false);
      this.body.code.raw([0x04, 0x40, 0x0f, 0x0b]); // if return end
      this.afterSlow();
      after?.(host);
    }, true);
    return host;
  }

  /** Loads from a linear address; leaves the function on a fault. Result bound to a local. */
  memRead(size: number, la: Expr, flags = 0): Expr {
    const a = this.let(la);
    const host = this.probe(size, a, L.TLB_READ, this.rt.slowLoad, flags);
    const v = this.let(X.load(size, host));
    this.loaded(size, a, host);
    return v;
  }
  /** Stores to a linear address; leaves the function on a fault. */
  memWrite(size: number, la: Expr, value: Expr, flags = 0): void {
    const a = this.let(la), v = this.let(value);
    const store = (host: Expr) => {
      this.store(size, host, v);
      this.stored(size, a, host);
    };
    this.probe(size, a, L.TLB_WRITE, this.rt.slowStore, flags, store, (host) => {
      store(host);
      this.commit(host);
    });
  }
  /** Loads, computes, stores at one linear address; the translation for writing happens first. */
  memModify(size: number, la: Expr, fn: (old: Expr) => Expr, flags = 0): void {
    const a = this.let(la);
    const host = this.probe(size, a, L.TLB_WRITE, this.rt.slowStore, flags | SF_RMW);
    const old = this.let(X.load(size, host));
    this.loaded(size, a, host);
    const v = this.let(fn(old));
    this.store(size, host, v);
    this.stored(size, a, host);
    this.commit(host);
  }
  /** Checks that a linear address can be written (and may be read back) without changing it. */
  memProbeWrite(size: number, la: Expr, flags = 0): void {
    this.probe(size, this.let(la), L.TLB_WRITE, this.rt.slowStore, flags | SF_RMW | SF_PROBE);
  }
  /** Completes a store that went to SLOW_DATA. */
  protected commit(host: Expr): void {
    this.unlikely(X.eq(host, X.c32(L.SLOW_DATA)), () => this.call(this.rt.commitStore));
  }
  /** True (i32) when `bytes` at a linear address lie in one page that may be accessed directly; `tag`: TLB_READ or TLB_WRITE. */
  isDirect(la: Expr, tag: number, bytes = 1, set: Expr = this.tlbBase()): Expr {
    const last = X.add(la, X.c64(bytes - 1));
    return this.let(X.eq(X.and(last, X.c64(-4096)), X.load(64, this.tlbEntry(la, set), tag)));
  }
  /** Host offset of a linear address for which `isDirect` holds. */
  directHost(la: Expr, set: Expr = this.tlbBase()): Expr {
    return this.let(X.add(X.wrap(la), X.load(32, this.tlbEntry(la, set), L.TLB_ADDEND)));
  }
  /** Offset of the TLB entry for a linear address. */
  tlbEntry(la: Expr, set: Expr = this.tlbBase()): Expr {
    const mix = X.and(
      X.add(X.wrap(X.shrU(la, X.c64(12))), X.wrap(X.shrU(la, X.c64(24)))),
      X.c32(L.TLB_ENTRIES - 1),
    );
    return this.let(X.add(X.shl(mix, X.c32(5)), set));
  }

  // ---- leaving ----

  /** Leaves with a reason, at this record, without retiring it. */
  leave(reason: number): void {
    this.setState(32, L.LEAVE, X.c32(reason));
    this.setState(32, L.LEAVE_REC, this.rec);
    this.setState(32, L.BUDGET, this.bud);
    this.ret();
  }
  /** Leaves to raise a fault at this instruction. */
  fault(vector: number, error = -1): void {
    this.setState(32, L.FAULT_VECTOR, X.c32(vector));
    this.setState(32, L.FAULT_ERROR, X.c32(error));
    this.leave(Leave.FAULT);
  }

  // ---- control flow ----

  /** Goes on with the record behind this one. */
  next(): void {
    this.dispatch(X.add(this.rec, X.c32(REC_SIZE)), this.bud, this.recordLoad(16, REC_SIZE + REC.HANDLER));
  }
  /** Continues with a handler at a record. */
  dispatch(rec: Expr, bud: Expr, handler: Expr): void {
    this.push(rec);
    this.push(bud);
    this.push(handler);
    this.body.code.u8(0x13); // return_call_indirect
    this.body.code.u32(this.rt.handlerType);
    this.body.code.u8(0);
  }
  /** Goes on with another handler for this record. */
  continueAs(handler: Expr): void {
    this.dispatch(this.rec, this.bud, handler);
  }
  /** Continues at the block whose record is in the link word at rec + `slot`; falls back to `rip` when unlinked. */
  jumpLinked(slot: number, rip: Expr): void {
    const t = this.let(this.recordLoad(32, slot));
    this.unlikely(X.eqz(t), () => this.tailCall(this.rt.goto, rip, this.bud, X.add(this.rec, X.c32(slot))));
    const bud = this.let(X.sub(this.bud, X.load(32, X.sub(t, X.c32(4)))));
    this.unlikely(X.ltS(bud, X.c32(0)), () => this.tailCall(this.rt.outOfBudget, t, bud));
    this.dispatch(t, bud, X.load(16, t));
  }
  /** Continues at a computed RIP. */
  jumpTo(rip: Expr): void {
    this.tailCall(this.rt.goto, rip, this.bud, X.c32(0));
  }
  /** Raises #GP(0) unless a 64-bit branch target is canonical. */
  checkCanonical(rip: Expr): void {
    this.unlikely(X.ne(X.shrS(X.shl(rip, X.c64(16)), X.c64(16)), rip), () => this.fault(13, 0));
  }
}

export { F32, F64, I32, I64, V128 };
export type { Form };
