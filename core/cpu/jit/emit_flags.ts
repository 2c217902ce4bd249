/**
 * The compiler's `Emit`, third part: flags. A flag update is kept as its operands until somebody needs it.
 *
 * At the start of a block flags are in one of the forms of `FlagsAt`: which one, the compiler decides for each block by
 * what its instructions do with them (`flag_liveness.ts`).
 *
 * @module
 */
import * as L from "../../layout.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { I32, I64 } from "../../wasm/module.ts";
import { type FlagKind, lazyWords } from "../semantics/flags.ts";
import { pendingCondition, type PendingFlags } from "../semantics/pending.ts";
import { CARRIED, resultOf } from "./cold_paths.ts";
import { MemoryEmit } from "./emit_memory.ts";

/** A flag update not yet made. "carried": it is in the carrying locals. */
export interface Pending extends Omit<PendingFlags, "kind"> {
  kind: FlagKind | "carried";
}

/** In what form flags come to a block, from the least effort to the most. */
export const FlagsAt = {
  /** Not at all: they are overwritten before anything could see them. */
  DEAD: 0,
  /** As a carried update: only paths that leave look at them. */
  COLD: 1,
  /** The same, and CF by itself. */
  CARRY: 2,
  /** As finished words in the flag locals. */
  HOT: 3,
} as const;

/** Locals that carry a flag update between blocks. */
interface Carrier {
  kind: Expr;
  a: Expr;
  b: Expr;
  r: Expr;
  carry: Expr;
}

/** Emission of flags. */
export class FlagEmit extends MemoryEmit {
  #pending: Pending | null = null;
  #carrier: Carrier | null = null;
  /** The carried CF is right. */
  #carryKnown = false;

  /** What `flags` is now, to come back to. */
  get flags(): Pending | null {
    return this.#pending;
  }
  set flags(p: Pending | null) {
    this.#pending = p;
  }

