/**
 * Data movement: MOV, MOVZX/MOVSX, LEA, XCHG, CMOVcc, SETcc, conversions, BSWAP, MOVBE, XLAT, flags in AH.
 *
 * Source: Intel SDM volume 2.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Emit } from "../emit.ts";
import type { Operand, Semantic } from "../form.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { REC } from "../insn.ts";
import { aux, carry, condition, parity, setLazy, signExtend, truncate } from "./flags.ts";
import { SF_REC_SEG } from "../emit.ts";

const mov: Semantic = (e, f) => {
  e.write(f.ops[0], e.read(f.ops[1]));
  e.next();
};

/** The value of a narrow operand extended to the form's size. */
const movzx: Semantic = (e, f) => {
  const v = e.read(f.ops[1]);
  e.write(f.ops[0], f.size === 64 ? X.extU(v) : v);
  e.next();
};
const movsx: Semantic = (e, f) => {
  const wide = signExtend(f.ops[1].size, e.read(f.ops[1]));
  e.write(f.ops[0], f.size === 64 ? wide : truncate(f.size, X.wrap(wide)));
  e.next();
};

/** LEA: the offset, wrapped to the address size, truncated to the operand size. `sub` is the address size in bits. */
const lea: Semantic = (e, f) => {
  let v: Expr = e.offset();
  if (f.sub === 32) v = X.extU(X.wrap(v));
  else if (f.sub === 16) v = X.and(v, X.c64(0xffff));
  e.write(f.ops[0], f.size === 64 ? v : truncate(f.size, X.wrap(v)));
  e.next();
};

const xchg: Semantic = (e, f) => {
  const b = e.read(f.ops[1]);
  let old!: Expr;
  e.modify(f.ops[0], (o) => {
    old = e.let(o);
    return b;
  }, () => e.write(f.ops[1], old));
  e.next();
};

/** CMOVcc: the source is read whatever the condition; a 32-bit destination is zero-extended in any case. */
const cmov: Semantic = (e, f) => {
  const v = e.read(f.ops[1]), old = e.read(f.ops[0]);
  e.write(f.ops[0], X.select(condition(e, f.sub), v, old));
  e.next();
};
const setcc: Semantic = (e, f) => {
  e.write(f.ops[0], condition(e, f.sub));
  e.next();
};

/** CBW, CWDE, CDQE: the accumulator's lower half sign-extended. */
const cbw: Semantic = (e, f) => {
  const wide = signExtend(f.size >> 1, e.gpr(0, f.size >> 1));
  e.setGpr(0, f.size, f.size === 64 ? wide : truncate(f.size, X.wrap(wide)));
  e.next();
};
/** CWD, CDQ, CQO: DX filled with the accumulator's sign. */
const cwd: Semantic = (e, f) => {
  const sign = X.shrS(signExtend(f.size, e.gpr(0, f.size)), X.c64(63));
  e.setGpr(2, f.size, f.size === 64 ? sign : truncate(f.size, X.wrap(sign)));
  e.next();
};

/** Bytes of an i32 or i64 reversed. */
function reverse(e: Emit, v: Expr): Expr {
  const a = e.let(v);
  if (a.t === X.c32(0).t) {
    return X.or(
      X.and(X.rotl(a, X.c32(8)), X.c32(0x00ff00ff)),
      X.and(X.rotr(a, X.c32(8)), X.c32(0xff00ff00)),
    );
  }
  const lo = reverse(e, X.wrap(a)), hi = reverse(e, X.wrap(X.shrU(a, X.c64(32))));
  return X.or(X.shl(X.extU(lo), X.c64(32)), X.extU(hi));
}
/** BSWAP; a 16-bit operand is undefined and gives 0 on processors. */
const bswap: Semantic = (e, f) => {
  e.modify(f.ops[0], (v) => f.size === 16 ? X.c32(0) : reverse(e, v));
  e.next();
};
const movbe: Semantic = (e, f) => {
  const v = e.read(f.ops[1]);
  e.write(f.ops[0], f.size === 16 ? X.shrU(reverse(e, v), X.c32(16)) : reverse(e, v));
  e.next();
};

/** XLAT: the decoder makes RBX the base; AL is added here. */
const xlat: Semantic = (e) => {
  const off = e.let(X.callX(X.c64(0).t, e.rt.getIndex, X.c32(3 * 8), e.field8(REC.ADDRSIZE)));
  const sum = e.let(X.add(off, X.extU(e.gpr(0, 8))));
  const bits = X.shl(X.extU(e.field8(REC.ADDRSIZE)), X.c64(3));
  const mask = X.shrU(X.c64(-1), X.sub(X.c64(64), bits));
  const la = X.callX(X.c64(0).t, e.rt.segLinear, e.field8(REC.SEG), X.and(sum, mask), X.c32(1));
  e.setGpr(0, 8, e.memRead(8, la, SF_REC_SEG));
  e.next();
};

/** The low byte of RFLAGS from the lazy flags. */
export function flagsByte(e: Emit): Expr {
  const res = e.state(64, L.LF_RES);
  const sf = X.and(X.xor(X.wrap(X.shrU(res, X.c64(63))), aux(e)), X.c32(1));
  const af = X.shl(X.and(aux(e), X.c32(8)), X.c32(1));
  return X.or(
    X.or(X.or(carry(e), X.c32(2)), X.shl(parity(e), X.c32(2))),
    X.or(af, X.or(X.shl(X.eqz(res), X.c32(6)), X.shl(sf, X.c32(7)))),
  );
}
const AH: Operand = { k: "gpr", n: 1, size: 8 };
const lahf: Semantic = (e) => {
  e.write(AH, flagsByte(e));
  e.next();
};
/** SAHF: SF ZF AF PF CF from AH, OF kept. */
const sahf: Semantic = (e) => {
  const ah = e.read(AH);
  const a = e.let(aux(e));
  const of = X.shrU(X.xor(a, X.shl(a, X.c32(1))), X.c32(31));
  const bit = (n: number) => X.and(X.shrU(ah, X.c32(n)), X.c32(1));
  const cf = e.let(bit(0)), zf = e.let(bit(6)), po = X.xor(cf, of);
  const pdb = X.xor(zf, bit(2));
  const word = X.or(
    X.or(X.shl(cf, X.c32(31)), X.shl(po, X.c32(30))),
    X.or(X.or(X.shl(pdb, X.c32(8)), X.shl(bit(4), X.c32(3))), bit(7)),
  );
  setLazy(e, X.extU(X.xor(zf, X.c32(1))), word);
  e.next();
};

/** NOP with or without a ModRM operand: the operand is not accessed. */
const nop: Semantic = (e) => e.next();

/** CLFLUSH: checked like a byte load; there is no cache to flush. */
const touch: Semantic = (e, f) => {
  e.read(f.ops[0]);
  e.next();
};

/** Semantic functions of this family. */
export const move: Record<string, Semantic> = {
  mov,
  movzx,
  movsx,
  lea,
  xchg,
  cmov,
  setcc,
  cbw,
  cwd,
  bswap,
  movbe,
  xlat,
  lahf,
  sahf,
  nop,
  touch,
};
