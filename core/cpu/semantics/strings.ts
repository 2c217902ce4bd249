/**
 * String instructions: MOVS, CMPS, STOS, LODS, SCAS, with their repeat prefixes. Source: Intel SDM volume 2.
 *
 * A repeated instruction is always the last of its block. Every iteration retires as one instruction (a count of zero as
 * one too): the block's charge covers the first, each further one takes one from the budget, so an interrupt or the
 * end of the budget between iterations has an exact icount. Long runs inside one page are done in bulk with the same
 * accounting.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { type Emit, SF_REC_SEG, SF_WRITE, V128 } from "../emit.ts";
import type { Form, Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import { Leave } from "../leave.ts";
import { Gpr, Seg } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import { type Expr } from "../../wasm/expr.ts";
import { flagsSub } from "./flags.ts";

const I64 = X.c64(0).t;
const ES = Seg.ES * L.SEG_SIZE;
/** FLAGS.DF. */
const DF = 0x400;

/** Offset register at the address size, as i64. */
function index(e: Emit, f: Form, r: number): Expr {
  if (f.addr === "L") return e.gpr(r, 64);
  if (f.addr === "F") return X.extU(e.gpr(r, 32));
  return X.callX(I64, e.rt.getIndex, X.c32(r * 8), e.field8(REC.ADDRSIZE));
}

/** Adds to an offset or count register at the address size. */
function advance(e: Emit, f: Form, r: number, delta: Expr): void {
  if (f.addr === "L") e.setGpr(r, 64, X.add(e.gpr(r, 64), X.extS(delta)));
  else if (f.addr === "F") e.setGpr(r, 32, X.add(e.gpr(r, 32), delta));
  else e.call(e.rt.addIndex, X.c32(r * 8), e.field8(REC.ADDRSIZE), delta);
}

/** Linear addresses of the source (segment of the record) and the destination (always ES). */
function source(e: Emit, f: Form): Expr {
  const off = index(e, f, Gpr.SI);
  if (f.addr !== "G") return e.let(off);
  return e.let(X.callX(I64, e.rt.segLinear, e.field8(REC.SEG), off, X.c32(f.size >> 3)));
}
function destination(e: Emit, f: Form, write: boolean): Expr {
  const off = index(e, f, Gpr.DI);
  if (f.addr !== "G") return e.let(off);
  return e.let(X.callX(I64, e.rt.segLinear, X.c32(ES), off, X.c32(f.size >> 3 | (write ? SF_WRITE : 0))));
}

/** Plus or minus the element size, as DF says. */
function step(e: Emit, f: Form): Expr {
  const bytes = f.size >> 3;
  return e.let(X.select(X.and(e.state(32, L.FLAGS), X.c32(DF)), X.c32(-bytes), X.c32(bytes)));
}

/** One iteration of each instruction. */
const once: Record<string, (e: Emit, f: Form) => void> = {
  movs(e, f) {
    const v = e.memRead(f.size, source(e, f), SF_REC_SEG);
    e.memWrite(f.size, destination(e, f, true), v);
    const d = step(e, f);
    advance(e, f, Gpr.SI, d);
    advance(e, f, Gpr.DI, d);
  },
  stos(e, f) {
    e.memWrite(f.size, destination(e, f, true), e.gpr(Gpr.AX, f.size));
    advance(e, f, Gpr.DI, step(e, f));
  },
  lods(e, f) {
    e.setGpr(Gpr.AX, f.size, e.memRead(f.size, source(e, f), SF_REC_SEG));
    advance(e, f, Gpr.SI, step(e, f));
  },
};

/** One iteration of each comparing instruction: what was compared with what. The flags are the caller's business. */
const compare: Record<string, (e: Emit, f: Form) => [Expr, Expr]> = {
  scas(e, f) {
    const b = e.memRead(f.size, destination(e, f, false));
    const a = e.let(e.gpr(Gpr.AX, f.size));
    advance(e, f, Gpr.DI, step(e, f));
    return [a, b];
  },
  cmps(e, f) {
    // The destination is read first: it decides which page fault is raised.
    const b = e.memRead(f.size, destination(e, f, false));
    const a = e.memRead(f.size, source(e, f), SF_REC_SEG);
    const d = step(e, f);
    advance(e, f, Gpr.SI, d);
    advance(e, f, Gpr.DI, d);
    return [a, b];
  },
};

/** How many elements fit between an address and the end of its page. */
const untilPageEnd = (la: Expr, bytes: number): Expr =>
  X.shrU(X.sub(X.c32(4096), X.and(X.wrap(la), X.c32(4095))), X.c32(Math.log2(bytes)));

const min = (e: Emit, a: Expr, b: Expr): Expr => {
  const x = e.let(a), y = e.let(b);
  return e.let(X.select(X.ltU(x, y), x, y));
};

/** Opcodes that make a vector of equal elements, by their size. */
const SPLAT: Record<number, number> = { 16: 0xfd10, 32: 0xfd11, 64: 0xfd12 };

/** Stores an element again and again, 16 bytes at a time and then one by one. */
function fillWith(e: Emit, size: number, to: Expr, length: Expr, element: Expr): void {
  const at = e.mutable(to), end = e.let(X.add(to, length)), many = e.let(X.op(V128, SPLAT[size], element));
  const repeat = (done: () => Expr, bits: number, value: Expr) =>
    e.block((out) =>
      e.loop((again) => {
        out(done());
        e.store(bits, at, value);
        e.set(at, X.add(at, X.c32(bits >> 3)));
        again();
      })
    );
  repeat(() => X.ltU(X.sub(end, at), X.c32(16)), 128, many);
  repeat(() => X.eq(at, end), size, element);
}

