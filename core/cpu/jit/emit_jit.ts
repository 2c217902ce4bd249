/**
 * The compiler's `Emit`, last part: control flow.
 *
 * @module
 */
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import * as L from "../../layout.ts";
import { I32, I64 } from "../../wasm/module.ts";
import { jumpCacheOffset } from "../../mmu/jump_cache.ts";
import { P_REC } from "../emit.ts";
import { REC } from "../insn.ts";
import { jumpCachePlace } from "../runtime.ts";
import { FlagEmit } from "./emit_flags.ts";

/** Where a block's header has its index among a region's entries, from its first record (16 bits). */
export const ENTRY_INDEX = -6;

/** Emits one region. */
export class JitEmit extends FlagEmit {
  #jumpCache: Expr | null = null;
  /** What `jumpLinked` does here. */
  onLink: (slot: number, rip: Expr) => void = () => {};
  /** What `jumpTo` does, with the target in a local. */
  onJump: (target: Expr) => void = () => {};
  /** Record of the entry that the dispatcher goes to: at first the function's argument. */
  readonly #rec = X.local(I32, P_REC);
  /** Which entry the dispatcher goes to; when `#sought` is 1, the one for RIP `#target`. */
  readonly #entry: Expr;
  readonly #sought: Expr;
  readonly #target: Expr;

  constructor(...args: ConstructorParameters<typeof FlagEmit>) {
    super(...args);
    this.#entry = this.startingWith(X.load(16, X.add(this.#rec, X.c32(ENTRY_INDEX))));
    this.#sought = this.fresh(I32);
    this.#target = this.fresh(I64);
  }

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
    this.onJump(this.let(rip));
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
    const at = jumpCacheOffset(lo, hi), jc = this.#jumpCacheBase();
    const entry = X.and(
      X.eq(X.load(64, jc, at), X.c64w(lo, hi)),
      X.eq(X.load(64, jc, at + 8), X.c64w(rec, mode)),
    );
    return X.and(entry, X.eq(X.load(32, X.c32(rec - 4)), X.c32(count)));
  }
  /** Leaves, before a block that is paid for, when the budget does not cover `need` instructions more. */
  checkBudget(rec: Expr, need: number): void {
    this.unlikely(X.ltS(this.bud, X.c32(need)), () => {
      this.spill();
      this.tailCall(this.rt.short, rec, this.bud);
    });
  }
  /** Goes on with the interpreter at the current record. */
  interpret(handler: number): void {
    this.spill();
    this.continueAs(X.c32(handler));
  }

  // ---- the dispatcher ----

  /** Goes to the block at a RIP if it is an entry of the region, else leaves. */
  dispatchTo(target: Expr, dispatcher: number): void {
    this.set(this.#target, target);
    this.set(this.#sought, X.c32(1));
    this.goTo(dispatcher);
  }
  /** Goes to an entry, which is paid for. @param rec its record */
  dispatchIndex(index: number, rec: number, dispatcher: number): void {
    this.set(this.#rec, X.c32(rec));
    this.set(this.#entry, X.c32(index));
    this.set(this.#sought, X.c32(0));
    this.goTo(dispatcher);
  }
  /**
   * The dispatcher: branches to an entry.
   * @param handler index of the region's function in the table: records of its entries have it
   * @param need most instructions behind an entry until the budget is checked again
   */
  dispatcher(handler: number, labels: number[], need: number): void {
    this.rawIf(this.#sought, () => {
      this.block((found) => {
        this.block((miss) => this.#seek(handler, miss, found));
        this.spill();
        super.jumpTo(this.#target);
      });
    });
    this.checkBudget(this.#rec, need);
    const { code } = this.body;
    this.push(this.#entry);
    code.u8(0x0e); // br_table
    code.u32(labels.length - 1);
    for (const label of labels) code.u32(this.depth - label);
  }
  #seek(handler: number, miss: (cond: Expr) => void, found: () => void): void {
    const rip = this.#target, mode = this.s.i32[L.MODE >> 2];
    const at = this.let(X.add(jumpCachePlace(rip), this.#jumpCacheBase()));
    miss(X.ne(X.load(64, at), rip));
    miss(X.ne(X.load(32, at, 12), X.c32(mode)));
    this.set(this.#rec, X.load(32, at, 8));
    miss(X.ne(X.load(16, this.#rec, REC.HANDLER), X.c32(handler)));
    this.set(this.bud, X.sub(this.bud, X.load(32, X.sub(this.#rec, X.c32(4)))));
    this.set(this.#entry, X.load(16, X.add(this.#rec, X.c32(ENTRY_INDEX))));
    found();
  }
  #jumpCacheBase(): Expr {
    return this.#jumpCache ??= this.startingWith(X.load(32, X.c32(0), L.JC_BASE));
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
