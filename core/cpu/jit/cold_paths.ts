/**
 * Functions of a module of compiled code that its regions share: what is off their straight way.
 *
 * @module
 */
import * as L from "../../layout.ts";
import * as X from "../../wasm/expr.ts";
import { FuncBody, I32, I64, type ModuleBuilder, type ValType } from "../../wasm/module.ts";
import { Emit, type Runtime } from "../emit.ts";
import { type FlagKind, lazyWords, setLazy } from "../semantics/flags.ts";

/** Flag updates as compiled code carries them from block to block: number × 4 + log2 of the size in bytes. */
export const CARRIED: Readonly<Record<FlagKind, number>> = {
  add: 4,
  adc: 4,
  sub: 8,
  sbb: 8,
  logic: 12,
  inc: 16,
  dec: 20,
  raw: 24,
};
const SIZES = [8, 16, 32, 64];

/** The result of an update as far as it follows from its operands (see `FlagKind`), else null. */
export function resultOf(kind: FlagKind, a: X.Expr, b: X.Expr): X.Expr | null {
  switch (kind) {
    case "add":
      return X.add(a, b);
    case "sub":
      return X.sub(a, b);
    case "inc":
      return X.add(b, X.cLike(b, 1));
    case "dec":
      return X.sub(b, X.cLike(b, 1));
    default:
      return null;
  }
}

/** Cold-path functions of one module, defined as they are needed. */
export class ColdPaths {
  readonly #defined = new Map<string, number>();
  constructor(readonly m: ModuleBuilder, readonly rt: Runtime) {}

  #once(
    key: string,
    params: ValType[],
    results: ValType[],
    fill: (e: Emit, p: X.Expr[]) => void,
  ): number {
    const known = this.#defined.get(key);
    if (known !== undefined) return known;
    const body = new FuncBody(params), e = new Emit(this.rt, body);
    fill(e, params.map((t, i) => X.local(t, i)));
    const f = this.m.func(params, results, body);
    this.#defined.set(key, f);
    return f;
  }

  /** Types of the operands a, b, r of a flag update. */
  static types(kind: FlagKind, size: number): [ValType, ValType, ValType] {
    const t = size === 64 ? I64 : I32;
    if (kind === "raw") return [I32, I32, I64];
    return kind === "inc" || kind === "dec" ? [I32, t, t] : [t, t, t];
  }

  /** Stores the lazy words of a flag update to the state: (a, b, r) -> (). */
  storeFlags(kind: FlagKind, size: number): number {
    return this.#once(`flags ${kind} ${size}`, ColdPaths.types(kind, size), [], (e, [a, b, r]) => {
      const w = lazyWords(e, kind, size, a, b, r);
      setLazy(e, w.res, w.aux);
    });
  }

  /** Stores a carried flag update: (kind i32, a, b, r i64 of finished words) -> (); kind 0: the state is right as it is. */
  storeCarried(wide: ValType): number {
    // The functions it calls come first.
    const cases = (["add", "sub", "logic", "inc", "dec"] as const).flatMap((kind) =>
      SIZES.slice(0, wide === I64 ? 4 : 3).map((size, log) => ({
        of: kind as FlagKind,
        code: CARRIED[kind] + log,
        types: ColdPaths.types(kind, size),
        store: this.storeFlags(kind, size),
      }))
    );
    cases.push({
      of: "raw",
      code: CARRIED.raw,
      types: ColdPaths.types("raw", 8),
      store: this.storeFlags("raw", 8),
    });
    return this.#once(`carried ${wide}`, [I32, wide, wide, I64], [], (e, [kind, a, b, r]) => {
      const as = (t: ValType, v: X.Expr) => t === I32 ? X.wrap(v) : X.extU(v);
      for (const { code, of, types, store } of cases) {
        e.if(X.eq(kind, X.c32(code)), () => {
          const result = of === "logic" ? a : resultOf(of, a, b) ?? r;
          e.call(store, as(types[0], a), as(types[1], b), as(types[2], result));
          e.ret();
        });
      }
    });
  }

  /** Stores registers, and with `flags` the flag words, given as parameters. */
  spill(registers: readonly number[], wide: ValType, flags: boolean): number {
    const params = registers.map(() => wide).concat(flags ? [I64, I32] : []);
    return this.#once(`spill ${registers} ${wide} ${flags}`, params, [], (e, p) => {
      registers.forEach((r, i) => e.store(64, X.c32(0), X.extU(p[i]), L.GPR + r * 8));
      if (flags) setLazy(e, p[registers.length], p[registers.length + 1]);
    });
  }

  /** Looks an access up in the TLB: (linear address i64, bytes - 1) -> host offset, or 0. */
  probe(write: boolean): number {
    return this.#once(`probe ${write}`, [I64, I32], [I32], (e, [la, more]) => {
      const entry = e.tlbEntry(la), last = X.add(la, X.extU(more));
      const tag = X.load(64, entry, write ? L.TLB_WRITE : L.TLB_READ);
      e.unlikely(X.ne(X.and(last, X.c64(-4096)), tag), () => {
        e.push(X.c32(0));
        e.ret();
      });
      e.push(X.add(X.wrap(la), X.load(32, entry, L.TLB_ADDEND)));
    });
  }
}
