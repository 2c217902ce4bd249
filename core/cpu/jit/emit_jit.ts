/**
 * The compiler's `Emit`, last part: control flow.
 *
 * @module
 */
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import * as L from "../../layout.ts";
import { jumpCacheOffset } from "../code_cache.ts";
import { REC } from "../insn.ts";
import { FlagEmit } from "./emit_flags.ts";

/** Emits one region. */
export class JitEmit extends FlagEmit {
  #jumpCache: Expr | null = null;
  /** What `jumpLinked` does here. */
  onLink: (slot: number, rip: Expr) => void = () => {};
  /** What `jumpTo` does first, with the target in a local. */
  onJump: ((target: Expr) => void) | null = null;

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
    const p = this.flags;
    this.rawIf(cond, then, undefined, likely);
    this.flags = p;
  }
  override next(): void {}
  override leave(reason: number): void {
    this.spill();
    super.leave(reason);
  }
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
    this.#jumpCache ??= this.startingWith(X.load(32, X.c32(0), L.JC_BASE));
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
