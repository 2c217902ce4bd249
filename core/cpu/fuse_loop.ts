/**
 * The `Emit` of handlers that execute short loops: a sequence (`fuse.ts`) that is a whole block and jumps to itself, or to
 * a block of the same shape, goes on inside its function. It needs no dispatch, keeps the translation of each of its
 * accesses in locals, and computes flags where they leave it only.
 *
 * Everything is where the single instructions would leave it: budgets are paid block by block, and whatever leaves in the
 * middle of a round leaves with that round's state. A kept translation is one that is in the TLB, because nothing but a
 * slow path changes that meanwhile, and behind one all are forgotten.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { Expr } from "../wasm/expr.ts";
import * as X from "../wasm/expr.ts";
import { type FuncBody, I32, I64 } from "../wasm/module.ts";
import { P_REC, type Runtime } from "./emit.ts";
import { FusedEmit, storedCarry } from "./fuse_emit.ts";
import { REC } from "./insn.ts";
import { LINK_NEXT, LINK_TAKEN } from "./semantics/control.ts";
import { type FlagKind, lazyWords } from "./semantics/flags.ts";
import { pendingCondition, type PendingFlags } from "./semantics/pending.ts";

const PAGE = 4096;

/** A translation in locals: the page's linear address, at how many bytes of it the access may begin (0: none), addend. */
interface Kept {
  page: Expr;
  places: Expr;
  addend: Expr;
}

/** Emits a sequence that may begin again. */
export class LoopEmit extends FusedEmit {
  readonly #kept: Kept[];
  #used = 0;
  #filling: Kept | null = null;
  /** The flag update with which a round ends, in locals, and the local that says that it has not been made. */
  readonly #held: PendingFlags | null;
  readonly #waits: Expr;
  /** False from where this round's own flags have replaced the last one's. */
  #mayWait: boolean;
  #again: () => void = () => {};
  /** The flag update with which the round ended, once emitted. */
  last: PendingFlags | null = null;

  /**
   * @param accesses how many translations are kept
   * @param ends the update with which a round ends, as far as known
   */
  constructor(rt: Runtime, body: FuncBody, accesses: number, ends: PendingFlags | null) {
    super(rt, body);
    const keep = () => ({ page: this.fresh(I64), places: this.fresh(I64), addend: this.fresh(I32) });
    this.#kept = Array.from({ length: accesses }, keep);
    this.#waits = this.fresh(I32);
    this.#held = ends &&
      { ...ends, a: this.fresh(ends.a.t), b: this.fresh(ends.b.t), r: this.fresh(ends.r.t) };
    this.#mayWait = ends !== null;
  }

  /** Emits all rounds: `round` is the sequence, and ends in `repeat`. */
  rounds(round: () => void): void {
    this.block((on) => {
      this.#again = on;
      this.#used = Infinity;
      this.#mayWait = false;
      round();
    });
    this.#used = 0;
    this.#mayWait = this.#held !== null;
    this.pending = null;
    this.loop((again) => {
      this.#again = again;
      round();
    });
  }

  /** Ends a round: on to the record's target or to what follows, in here where `handler` executes that as well. */
  repeat(taken: Expr, handler: number): void {
    const c = this.let(taken), t = this.fresh(I32), link = (slot: number) => this.recordLoad(32, slot);
    this.last = this.pending;
    this.rawIf(c, () => this.set(t, link(LINK_TAKEN)), () => this.set(t, link(LINK_NEXT)));
    this.block((out) => {
      out(X.eqz(t));
      const bud = this.let(X.sub(this.bud, X.load(32, X.sub(t, X.c32(4)))));
      out(X.ltS(bud, X.c32(0)));
      out(X.ne(X.load(16, t), X.c32(handler)));
      this.#hold();
      this.set(X.local(I32, P_REC), t);
      this.set(this.bud, bud);
      this.#again();
    });
    this.settle();
    this.rawIf(c, () => super.jumpLinked(LINK_TAKEN, this.field64(REC.IMM)));
    super.jumpLinked(LINK_NEXT, this.nextRip());
  }

  #hold(): void {
    const held = this.#held, p = this.pending;
    if (held !== null && p !== null) {
      // An operand may be what is held from the round before.
      const a = this.let(p.a);
      this.set(held.b, p.b);
      this.set(held.r, p.r);
      this.set(held.a, a);
      this.set(this.#waits, X.c32(1));
    } else {
      this.storeFlags();
      this.set(this.#waits, X.c32(0));
    }
  }

  protected override storeFlags(): void {
    if (this.pending !== null || !this.#mayWait) return super.storeFlags();
    const h = this.#held!;
    this.unlikely(this.#waits, () => {
      const w = lazyWords(this, h.kind, h.size, h.a, h.b, h.r);
      this.store(64, X.c32(0), w.res, L.LF_RES);
      this.store(32, X.c32(0), w.aux, L.LF_AUX);
    });
  }
  protected override settle(): void {
    super.settle();
    this.#mayWait = false;
  }
  override deferFlags(kind: FlagKind, size: number, a: Expr, b: Expr, r: Expr): boolean {
    const keepsCarry = kind === "inc" || kind === "dec";
    const carry = this.#mayWait && keepsCarry && this.pending === null ? this.#carry() : null;
    if (carry === null) super.deferFlags(kind, size, a, b, r);
    else this.pending = { kind, size, a: carry, b: a, r };
    this.#mayWait = false;
    return true;
  }
  /** CF of the round before, or null. */
  #carry(): Expr | null {
    const known = pendingCondition(this.#held!, 1);
    const stored = storedCarry();
    return known && this.let(X.select(this.#waits, known, stored));
  }

  protected override translated(la: Expr, bytes: number, addend: Expr): Expr {
    const k = this.#filling;
    if (k === null) return addend;
    this.set(k.page, X.and(la, X.c64(-PAGE)));
    this.set(k.places, X.c64(PAGE + 1 - bytes));
    this.set(k.addend, addend);
    return k.addend;
  }
  protected override afterSlow(): void {
    for (const k of this.#kept) this.set(k.places, X.c64(0));
  }
  protected override probe(
    size: number,
    la: Expr,
    tag: number,
    slow: number,
    flags: number,
    direct?: (host: Expr) => void,
    after?: (host: Expr) => void,
  ): Expr {
    const k = this.#kept[this.#used++], find = () => super.probe(size, la, tag, slow, flags, direct, after);
    if (k === undefined) return find();
    const host = this.fresh(I32);
    this.rawIf(X.ltU(X.sub(la, k.page), k.places), () => {
      this.set(host, X.add(X.wrap(la), k.addend));
      direct?.(host);
    }, () => {
      this.#filling = k;
      this.set(host, find());
      this.#filling = null;
    }, true);
    return host;
  }
}
