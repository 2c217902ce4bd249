/**
 * The `Emit` of handlers that execute several instructions in a row (`fuse.ts`).
 *
 * @module
 */
import * as L from "../layout.ts";
import type { Expr } from "../wasm/expr.ts";
import * as X from "../wasm/expr.ts";
import { I32 } from "../wasm/module.ts";
import { Emit, P_REC } from "./emit.ts";
import { REC_SIZE } from "./insn.ts";
import { type FlagKind, lazyWords } from "./semantics/flags.ts";
import { pendingCondition, type PendingFlags } from "./semantics/pending.ts";

/** CF as the state has it: read where it is wanted, which may be nowhere. */
export const storedCarry = (): Expr => X.shrU(X.load(32, X.c32(0), L.LF_AUX), X.c32(31));

/** Emits several records' instructions into one function. Flag updates are kept until somebody could see them. */
export class FusedEmit extends Emit {
  /** Bytes between the function's record and the one whose instruction is being emitted. */
  #shift = 0;
  #last = false;
  protected pending: PendingFlags | null = null;

  /** Moves to an instruction. */
  part(index: number, last: boolean): void {
    this.#shift = index * REC_SIZE;
    this.#last = last;
    this.rec = X.add(X.local(I32, P_REC), X.c32(this.#shift));
  }

  protected override recordLoad(size: number, off: number): Expr {
    return X.load(size, X.local(I32, P_REC), this.#shift + off);
  }

  override next(): void {
    if (!this.#last) return;
    this.settle();
    super.next();
  }
  override jumpLinked(slot: number, rip: Expr): void {
    this.settle();
    super.jumpLinked(slot, rip);
  }
  override jumpTo(rip: Expr): void {
    this.settle();
    super.jumpTo(rip);
  }
  override leave(reason: number): void {
    this.storeFlags();
    super.leave(reason);
  }
  protected override beforeSlow(): void {
    this.storeFlags();
  }

  override if(cond: Expr, then: () => void, otherwise?: () => void): void {
    if (cond.op === 0x41) return super.if(cond, then, otherwise);
    const c = this.let(cond);
    this.settle();
    const settled = (f: () => void) => () => {
      f();
      this.settle();
    };
    super.if(c, settled(then), otherwise && settled(otherwise));
  }

  override state(size: number, offset: number): Expr {
    if (offset === L.LF_RES || offset === L.LF_AUX) this.settle();
    return super.state(size, offset);
  }
  override setState(size: number, offset: number, value: Expr): void {
    if (offset === L.LF_RES || offset === L.LF_AUX) this.settle();
    super.setState(size, offset, value);
  }
  override deferFlags(kind: FlagKind, size: number, a: Expr, b: Expr, r: Expr): boolean {
    if (kind === "inc" || kind === "dec") {
      const carry = this.knownCondition(1);
      if (carry === null) this.settle();
      this.pending = { kind, size, a: carry === null ? storedCarry() : this.let(carry), b: a, r };
    } else if (kind === "raw") this.pending = { kind, size, a: this.let(a), b, r: this.let(r) };
    else this.pending = { kind, size, a, b, r };
    return true;
  }
  override knownCondition(cc: number): Expr | null {
    return this.pending && pendingCondition(this.pending, cc);
  }

  /** Makes the pending update on a path that leaves; on the others it stays pending. */
  protected storeFlags(): void {
    const p = this.pending;
    if (p === null) return;
    const w = lazyWords(this, p.kind, p.size, p.a, p.b, p.r);
    super.setState(64, L.LF_RES, w.res);
    super.setState(32, L.LF_AUX, w.aux);
  }
  protected settle(): void {
    this.storeFlags();
    this.pending = null;
  }
}
