/**
 * Bit tests and scans, CMPXCHG8B, CRC32. Source: Intel SDM volume 2.
 *
 * @module
 */
import { type Emit, SF_REC_SEG, SF_RMW, SF_WRITE } from "../emit.ts";
import type { Form, Semantic } from "../form.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { REC } from "../insn.ts";
import { flagsLogic, setCarry, setLazy, setZero } from "./flags.ts";

type BitOp = (a: Expr, mask: Expr) => Expr;

/** The bit index within the operand as a shift count of its type. */
const bitShift = (f: Form, index: Expr): Expr => X.and(index, X.cLike(index, f.size - 1));

/** BT, BTS, BTR, BTC. With a memory operand and a register index the index reaches beyond the operand. */
function bitTest(change: BitOp | null): Semantic {
  return (e, f) => {
    const [dst, idx] = f.ops;
    let index = e.read(idx);
    if (idx.k === "imm") index = f.size === 64 ? e.let(X.extU(index)) : index;
    const sh = e.let(bitShift(f, index));
    const one = X.cLike(sh, 1);
    let cf!: Expr;
    const apply = (old: Expr): Expr => {
      const a = e.let(old);
      cf = e.let(X.and(X.wrap(X.shrU(a, sh)), X.c32(1)));
      return change!(a, X.shl(one, sh));
    };
    if (dst.k === "mem" && idx.k !== "imm") {
      const flags = f.size >> 3 | (change ? SF_WRITE | SF_RMW : 0);
      const la = bitString(e, f, index, flags);
      if (change) e.memModify(f.size, la, apply, SF_REC_SEG);
      else cf = e.let(X.and(X.wrap(X.shrU(e.memRead(f.size, la, SF_REC_SEG), sh)), X.c32(1)));
    } else if (change) e.modify(dst, apply);
    else cf = e.let(X.and(X.wrap(X.shrU(e.read(dst), sh)), X.c32(1)));
    setCarry(e, cf);
    e.next();
  };
}

/** Linear address of the operand-sized word that holds a signed bit index. */
function bitString(e: Emit, f: Form, index: Expr, sizeFlags: number): Expr {
  const wide = f.size === 64 ? index : X.extS(f.size === 16 ? X.ext16S(index) : index);
  const log = Math.log2(f.size);
  const bytes = e.let(X.shl(X.shrS(wide, X.c64(log)), X.c64(log - 3)));
  const sum = X.add(e.offset(), bytes);
  if (f.addr === "L") return sum;
  if (f.addr === "F") return X.extU(X.wrap(sum));
  const bits = X.shl(X.extU(e.field8(REC.ADDRSIZE)), X.c64(3));
  const masked = X.and(sum, X.shrU(X.c64(-1), X.sub(X.c64(64), bits)));
  return X.callX(X.c64(0).t, e.rt.segLinear, e.field8(REC.SEG), masked, X.c32(sizeFlags));
}

/** BSF and BSR: a zero source leaves the destination alone and sets ZF. */
function scan(reverse: boolean): Semantic {
  return (e, f) => {
    const v = e.read(f.ops[1]);
    flagsLogic(e, f.size, v);
    e.if(X.ne(v, X.cLike(v, 0)), () => {
      const n = reverse ? X.sub(X.cLike(v, v.t === X.c64(0).t ? 63 : 31), X.clz(v)) : X.ctz(v);
      e.write(f.ops[0], n);
    });
    e.next();
  };
}

/** POPCNT: ZF of the source, all other flags clear. */
const popcnt: Semantic = (e, f) => {
  const v = e.read(f.ops[1]);
  e.write(f.ops[0], X.popcnt(v));
  const nz = X.ne(v, X.cLike(v, 0));
  setLazy(e, X.extU(nz), X.shl(X.eqz(v), X.c32(8)));
  e.next();
};

/** TZCNT and LZCNT: CF for a zero source, ZF for a zero result; the others as a logic result leaves them. */
function count(leading: boolean): Semantic {
  return (e, f) => {
    const v = e.read(f.ops[1]);
    let r: Expr;
    if (f.size === 16) {
      r = leading ? X.sub(X.clz(v), X.c32(16)) : X.ctz(X.or(v, X.c32(0x10000)));
    } else r = leading ? X.clz(v) : X.ctz(v);
    r = e.let(r);
    e.write(f.ops[0], r);
    flagsLogic(e, f.size, r);
    setCarry(e, X.eqz(v));
    e.next();
  };
}

/** CMPXCHG8B: EDX:EAX against memory; only ZF changes. */
const cmpxchg8b: Semantic = (e, f) => {
  const acc = e.let(X.or(X.shl(X.extU(e.gpr(2, 32)), X.c64(32)), X.extU(e.gpr(0, 32))));
  const want = e.let(X.or(X.shl(X.extU(e.gpr(1, 32)), X.c64(32)), X.extU(e.gpr(3, 32))));
  let old!: Expr;
  const la = e.ea(f.addr, 8 | SF_WRITE | SF_RMW);
  e.memModify(64, la, (o) => {
    old = e.let(o);
    return X.select(X.eq(old, acc), want, old);
  }, SF_REC_SEG);
  const equal = e.let(X.eq(old, acc));
  setZero(e, equal);
  e.if(X.eqz(equal), () => {
    e.setGpr(0, 32, X.wrap(old));
    e.setGpr(2, 32, X.wrap(X.shrU(old, X.c64(32))));
  });
  e.next();
};

/** CRC32 (SSE4.2): polynomial 0x11edc6f41, reflected 0x82f63b78, a bit at a time. */
const crc32: Semantic = (e, f) => {
  const src = f.ops[1];
  const data = e.read(src);
  const crc = e.mutable(X.wrap(e.read(f.ops[0])));
  const rest = e.mutable(X.extU(data));
  const left = e.mutable(X.c32(src.size));
  e.loop((again) => {
    const bit = e.let(X.and(X.xor(crc, X.wrap(rest)), X.c32(1)));
    e.set(crc, X.xor(X.shrU(crc, X.c32(1)), X.and(X.sub(X.c32(0), bit), X.c32(0x82f63b78))));
    e.set(rest, X.shrU(rest, X.c64(1)));
    e.set(left, X.sub(left, X.c32(1)));
    again(left);
  });
  e.write({ ...f.ops[0], size: 32 } as typeof src, crc);
  e.next();
};

/** Semantic functions of this family. */
export const bits: Record<string, Semantic> = {
  bt: bitTest(null),
  bts: bitTest((a, m) => X.or(a, m)),
  btr: bitTest((a, m) => X.and(a, X.not(m))),
  btc: bitTest((a, m) => X.xor(a, m)),
  bsf: scan(false),
  bsr: scan(true),
  popcnt,
  tzcnt: count(false),
  lzcnt: count(true),
  cmpxchg8b,
  crc32,
};
