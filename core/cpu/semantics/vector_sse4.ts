/**
 * SSSE3, SSE4.1 and SSE4.2 integer operations, as WebAssembly SIMD. Source: Intel SDM volume 2.
 *
 * @module
 */
import { type Emit, I32, V128 } from "../emit.ts";
import type { Operand, Semantic } from "../form.ts";
import * as L from "../../layout.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import { setLazy } from "./flags.ts";
import {
  binary,
  constant,
  enterMmx,
  fromQword,
  isMmx,
  lane,
  lowQword,
  readVector,
  shuffle,
  simd,
  writeVector,
  zero,
} from "./vector_operands.ts";

const IOTA = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const iota = (): Expr => constant(...IOTA);
const splat8 = (v: Expr): Expr => simd(0x0f, v);

// ---- SSSE3 ----

/** PSHUFB: an index with bit 7 set reads zero. */
const pshufb = binary((_e, a, b, f) => simd(0x0e, a, simd(0x4e, b, splat8(X.c32(isMmx(f) ? 0x87 : 0x8f)))));

/** PHADDW and its like: even elements op odd ones; `sub` is the operation. Elements are words below opcode A0. */
const horizontal = binary((e, a, b, f) => {
  const size = f.sub < 0xa0 ? 2 : 4, half = isMmx(f) ? 8 : 16;
  const from = (odd: number) => {
    const idx: number[] = [];
    for (const base of [0, 16]) {
      for (let i = 0; i < half; i += size * 2) {
        for (let k = 0; k < size; k++) idx.push(base + i + odd * size + k);
      }
    }
    while (idx.length < 16) idx.push(0);
    return idx;
  };
  return simd(f.sub, e.let(shuffle(a, b, from(0))), e.let(shuffle(a, b, from(1))));
});

/** PMADDUBSW: unsigned bytes of the first operand times signed ones of the second, neighbours added. */
const pmaddubsw = binary((_e, a, b) => {
  const eight = X.c32(8);
  const even = simd(0x95, simd(0x8d, simd(0x8b, a, eight), eight), simd(0x8c, simd(0x8b, b, eight), eight));
  const odd = simd(0x95, simd(0x8d, a, eight), simd(0x8c, b, eight));
  return simd(0x8f, even, odd);
});

/** PSIGNB (sub 0), PSIGNW (1), PSIGND (2): negated, zeroed or kept by the sign of the second operand. */
const psign = binary((e, a, b, f) => {
  const [lt, eq, sub] = [[0x25, 0x23, 0x71], [0x2f, 0x2d, 0x91], [0x39, 0x37, 0xb1]][f.sub];
  const negative = e.let(simd(lt, b, zero()));
  const signed = simd(sub, simd(0x51, a, negative), negative);
  return simd(0x4f, signed, simd(eq, b, zero()));
});

/** PMULHRSW: WebAssembly saturates -1 × -1, x86 wraps. */
const pmulhrsw = binary((_e, a, b) => {
  const min = simd(0x10, X.c32(0x8000));
  return simd(0x51, simd(0x82, a, b), simd(0x4e, simd(0x2d, a, min), simd(0x2d, b, min)));
});

/** dst = op(src), `sub` the opcode: PABSB and its like, PMOVSXBW and its like (steps in `sub`, lowest byte first). */
const unary: Semantic = (e, f) => {
  enterMmx(e, f);
  let v = readVector(e, f.ops[1]);
  for (let s = f.sub; s > 0; s >>>= 8) v = simd(s & 0xff, v);
  const dst = f.ops[0];
  writeVector(e, f, dst.k === "xmm" ? { ...dst, size: 128 } : dst, v);
  e.next();
};

/** PALIGNR: bytes of first:second from the immediate on. */
const palignr = binary((e, a, b, f) => {
  const mmx = isMmx(f), width = mmx ? 16 : 32, imm = e.let(e.imm(8));
  const n = X.select(X.gtU(imm, X.c32(width)), X.c32(width), imm);
  const idx = e.let(simd(0x6e, iota(), splat8(n)));
  if (mmx) return simd(0x0e, e.let(lane(V128, 0x1e, 1, b, lowQword(a))), idx);
  return simd(0x50, simd(0x0e, b, idx), simd(0x0e, a, simd(0x71, idx, splat8(X.c32(16)))));
});

// ---- SSE4.1: blends ----

/** PBLENDVB (sub 0), BLENDVPS (1), BLENDVPD (2): by the sign bits of XMM0. */
const blendv = binary((e, a, b, f) => {
  const by = e.let(X.load(128, X.c32(0), L.XMM));
  const [op, bits] = [[0x6c, 7], [0xac, 31], [0xcc, 63]][f.sub];
  return simd(0x52, b, a, simd(op, by, X.c32(bits)));
});

/** All ones in the lanes whose bit of a runtime value is set; lanes of 2, 4 or 8 bytes. */
function laneMask(e: Emit, bits: Expr, size: number): Expr {
  const bytes = new Array(16).fill(0);
  for (let i = 0; i < 16 / size; i++) bytes[i * size] = 1 << i;
  const each = constant(...bytes);
  const [splat, eq] = size === 2 ? [0x10, 0x2d] : size === 4 ? [0x11, 0x37] : [0x12, 0xd6];
  const all = simd(splat, size === 8 ? X.extU(bits) : bits);
  return e.let(simd(eq, simd(0x4e, all, each), each));
}
/** BLENDPS, BLENDPD, PBLENDW: by the immediate; `sub` is the lane's size. */
const blend = binary((e, a, b, f) => simd(0x52, b, a, laneMask(e, e.imm(8), f.sub)));