/**
 * Bulk part of a repeated MOVS or STOS: forward, within one page on each side, no overlap that would propagate,
 * bounded by the budget. Does nothing when fewer than two elements qualify.
 */
function bulk(e: Emit, f: Form, bud: Expr): void {
  const bytes = f.size >> 3, moves = f.name === "movs";
  e.block((skip) => {
    skip(X.and(e.state(32, L.FLAGS), X.c32(DF)));
    const count = e.let(index(e, f, Gpr.CX));
    const small = X.wrap(X.select(X.ltU(count, X.c64(4096)), count, X.c64(4096)));
    let n = min(e, small, X.add(bud, X.c32(1)));
    const dst = destination(e, f, true);
    n = min(e, n, untilPageEnd(dst, bytes));
    let src: Expr | null = null;
    if (moves) {
      src = source(e, f);
      n = min(e, n, untilPageEnd(src, bytes));
    }
    skip(X.ltU(n, X.c32(2)));
    const length = e.let(X.mul(n, X.c32(bytes)));
    // Only directly mapped pages: the first touch of a page, MMIO and pages that hold code go one by one.
    skip(X.eqz(e.isDirect(dst, L.TLB_WRITE)));
    if (src) skip(X.eqz(e.isDirect(src, L.TLB_READ)));
    const from = src ? e.directHost(src) : null;
    const to = e.directHost(dst);
    if (from) {
      skip(X.ltU(X.sub(to, from), length));
      e.push(to);
      e.push(from);
      e.push(length);
      e.body.code.raw([0xfc, 10, 0, 0]); // memory.copy
      advance(e, f, Gpr.SI, length);
    } else {
      const a = e.let(e.gpr(Gpr.AX, f.size));
      const bytewise = () => {
        e.push(to);
        e.push(X.and(X.wrap(a), X.c32(0xff)));
        e.push(length);
        e.body.code.raw([0xfc, 11, 0]); // memory.fill
      };
      if (bytes === 1) bytewise();
      else {
        const rotated = X.c64(0).t === a.t ? X.rotl(a, X.c64(8)) : f.size === 32 ? X.rotl(a, X.c32(8)) : null;
        const uniform = rotated ? X.eq(a, rotated) : X.eq(X.and(a, X.c32(0xff)), X.shrU(a, X.c32(8)));
        e.if(uniform, bytewise, () => fillWith(e, f.size, to, length, a));
      }
    }
    advance(e, f, Gpr.DI, length);
    advance(e, f, Gpr.CX, X.sub(X.c32(0), n));
    // The first element was charged with the block.
    e.set(bud, X.sub(bud, X.sub(n, X.c32(1))));
    e.if(X.eqz(index(e, f, Gpr.CX)), () => e.next());
    e.if(X.eqz(bud), () => e.leave(Leave.BUDGET));
    e.set(bud, X.sub(bud, X.c32(1)));
  });
}

/**
 * In 64-bit code with 32-bit addresses a repeated instruction writes its registers back zero-extended even when it does
 * nothing: the count always, the offsets for MOVS and STOS (Intel's processors; also when the first element faults).
 */
function narrow(e: Emit, f: Form): void {
  if (f.addr !== "G") return;
  advance(e, f, Gpr.CX, X.c32(0));
  if (f.name === "movs") advance(e, f, Gpr.SI, X.c32(0));
  if (f.name === "movs" || f.name === "stos") advance(e, f, Gpr.DI, X.c32(0));
}

/** MOVS, STOS, LODS; `sub`: 0 no prefix, else repeated. */
const string: Semantic = (e, f) => {
  const body = once[f.name];
  if (f.sub === 0) {
    body(e, f);
    return e.next();
  }
  const bulky = e.bulk && f.name !== "lods" && f.addr !== "G";
  narrow(e, f);
  e.if(X.eqz(index(e, f, Gpr.CX)), () => e.next());
  e.loop((again) => {
    if (bulky) bulk(e, f, e.bud);
    body(e, f);
    advance(e, f, Gpr.CX, X.c32(-1));
    e.if(X.eqz(index(e, f, Gpr.CX)), () => e.next());
    e.if(X.eqz(e.bud), () => e.leave(Leave.BUDGET));
    e.set(e.bud, X.sub(e.bud, X.c32(1)));
    again();
  });
  e.body.code.u8(0x00); // unreachable: the loop never falls through
};

/**
 * SCAS, CMPS; `sub`: 0 no prefix, 1 REPE, 2 REPNE. The flags are written when the instruction ends: a fault in the
 * middle finds them as they were before it (SDM volume 2, REP).
 */
const comparing: Semantic = (e, f) => {
  const body = compare[f.name];
  const end = (a: Expr, b: Expr) => {
    flagsSub(e, f.size, a, b, e.let(X.sub(a, b)));
    e.next();
  };
  if (f.sub === 0) return end(...body(e, f));
  narrow(e, f);
  e.if(X.eqz(index(e, f, Gpr.CX)), () => e.next());
  e.loop((again) => {
    const [a, b] = body(e, f);
    advance(e, f, Gpr.CX, X.c32(-1));
    const differ = X.ne(a, b), stop = f.sub === 1 ? differ : X.eqz(differ);
    e.if(X.or(X.eqz(index(e, f, Gpr.CX)), stop), () => end(a, b));
    e.if(X.eqz(e.bud), () => e.leave(Leave.BUDGET));
    e.set(e.bud, X.sub(e.bud, X.c32(1)));
    again();
  });
  e.body.code.u8(0x00); // unreachable: the loop never falls through
};

/** Semantic functions of this family. */
export const strings: Record<string, Semantic> = {
  movs: string,
  stos: string,
  lods: string,
  scas: comparing,
  cmps: comparing,
};
