/**
 * MMX and SSE data movement, as WebAssembly SIMD. Source: Intel SDM volume 2.
 *
 * @module
 */
import { type Emit, I32, SF_REC_SEG, SF_WRITE } from "../emit.ts";
import type { Form, Operand, Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import * as L from "../../layout.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";
import {
  address16,
  commitMmx,
  enterMmx,
  fromQword,
  isMmx,
  readVector,
  shuffle,
  simd,
  writeVector,
} from "./vector_operands.ts";

/** Whole 16 bytes; `mova` checks alignment. */
const move16 = (check: boolean): Semantic => (e, f) => {
  const [dst, src] = f.ops;
  if (dst.k === "mem") {
    const v = readVector(e, src);
    e.memWrite(128, address16(e, dst.addr, SF_WRITE, check), v, SF_REC_SEG);
  } else writeVector(e, f, dst, readVector(e, src, check));
  e.next();
};
/** MOVSS/MOVSD to a register: from memory the rest is zeroed, from a register it is kept. */
const movScalar: Semantic = (e, f) => {
  const [dst, src] = f.ops;
  if (dst.k !== "xmm") throw new Error("Cannot move a scalar to memory here");
  if (src.k === "mem") {
    const v = e.memRead(src.size, e.ea(src.addr, src.size >> 3), SF_REC_SEG);
    e.store(128, e.field8(dst.at), fromQword(X.extU(v)), L.XMM);
  } else e.write(dst, e.read(src));
  e.next();
};
/** The low part only: stores, and MOVLPS/MOVLPD; for MMX a whole register. */
const movPart: Semantic = (e, f) => {
  enterMmx(e, f);
  const v = e.read(f.ops[1]);
  const dst = f.ops[0];
  if (dst.k === "mm") writeVector(e, f, dst, fromQword(v));
  else {
    e.write(dst, v);
    commitMmx(e, f);
  }
  e.next();
};
/** MOVQ xmm: low half moved, upper half of a register destination zeroed. Also MOVQ2DQ. */
const movq: Semantic = (e, f) => {
  enterMmx(e, f);
  const src: Operand = { ...f.ops[1], size: 64 } as Operand;
  const v = e.read(src), dst = f.ops[0];
  if (dst.k === "mem") e.write(dst, v);
  else writeVector(e, f, { ...dst, size: 128 } as Operand, fromQword(v));
  commitMmx(e, f);
  e.next();
};
/** MOVD/MOVQ from a general register or memory. */
const movIn: Semantic = (e, f) => {
  enterMmx(e, f);
  writeVector(e, f, f.ops[0], fromQword(X.extU(e.read(f.ops[1]))));
  e.next();
};
/** MOVD/MOVQ to a general register or memory. */
const movOut: Semantic = (e, f) => {
  enterMmx(e, f);
  const src: Operand = { ...f.ops[1], size: f.ops[0].size } as Operand;
  e.write(f.ops[0], e.read(src));
  commitMmx(e, f);
  e.next();
};
const quarter = (f: Form, o: number): { at: number } => f.ops[o] as { at: number } & Operand;
/** MOVHLPS, MOVLHPS. */
const movhl: Semantic = (e, f) => {
  e.store(64, e.field8(quarter(f, 0).at), X.load(64, e.field8(quarter(f, 1).at), L.XMM + 8), L.XMM);
  e.next();
};
const movlh: Semantic = (e, f) => {
  e.store(64, e.field8(quarter(f, 0).at), X.load(64, e.field8(quarter(f, 1).at), L.XMM), L.XMM + 8);
  e.next();
};
const loadHigh: Semantic = (e, f) => {
  const v = e.read(f.ops[1]);
  e.store(64, e.field8(quarter(f, 0).at), v, L.XMM + 8);
  e.next();
};
const storeHigh: Semantic = (e, f) => {
  e.write(f.ops[0], e.let(X.load(64, e.field8(quarter(f, 1).at), L.XMM + 8)));
  e.next();
};
/** MOVSLDUP (sub 0), MOVSHDUP (1). */
const dupLanes: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]), o = f.sub * 4;
  const idx = [0, 0, 8, 8].flatMap((b) => [b + o, b + o + 1, b + o + 2, b + o + 3]);
  writeVector(e, f, f.ops[0], shuffle(v, v, idx));
  e.next();
};
const movddup: Semantic = (e, f) => {
  const v = e.read(f.ops[1]);
  writeVector(e, f, f.ops[0], simd(0x12, v));
  e.next();
};

