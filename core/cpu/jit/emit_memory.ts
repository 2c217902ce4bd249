/**
 * The compiler's `Emit`, second part: memory.
 *
 * A region keeps the translation last used by each group of accesses (through one base register, on the stack, to one
 * table; reads apart from writes) in two locals. An access to the page that is kept needs neither a TLB entry nor a hash:
 * a subtraction, a comparison and an addition. Another page is looked up in the TLB, out of line.
 *
 * A kept translation is one that is in the TLB: only a slow path can change that while the region runs, and it makes the
 * region leave (`Leave.RETRY`) whenever an entry gives way. So a run with compiled code walks page tables exactly when an
 * interpreted one does.
 *
 * @module
 */
import * as L from "../../layout.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { I32 } from "../../wasm/module.ts";
import { SF_COMPILED, SF_PROBE, SF_RMW, SF_STACK } from "../emit.ts";
import type { AddrKind } from "../form.ts";
import { REC } from "../insn.ts";
import { Gpr, Seg } from "../state.ts";
import { RegisterEmit } from "./emit_registers.ts";

/** Most translations that a region keeps: each takes two locals. */
const KEPT_MAX = 24;
const PAGE = 4096;

/**
 * A translation in locals. 32-bit code: linear address of the page (i64; beyond 4 GiB when there is none) and host offset of
 * the page. 64-bit code: linear address of the page (1 when there is none) and what to add to a linear address.
 */
interface Kept {
  page: Expr;
  host: Expr;
}

/** Emission of memory accesses. */
export class MemoryEmit extends RegisterEmit {
  readonly #kept = new Map<string, Kept>();

  /** General addressing is compiled for 64-bit code only: FS and GS have bases, nothing has limits. */
  override ea(kind: AddrKind, sizeFlags: number): Expr {
    if (kind === "F") return X.extU(this.let(X.wrap(this.offset())));
    if (kind !== "G") return super.ea(kind, sizeFlags);
    const bits = this.s.u8[this.current + REC.ADDRSIZE] * 8, seg = this.s.u8[this.current + REC.SEG];
    const off = bits === 64 ? this.offset() : X.extU(X.wrap(this.offset()));
    return this.let(seg >= Seg.FS * L.SEG_SIZE ? X.add(off, this.state(64, L.SEG + seg + L.SEG_BASE)) : off);
  }
  override offset(): Expr {
    const { u8 } = this.s, at = this.current;
    const scaled = X.shl(this.regField(REC.INDEX), X.c64(u8[at + REC.SCALE]));
    const base = this.regField(REC.BASE), disp = this.field64(REC.DISP);
    const sum = base.is(0) ? disp : X.add(base, disp);
    if (scaled.is(0) || u8[at + REC.INDEX] === L.ZERO) return sum;
    return sum.is(0) ? scaled : X.add(sum, scaled);
  }

