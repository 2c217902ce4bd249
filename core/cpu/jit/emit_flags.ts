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
import { type FlagKind, lazyWords, signExtend, truncate } from "../semantics/flags.ts";
import { CARRIED } from "./cold_paths.ts";
import { MemoryEmit } from "./emit_memory.ts";

/** A flag update not yet made, over constants and locals that do not change. "carried": it is in the carrying locals. */
export interface Pending {
  kind: FlagKind | "carried";
  size: number;
  a: Expr;
  b: Expr;
  r: Expr;
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
    if (p === null) {
      this.#carry4(CARRIED.raw, this.aux, X.c32(0), this.res);
    } else if (p.kind !== "carried") {
      const log = p.kind === "raw" ? 0 : Math.log2(p.size >> 3);
      this.#carry4(CARRIED[p.kind] + log, p.a, p.b, p.r);
    }
    if (carry !== null && carry !== to.carry) this.set(to.carry, carry);
  }

  #carry4(kind: number, a: Expr, b: Expr, r: Expr): void {
    const to = this.#carried, wide = (v: Expr) => this.code64 ? X.extU(v) : X.wrap(v);
    this.set(to.kind, X.c32(kind));
    this.set(to.a, wide(a));
    this.set(to.b, wide(b));
    this.set(to.r, X.extU(r));
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
    switch (p.kind) {
      case "carried":
        return cc === 1 && this.#carryKnown ? this.#carried.carry : null;
      case "raw":
        return cc === 1 ? X.shrU(p.a, X.c32(31)) : null;
      case "sub":
        return this.#afterSub(p, cc) ?? this.#ofResult(p, cc);
      case "logic":
        return this.#afterLogic(p, cc) ?? this.#ofResult(p, cc);
      case "add":
        return this.#afterAdd(p, cc) ?? this.#ofResult(p, cc);
      case "inc":
      case "dec":
        return this.#afterStep(p, cc) ?? this.#ofResult(p, cc);
      default:
        return this.#ofResult(p, cc);
    }
  }
  /** Operands as signed and unsigned values. */
  #s(p: Pending, v: Expr): Expr {
    return p.size >= 32 ? v : X.wrap(signExtend(p.size, v));
  }
  #u(p: Pending, v: Expr): Expr {
    return p.size >= 32 ? v : truncate(p.size, v);
  }
  #afterSub(p: Pending, cc: number): Expr | null {
    switch (cc) {
      case 1:
        return X.ltU(this.#u(p, p.a), this.#u(p, p.b));
      case 2:
        return X.eq(this.#u(p, p.a), this.#u(p, p.b));
      case 3:
        return X.leU(this.#u(p, p.a), this.#u(p, p.b));
      case 6:
        return X.ltS(this.#s(p, p.a), this.#s(p, p.b));
      case 7:
        return X.leS(this.#s(p, p.a), this.#s(p, p.b));
      default:
        return null;
    }
  }
  #afterLogic(p: Pending, cc: number): Expr | null {
    if (cc === 0 || cc === 1) return X.c32(0);
    if (cc === 3) return X.eqz(this.#u(p, p.r));
    if (cc === 6) return X.ltS(this.#s(p, p.r), X.cLike(p.r, 0));
    if (cc === 7) return X.leS(this.#s(p, p.r), X.cLike(p.r, 0));
    return null;
  }
  #afterAdd(p: Pending, cc: number): Expr | null {
    if (cc === 1) return X.ltU(this.#u(p, p.r), this.#u(p, p.a));
    if (p.size === 64 || cc < 6) return null;
    const sum = X.add(signExtend(p.size, p.a), signExtend(p.size, p.b));
    return cc === 6 ? X.ltS(sum, X.c64(0)) : X.leS(sum, X.c64(0));
  }
  /** INC and DEC: `a` is CF from before, `b` the operand. */
  #afterStep(p: Pending, cc: number): Expr | null {
    if (cc === 1) return p.a;
    if (cc < 6) return null;
    const limit = p.kind === "inc" ? -1 : 1, v = this.#s(p, p.b);
    return cc === 6 ? X.ltS(v, X.cLike(v, limit)) : X.leS(v, X.cLike(v, limit));
  }
  /** ZF, SF and PF depend on the result alone. */
  #ofResult(p: Pending, cc: number): Expr | null {
    if (cc === 2) return X.eqz(this.#u(p, p.r));
    if (cc === 4) return X.ltS(this.#s(p, p.r), X.cLike(p.r, 0));
    if (cc !== 5) return null;
    return X.eqz(X.and(X.popcnt(X.and(X.wrap(p.r), X.c32(0xff))), X.c32(1)));
  }

  protected override beforeSlow(): void {
    this.spill();
  }
  /** Writes locals to the state; what is pending stays pending. */
  spill(): void {
    const p = this.#pending;
    if (p?.kind === "carried") {
      this.call(this.cold.storeCarried(this.wide), this.#carried.kind, p.a, p.b, p.r);
    } else if (p !== null) this.call(this.cold.storeFlags(p.kind, p.size), p.a, p.b, p.r);
    this.spillPoint(p === null);
  }
}