// ---- between vector and general registers ----

/** MOVMSKPS, MOVMSKPD, PMOVMSKB: `sub` is the bitmask opcode. */
const mask: Semantic = (e, f) => {
  enterMmx(e, f);
  const v = readVector(e, f.ops[1]);
  const bits = X.op(I32, 0xfd00 + f.sub, v);
  e.write(f.ops[0], isMmx(f) ? X.and(bits, X.c32(0xff)) : bits);
  commitMmx(e, f);
  e.next();
};
/** PINSRW and PEXTRW: the word number is the immediate modulo the register's words. */
const wordOffset = (e: Emit, o: Operand, mmx: boolean): Expr =>
  X.add(e.field8((o as { at: number } & Operand).at), X.shl(X.and(e.imm(8), X.c32(mmx ? 3 : 7)), X.c32(1)));
const pinsrw: Semantic = (e, f) => {
  enterMmx(e, f);
  const mmx = isMmx(f), v = e.read(f.ops[1]);
  e.store(16, wordOffset(e, f.ops[0], mmx), v, mmx ? L.FPR : L.XMM);
  if (mmx) {
    commitMmx(e, f);
    e.store(16, e.field8(REC.R0), X.c32(0xffff), L.FPR + 8);
  }
  e.next();
};
const pextrw: Semantic = (e, f) => {
  enterMmx(e, f);
  const mmx = isMmx(f);
  e.write(f.ops[0], e.let(X.load(16, wordOffset(e, f.ops[1], mmx), mmx ? L.FPR : L.XMM)));
  commitMmx(e, f);
  e.next();
};

/** MASKMOVDQU, MASKMOVQ: bytes whose mask bit is set go to [rDI]; the others must be writable, too, as on current processors. */
const maskmov: Semantic = (e, f) => {
  enterMmx(e, f);
  commitMmx(e, f); // even when the store faults
  const v = f.ops[0] as { at: number } & Operand, m = f.ops[1] as { at: number } & Operand;
  const base = v.k === "mm" ? L.FPR : L.XMM, bytes = v.k === "mm" ? 8 : 16;
  const di = e.let(X.callX(X.c64(0).t, e.rt.getIndex, X.c32(7 * 8), e.field8(REC.ADDRSIZE)));
  const unused = X.sub(X.c64(64), X.shl(X.extU(e.field8(REC.ADDRSIZE)), X.c64(3)));
  const all = e.let(X.shrU(X.c64(-1), unused));
  const at = (offset: number, size: number): Expr => {
    const wrapped = X.and(X.add(di, X.c64(offset)), all);
    return e.let(X.callX(X.c64(0).t, e.rt.segLinear, e.field8(REC.SEG), wrapped, X.c32(size | SF_WRITE)));
  };
  for (let part = bytes - 8; part >= 0; part -= 8) e.memProbeWrite(64, at(part, 8), SF_REC_SEG);
  for (let i = 0; i < bytes; i++) {
    e.if(X.and(X.load(8, e.field8(m.at), base + i), X.c32(0x80)), () => {
      e.memWrite(8, at(i, 1), X.load(8, e.field8(v.at), base + i), SF_REC_SEG);
    });
  }
  e.next();
};

/** Semantic functions of this file. */
export const vectorMove: Record<string, Semantic> = {
  mova: move16(true),
  movu: move16(false),
  mov_scalar: movScalar,
  mov_part: movPart,
  movq,
  mov_in: movIn,
  mov_out: movOut,
  movhl,
  movlh,
  load_high: loadHigh,
  store_high: storeHigh,
  dup_lanes: dupLanes,
  movddup,
  mask,
  pinsrw,
  pextrw,
  maskmov,
};