  /** What accesses are likely to go to the same page as this one. */
  #group(flags: number): string {
    if (flags & SF_STACK) return "stack";
    const { u8, i32 } = this.s, at = this.current, base = u8[at + REC.BASE], index = u8[at + REC.INDEX];
    const disp = i32[(at + REC.DISP) >> 2], near = disp > -PAGE && disp < PAGE;
    const seg = u8[at + REC.SEG] >= Seg.FS * L.SEG_SIZE ? `${u8[at + REC.SEG]}:` : "";
    if (base === Gpr.SP * 8 && near && seg === "") return "stack";
    return seg + (base === L.ZERO ? `-${index}` : base) + (near ? "" : `+${disp >> 12}`);
  }

  #keep(flags: number, write: boolean): Kept | null {
    const key = (write ? "w" : "r") + this.#group(flags), known = this.#kept.get(key);
    if (known) return known;
    if (this.#kept.size >= KEPT_MAX) return null;
    const page = this.startingWith(this.code64 ? X.c64(1) : X.c64w(0, 0x100));
    const kept = { page, host: this.fresh(I32) };
    this.#kept.set(key, kept);
    return kept;
  }

  /** Is an access on the page that is kept? Gives the condition (i32) and, where it holds, the host offset. */
  #hit(kept: Kept, la: Expr, bytes: number): { hit: Expr; host: Expr } {
    if (this.code64) {
      // Both ends must lie on the page: the one before may be anywhere in the host.
      const here = X.eq(X.and(la, X.c64(-PAGE)), kept.page);
      const whole = X.leU(X.and(X.wrap(la), X.c32(PAGE - 1)), X.c32(PAGE - bytes));
      return { hit: bytes > 1 ? X.and(here, whole) : here, host: X.add(X.wrap(la), kept.host) };
    }
    const into = this.let(X.sub(la, kept.page));
    return { hit: X.leU(into, X.c64(PAGE - bytes)), host: X.add(X.wrap(into), kept.host) };
  }

  #remember(kept: Kept, la: Expr, host: Expr): void {
    if (this.code64) {
      this.set(kept.page, X.and(la, X.c64(-PAGE)));
      this.set(kept.host, X.sub(host, X.wrap(la)));
    } else {
      this.set(kept.page, X.extU(X.and(X.wrap(la), X.c32(-PAGE))));
      this.set(kept.host, X.and(host, X.c32(-PAGE)));
    }
  }

  /** An address bound to locals, so that it can be used more than once. */
  #bind(la: Expr): Expr {
    return this.code64 ? this.let(la) : X.extU(this.let(X.wrap(la)));
  }

  /**
   * Emits the way to a host offset, which is in the returned local afterwards.
   * @param la as `#bind` gives it
   * @param slowed emitted where the slow path has answered, which may be with SLOW_DATA
   */
  #locate(size: number, la: Expr, write: boolean, flags: number, slowed?: (host: Expr) => void): Expr {
    const bytes = size >> 3, host = this.fresh(I32), kept = this.#keep(flags, write);
    const lookUp = () => {
      const { rt, cold } = this;
      this.set(host, X.callX(I32, cold.probe(write), la, X.c32(bytes - 1)));
      this.rawIf(
        X.eqz(host),
        () => {
          this.beforeSlow();
          const sizeFlags = X.c32(bytes | flags | SF_COMPILED);
          this.set(host, X.callX(I32, write ? rt.slowStore : rt.slowLoad, la, sizeFlags, this.rec, this.bud));
          this.unlikely(X.eqz(host), () => this.tailCall(rt.left, this.rec, this.bud));
          slowed?.(host);
        },
        kept ? () => this.#remember(kept, la, host) : undefined,
        false,
      );
    };
    if (kept === null) {
      lookUp();
      return host;
    }
    const h = this.#hit(kept, la, bytes);
    this.rawIf(h.hit, () => this.set(host, h.host), lookUp, true);
    return host;
  }

  override memRead(size: number, la: Expr, flags = 0): Expr {
    return this.let(X.load(size, this.#locate(size, this.#bind(la), false, flags)));
  }
  override memWrite(size: number, la: Expr, value: Expr, flags = 0): void {
    const a = this.#bind(la), v = this.let(value);
    this.block((done) => {
      const host = this.#locate(size, a, true, flags, (slow) => {
        this.store(size, slow, v);
        this.commit(slow);
        done();
      });
      this.store(size, host, v);
    });
  }
  override memModify(size: number, la: Expr, fn: (old: Expr) => Expr, flags = 0): void {
    const host = this.#locate(size, this.#bind(la), true, flags | SF_RMW);
    const v = this.let(fn(this.let(X.load(size, host))));
    this.store(size, host, v);
    this.commit(host);
  }
  override memProbeWrite(size: number, la: Expr, flags = 0): void {
    this.#locate(size, this.#bind(la), true, flags | SF_RMW | SF_PROBE);
  }
}