  get #carried(): Carrier {
    return this.#carrier ??= {
      kind: this.fresh(I32),
      a: this.fresh(this.wide),
      b: this.fresh(this.wide),
      r: this.fresh(I64),
      carry: this.startingWith(X.shrU(X.load(32, X.c32(0), L.LF_AUX), X.c32(31))),
    };
  }

  /** Starts a block to which flags come in a form. */
  startFlags(form: number): void {
    this.#carryKnown = form === FlagsAt.CARRY;
    this.#pending = null;
    if (form === FlagsAt.COLD || form === FlagsAt.CARRY) {
      const { a, b, r } = this.#carried;
      this.#pending = { kind: "carried", size: 0, a, b, r };
    }
  }

  /** Hands flags to a block that wants them in a form. */
  passFlags(form: number): void {
    if (form === FlagsAt.DEAD) return;
    if (form === FlagsAt.HOT) return this.settleFlags();
    const p = this.#pending, to = this.#carried;
    const carry = form === FlagsAt.CARRY ? this.let(this.#carry()) : null;
    if (p === null) this.#carryWords(this.aux, this.res);
    else if (p.kind !== "carried") this.#carryPending(p, p.kind);
    if (carry !== null && carry !== to.carry) this.set(to.carry, carry);
  }

  /** Finished words are the one update whose result is carried: those of others follow from their operands. */
  #carryWords(aux: Expr, res: Expr): void {
    const to = this.#carried;
    this.set(to.kind, X.c32(CARRIED.raw));
    this.set(to.a, this.#wide(aux));
    this.set(to.r, res);
  }
  #carryPending(p: Pending, kind: FlagKind): void {
    if (kind === "raw") return this.#carryWords(p.a, p.r);
    if (kind === "adc" || kind === "sbb") {
      const w = lazyWords(this, kind, p.size, p.a, p.b, p.r);
      return this.#carryWords(w.aux, w.res);
    }
    const to = this.#carried;
    this.set(to.kind, X.c32(CARRIED[kind] + Math.log2(p.size >> 3)));
    this.set(to.a, this.#wide(kind === "logic" ? p.r : p.a));
    if (kind !== "logic") this.set(to.b, this.#wide(p.b));
  }
  #wide(v: Expr): Expr {
    return this.code64 ? X.extU(v) : X.wrap(v);
  }

  /** CF of what is pending, 0 or 1. */
  #carry(): Expr {
    return this.knownCondition(1) ?? X.shrU(this.state(32, L.LF_AUX), X.c32(31));
  }

  override state(size: number, offset: number): Expr {
    if (offset === L.LF_RES) {
      this.settleFlags();
      return size === 64 ? this.res : X.wrap(this.res);
    }
    if (offset === L.LF_AUX) {
      this.settleFlags();
      return this.aux;
    }
    return super.state(size, offset);
  }
  override setState(size: number, offset: number, value: Expr): void {
    if (offset === L.LF_RES || offset === L.LF_AUX) {
      this.flagsWritten = true;
      this.settleFlags();
      return this.set(offset === L.LF_RES ? this.res : this.aux, value);
    }
    super.setState(size, offset, value);
  }
  override deferFlags(kind: FlagKind, size: number, a: Expr, b: Expr, r: Expr): boolean {
    this.flagsWritten = true;
    if (kind === "inc" || kind === "dec") {
      const carry = this.#carry();
      this.#pending = { kind, size, a: this.#lasts(carry) ? carry : this.let(carry), b: a, r };
    } else if (kind === "raw" && !(this.#lasts(a) && this.#lasts(r))) {
      this.#pending = { kind, size, a: this.let(a), b, r: this.let(r) };
    } else this.#pending = { kind, size, a, b, r };
    return true;
  }
  /** True for trees that give the same value later. */
  #lasts(e: Expr): boolean {
    if (e.isConst) return true;
    if (e.op === 0x20) return !this.isMutable(e);
    if (e.op === 0x10 || (e.op >= 0x28 && e.op <= 0x35) || e.op >= 0xfd00) return false;
    return e.args.every((a) => this.#lasts(a));
  }
  protected override isMutable(e: Expr): boolean {
    const c = this.#carrier;
    return super.isMutable(e) || (c !== null && e.op === 0x20 && e === c.carry);
  }

  /** Makes the pending flag update in the locals. */
  settleFlags(): void {
    const p = this.#pending;
    if (p === null) return;
    this.#pending = null;
    this.flagsWritten = true;
    if (p.kind === "carried") {
      this.call(this.cold.storeCarried(this.wide), this.#carried.kind, p.a, p.b, p.r);
      this.set(this.res, X.load(64, X.c32(0), L.LF_RES));
      return this.set(this.aux, X.load(32, X.c32(0), L.LF_AUX));
    }
    const w = lazyWords(this, p.kind, p.size, p.a, p.b, p.r), aux = this.let(w.aux);
    this.set(this.res, w.res);
    this.set(this.aux, aux);
  }

  override knownCondition(cc: number): Expr | null {
    const p = this.#pending;
    if (p === null) return null;
    if (p.kind === "carried") return cc === 1 && this.#carryKnown ? this.#carried.carry : null;
    return pendingCondition({ ...p, kind: p.kind }, cc);
  }

  protected override beforeSlow(): void {
    this.spill();
  }
  /** Writes locals to the state; what is pending stays pending. */
  spill(): void {
    const p = this.#pending;
    if (p?.kind === "carried") {
      this.call(this.cold.storeCarried(this.wide), this.#carried.kind, p.a, p.b, p.r);
    } else if (p !== null) {
      const r = resultOf(p.kind, p.a, p.b) ?? p.r; // computed here, it need not be kept until then
      this.call(this.cold.storeFlags(p.kind, p.size), p.a, p.b, r);
    }
    this.spillPoint(p === null);
  }
}