/** INSERTPS: an element of the source, then zeros where the immediate says. */
const insertps: Semantic = (e, f) => {
  const dst = f.ops[0] as Operand & { at: number }, src = f.ops[1], imm = e.let(e.imm(8));
  const place = (shift: number) => X.shl(X.and(X.shrU(imm, X.c32(shift)), X.c32(3)), X.c32(2));
  const v = src.k === "xmm"
    ? e.let(X.load(32, X.add(e.field8(src.at), place(6)), L.XMM))
    : e.read({ ...src, size: 32 } as Operand);
  e.store(32, X.add(e.field8(dst.at), place(4)), v, L.XMM);
  const kept = simd(0x4f, X.load(128, e.field8(dst.at), L.XMM), laneMask(e, X.and(imm, X.c32(15)), 4));
  e.store(128, e.field8(dst.at), e.let(kept), L.XMM);
  e.next();
};

// ---- SSE4.1: elements ----

/** Byte offset from XMM of the element that the immediate chooses. */
const elementAt = (e: Emit, o: Operand, size: number): Expr => {
  const bytes = size >> 3, index = X.and(e.imm(8), X.c32(16 / bytes - 1));
  return X.add(e.field8((o as Operand & { at: number }).at), X.shl(index, X.c32(Math.log2(bytes))));
};
/** PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS: `sub` is the element's size in bits; 0: the operand's. */
const extract: Semantic = (e, f) => {
  const size = f.sub || f.ops[0].size;
  e.write(f.ops[0], e.let(X.load(size, elementAt(e, f.ops[1], size), L.XMM)));
  e.next();
};
/** PINSRB, PINSRD, PINSRQ. */
const insert: Semantic = (e, f) => {
  const size = f.sub || f.ops[1].size, v = e.read(f.ops[1]);
  e.store(size, elementAt(e, f.ops[0], size), v, L.XMM);
  e.next();
};

// ---- SSE4.1: the rest ----

/** PTEST: ZF when no bit is common, CF when the destination has all of the source's. */
const ptest: Semantic = (e, f) => {
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  const none = (v: Expr) => X.eqz(X.op(I32, 0xfd53, v));
  const zf = e.let(none(simd(0x4e, a, b))), cf = e.let(none(simd(0x4f, b, a)));
  // Result 0 would set PF: the parity correction clears it.
  const carry = X.or(X.shl(cf, X.c32(31)), X.shl(cf, X.c32(30)));
  setLazy(e, X.extU(X.xor(zf, X.c32(1))), X.or(carry, X.shl(zf, X.c32(8))));
  e.next();
};

/** PMULDQ: even dwords multiplied, signed. */
const pmuldq = binary((e, a, b) => {
  const even = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
  return simd(0xdc, e.let(shuffle(a, a, even)), e.let(shuffle(b, b, even)));
});

/** PHMINPOSUW: smallest word and its index: the minimum of word << 3 | index. */
const phminposuw: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]), three = X.c32(3);
  const keyed = (op: number, first: number) =>
    simd(
      0x50,
      simd(0xab, simd(op, v), three),
      constant(...[0, 1, 2, 3].flatMap((i) => [i + first, 0, 0, 0])),
    );
  let m = e.let(simd(0xb7, keyed(0xa9, 0), keyed(0xaa, 4)));
  for (const by of [8, 4]) {
    const rotated = IOTA.map((i) => (i + by) % 16);
    m = e.let(simd(0xb7, m, shuffle(m, m, rotated)));
  }
  const x = e.let(lane(I32, 0x1b, 0, m));
  const r = X.or(X.shrU(x, three), X.shl(X.and(x, X.c32(7)), X.c32(16)));
  writeVector(e, f, f.ops[0], fromQword(X.extU(r)));
  e.next();
};

/** MPSADBW: eight sums of four absolute differences. */
const mpsadbw = binary((e, a, b) => {
  const imm = e.let(e.imm(8)), start = e.let(X.and(imm, X.c32(4)));
  const block = e.let(X.shl(X.and(imm, X.c32(3)), X.c32(2)));
  let sum = zero();
  for (let k = 0; k < 4; k++) {
    const at = (from: Expr) => splat8(X.add(from, X.c32(k)));
    const x = simd(0x89, simd(0x0e, a, simd(0x6e, iota(), at(start))));
    const y = simd(0x89, simd(0x0e, b, at(block)));
    sum = e.let(simd(0x8e, sum, simd(0x80, simd(0x91, x, y))));
  }
  return sum;
});

/** Semantic functions of this file. */
export const vectorSse4: Record<string, Semantic> = {
  pshufb,
  horizontal,
  pmaddubsw,
  psign,
  pmulhrsw,
  vector_unary: unary,
  palignr,
  blendv,
  blend,
  insertps,
  extract,
  insert,
  ptest,
  pmuldq,
  phminposuw,
  mpsadbw,
};
