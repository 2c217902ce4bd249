/**
 * `Emit` for instrumented interpreters: the semantics are the same, and what they do is also told. An interpreter is
 * made for exactly what is asked, so that scanning for writes costs nothing for reads.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { F32, F64, FuncBody, I32, I64, type ModuleBuilder, V128 } from "../../wasm/module.ts";
import * as X from "../../wasm/expr.ts";
import { Expr } from "../../wasm/expr.ts";
import { Emit, type Runtime } from "../emit.ts";
import type { Form } from "../form.ts";
import { REC } from "../insn.ts";
import type { Variant } from "../interp.ts";
import * as R from "./ring.ts";
import { Gpr } from "../state.ts";

/** What an instrumented interpreter tells. */
export interface Told {
  reads: boolean;
  writes: boolean;
  instructions: boolean;
  branches: boolean;
  /** One digest instead of events: of everything ("all"), or of everything but what is read ("effects"). */
  digest: false | "all" | "effects";
}

/** Forms that are no instructions. */
const PSEUDO: ReadonlySet<string> = new Set(["stop", "stale", "page_end", "profile"]);

/** Fields that say where generated code stopped: they are no state of the guest's. */
const BOOKKEEPING: ReadonlySet<number> = new Set([L.LEAVE, L.LEAVE_REC, L.BUDGET, L.LINK_SLOT]);

/** A value as integers of at most 64 bits. */
function words(v: Expr): Expr[] {
  if (v.t === V128) return [0, 1].map((lane) => new Expr(I64, 0xfd1d, [v], lane));
  if (v.t === F32) return [X.op(I32, 0xbc, v)];
  return [v.t === F64 ? X.op(I64, 0xbd, v) : v];
}

/** Functions that an instrumented module has besides the runtime. */
interface Tellers {
  /** (kind and size i32, linear i64, host i32, rec i32, bud i32, value i64) -> () */
  access: number;
  /** (kind i32, rec i32, bud i32, target i64) -> () */
  event: number;
  /** (i64) -> () */
  mix: number;
}

/** Emits the code of one instrumented handler. */
class TellingEmit extends Emit {
  override readonly bulk = false;
  /** The form is no instruction: what it does is not told. */
  #quiet = false;

  constructor(rt: Runtime, body: FuncBody, readonly told: Told, readonly tellers: Tellers) {
    super(rt, body);
  }

  override begin(f: Form): void {
    this.#quiet = PSEUDO.has(f.name);
    if (this.#quiet) return;
    if (this.told.digest === "effects") this.call(this.tellers.mix, this.rip());
    else if (this.told.digest) {
      const hash = X.load(32, X.shrU(X.sub(this.rec, X.c32(L.CODE)), X.c32(1)), R.HASHES);
      this.call(this.tellers.mix, X.xor(this.rip(), X.shl(X.extU(hash), X.c64(32))));
    } else if (this.told.instructions) {
      // The record that closes a block at a page's end jumps, and is no instruction.
      this.#real(() => this.#event(R.EventType.INSTRUCTION, X.c64(0)));
    }
  }

  protected override loaded(size: number, la: Expr, host: Expr): void {
    if (this.told.digest === "all") this.#mix(size, host);
    else if (!this.told.digest && this.told.reads) this.#access(R.EventType.READ, size, la, host);
  }

  protected override stored(size: number, la: Expr, host: Expr): void {
    if (this.told.digest) {
      if (this.told.digest === "all") this.#mix(size, host);
      this.call(this.tellers.mix, X.extU(host));
    } else if (this.told.writes) this.#access(R.EventType.WRITE, size, la, host);
  }

  /** All that instructions leave, in registers, flags and memory, is stored by this. */
  override store(size: number, addr: Expr, value: Expr, offset = 0): void {
    const own = addr.is(0) && BOOKKEEPING.has(offset);
    if (this.told.digest !== "effects" || this.#quiet || own) return super.store(size, addr, value, offset);
    const v = this.let(value);
    super.store(size, addr, v, offset);
    for (const part of words(v)) this.call(this.tellers.mix, X.extU(part));
  }

  override jumpLinked(slot: number, rip: Expr): void {
    this.#branch(rip);
    super.jumpLinked(slot, rip);
  }

  override jumpTo(rip: Expr): void {
    const target = this.let(rip);
    this.#branch(target);
    super.jumpTo(target);
  }

  #branch(target: Expr): void {
    if (this.told.branches) this.#real(() => this.#event(R.EventType.BRANCH, target));
  }

  #real(then: () => void): void {
    this.if(this.field8(REC.LEN), then);
  }

  #event(kind: number, target: Expr): void {
    this.call(this.tellers.event, X.c32(kind), this.rec, this.bud, target);
  }

  #access(kind: number, size: number, la: Expr, host: Expr): void {
    const bytes = Math.min(size >> 3, 8);
    for (let at = 0; at < size >> 3; at += 8) {
      const value = X.extU(X.load(Math.min(size, 64), host, at));
      const [linear, where] = [X.add(la, X.c64(at)), X.add(host, X.c32(at))];
      this.call(this.tellers.access, X.c32(kind | bytes << 16), linear, where, this.rec, this.bud, value);
    }
  }

  #mix(size: number, host: Expr): void {
    for (let at = 0; at < size >> 3; at += 8) {
      this.call(this.tellers.mix, X.extU(X.load(Math.min(size, 64), host, at)));
    }
  }
}

/** The variant of the interpreter that tells something. */
export function tellingVariant(told: Told): Variant {
  const name = Object.entries(told).filter(([, on]) => on).map(([what, how]) => `${what}:${how}`).join("+");
  let tellers: Tellers;
  return {
    name,
    prepare: (m, rt) => {
      tellers = defineTellers(m, rt);
    },
    emit: (rt, body) => new TellingEmit(rt, body, told, tellers),
  };
}

function defineTellers(m: ModuleBuilder, rt: Runtime): Tellers {
  const def = (params: number[], fill: (e: Emit, p: Expr[]) => void): number => {
    const body = new FuncBody(params);
    fill(new Emit(rt, body), params.map((t, i) => X.local(t, i)));
    return m.func(params, [], body);
  };
  return {
    access: def([I32, I64, I32, I32, I32, I64], defineAccess),
    event: def([I32, I32, I32, I64], (e, [kind, rec, bud, target]) => {
      const at = begin(e, kind, rec, bud);
      e.store(64, at, target, R.EV.ADDRESS);
      e.if(X.eq(kind, X.c32(R.EventType.BRANCH)), () => {
        e.store(64, at, e.gpr(Gpr.DI, 64), R.EV.RDI);
        e.store(64, at, e.gpr(Gpr.SI, 64), R.EV.RSI);
        e.store(64, at, e.gpr(Gpr.DX, 64), R.EV.RDX);
        e.store(64, at, e.gpr(Gpr.SP, 64), R.EV.RSP);
      });
    }),
    mix: def([I64], (e, [x]) => {
      const turned = X.rotl(e.state(64, R.DIGEST), X.c64(23));
      e.setState(64, R.DIGEST, X.mul(X.xor(turned, x), X.c64w(0x7f4a7c15, 0x9e3779b9)));
    }),
  };
}

/** Tells an access unless a filter leaves it out; filters may let too much through. */
function defineAccess(e: Emit, [kind, la, host, rec, bud, value]: Expr[]): void {
  const outside = X.gtU(X.sub(la, e.state(64, R.FILTER_FROM)), e.state(64, R.FILTER_SPAN));
  e.if(outside, () => e.ret());
  const slow = X.ltU(X.sub(host, X.c32(L.SLOW_DATA)), X.c32(64));
  const elsewhere = X.gtU(X.sub(host, e.state(32, R.HOST_FROM)), e.state(32, R.HOST_SPAN));
  e.if(X.and(elsewhere, X.eqz(slow)), () => e.ret());
  const at = begin(e, kind, rec, bud);
  e.store(64, at, la, R.EV.ADDRESS);
  e.store(32, at, host, R.EV.HOST);
  e.store(32, at, e.state(32, L.SLOW_PAGE_A), R.EV.PAGE_A);
  e.store(32, at, e.state(32, L.SLOW_PAGE_B), R.EV.PAGE_B);
  e.store(64, at, value, R.EV.VALUE);
}

/** Begins an event: what all of them have. @returns its address */
function begin(e: Emit, kind: Expr, rec: Expr, bud: Expr): Expr {
  const at = e.let(e.state(32, R.RING_AT));
  e.setState(32, R.RING_AT, X.add(at, X.c32(R.EVENT_SIZE)));
  e.store(32, at, kind, R.EV.KIND);
  e.store(32, at, rec, R.EV.REC);
  const left = X.add(bud, X.load(8, rec, REC.REM));
  e.store(64, at, X.sub(e.state(64, R.HORIZON), X.extS(left)), R.EV.ICOUNT);
  const rip = X.or(
    X.extU(X.load(32, rec, REC.RIP_LO)),
    X.shl(X.extU(X.load(32, rec, REC.RIP_HI)), X.c64(32)),
  );
  e.store(64, at, rip, R.EV.RIP);
  return at;
}
