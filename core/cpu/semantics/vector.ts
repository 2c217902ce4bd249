/**
 * MMX and SSE data movement and integer operations, as WebAssembly SIMD. Source: Intel SDM volume 2.
 *
 * MMX registers are the low 64 bits of the physical x87 registers; an MMX instruction computes on the low half of a
 * 128-bit value. Alignment: 16-byte memory operands raise #GP(0) unless aligned, except where the name says "movu".
 *
 * @module
 */
import * as L from "../../layout.ts";
import { type Emit, I32, SF_REC_SEG, SF_WRITE, V128 } from "../emit.ts";
import type { AddrKind, Form, Operand, Semantic } from "../form.ts";
import { REC } from "../insn.ts";
import { Seg } from "../state.ts";
import * as X from "../../wasm/expr.ts";
import type { Expr } from "../../wasm/expr.ts";

/** SIMD opcode in an expression. */
const simd = (n: number, ...args: Expr[]): Expr => X.op(V128, 0xfd00 + n, ...args);
/** Lane extraction or replacement. */
const lane = (t: number, n: number, index: number, ...args: Expr[]): Expr =>
  new X.Expr(t, 0xfd00 + n, args, index);
const zero = (): Expr => X.c128(new Uint8Array(16));
const constant = (...bytes: number[]): Expr => X.c128(Uint8Array.from(bytes));
/** i8x16.shuffle of two values by 16 indexes. */
const shuffle = (a: Expr, b: Expr, indexes: number[]): Expr =>
  new X.Expr(V128, 0xfd0d, [a, b], 0, 0, Uint8Array.from(indexes));
const lowQword = (v: Expr): Expr => lane(X.c64(0).t, 0x1d, 0, v);
/** A 64-bit integer in the low half, upper half zero. */
const fromQword = (v: Expr): Expr => lane(V128, 0x1e, 0, zero(), v);

const isMmx = (f: Form): boolean => f.ops.some((o) => o.k === "mm");

/**
 * What every MMX instruction does first: a pending x87 exception is raised (#MF), then TOP = 0 and all tags valid.
 */
function enterMmx(e: Emit, f: Form): void {
  if (!isMmx(f)) return;
  e.unlikely(X.and(e.state(32, L.FSW), X.c32(0x80)), () => e.fault(16));
}
/** The tag and TOP changes, once nothing can fault any more. */
function commitMmx(e: Emit, f: Form): void {
  if (!isMmx(f)) return;
  e.setState(32, L.FTW, X.c32(0));
  e.setState(32, L.FSW, X.and(e.state(32, L.FSW), X.c32(~0x3800)));
}

/**
 * Linear address of a 16-byte memory operand; `check`: #GP(0) unless it is a multiple of 16, before segment limits are
 * looked at.
 */
export function address16(e: Emit, kind: AddrKind, flags: number, check: boolean): Expr {
  if (!check) return e.ea(kind, 16 | flags);
  const refuse = (low: Expr) => e.unlikely(X.and(low, X.c32(15)), () => e.fault(13, 0));
  if (kind === "G") {
    const seg = e.field8(REC.SEG), code64 = X.eq(X.and(e.state(32, L.MODE), X.c32(3)), X.c32(2));
    const flat = X.and(code64, X.ltU(seg, X.c32(Seg.FS * L.SEG_SIZE)));
    const base = X.select(flat, X.c32(0), X.load(32, seg, L.SEG + L.SEG_BASE));
    refuse(X.add(X.wrap(e.offset()), base));
    return e.ea(kind, 16 | flags);
  }
  const la = e.ea(kind, 16 | flags);
  refuse(X.wrap(la));
  return la;
}

/** An operand as 128 bits; MMX operands and 64-bit memory fill the low half. */
export function readVector(e: Emit, o: Operand, checkAlignment = true): Expr {
  switch (o.k) {
    case "xmm":
      return e.let(X.load(128, e.field8(o.at), L.XMM));
    case "mm":
      return e.let(new X.Expr(V128, 0xfd5d, [e.field8(o.at)], L.FPR));
    case "mem": {
      if (o.size === 128) return e.memRead(128, address16(e, o.addr, 0, checkAlignment), SF_REC_SEG);
      const v = e.memRead(o.size, e.ea(o.addr, o.size >> 3), SF_REC_SEG);
      return e.let(fromQword(X.extU(v)));
    }
    default:
      throw new Error(`Cannot read operand kind ${o.k} as a vector`);
  }
}

/** Writes a register operand: all of an XMM register, or the low half of an MMX one with its exponent all ones. */
export function writeVector(e: Emit, f: Form, o: Operand, v: Expr): void {
  if (o.k === "xmm") return e.store(128, e.field8(o.at), v, L.XMM);
  if (o.k !== "mm") throw new Error(`Cannot write operand kind ${o.k} as a vector`);
  const value = e.let(v);
  commitMmx(e, f);
  e.store(64, e.field8(o.at), lowQword(value), L.FPR);
  e.store(16, e.field8(o.at), X.c32(0xffff), L.FPR + 8);
}

/** dst = fn(dst, src). */
const binary = (fn: (e: Emit, a: Expr, b: Expr, f: Form) => Expr): Semantic => (e, f) => {
  enterMmx(e, f);
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  writeVector(e, f, f.ops[0], fn(e, a, b, f));
  e.next();
};

/** One WebAssembly lane operation (`sub`). */
const lanesOp = binary((_e, a, b, f) => simd(f.sub, a, b));
const andn = binary((_e, a, b) => simd(0x4f, b, a));

/** Interleave: sub 0-3 low bytes, words, dwords, qwords; 4-7 high. An MMX source's low half serves both. */
const unpack = binary((_e, a, b, f) => {
  const size = 1 << (f.sub & 3), high = f.sub >= 4;
  const half = isMmx(f) ? (high ? 4 : 0) : high ? 8 : 0;
  const idx: number[] = [];
  for (let i = 0; idx.length < 16; i++) {
    const from = (half + i * size) % 16;
    for (let k = 0; k < size; k++) idx.push(from + k);
    for (let k = 0; k < size; k++) idx.push(16 + from + k);
  }
  return shuffle(a, b, idx.slice(0, 16));
});

/** Pack with saturation: MMX packs two low halves. */
const pack = binary((e, a, b, f) => {
  if (!isMmx(f)) return simd(f.sub, a, b);
  const both = e.let(lane(V128, 0x1e, 1, a, lowQword(b)));
  return simd(f.sub, both, both);
});

/** PMULHW (sub 0) and PMULHUW (1): high halves of the 32-bit products. */
const pmulhw = binary((e, a, b, f) => {
  const [lo, hi] = f.sub ? [0xbe, 0xbf] : [0xbc, 0xbd];
  const l = e.let(simd(lo, a, b)), h = e.let(simd(hi, a, b));
  return shuffle(l, h, [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31]);
});
/** PMULUDQ: even dwords multiplied. */
const pmuludq = binary((e, a, b) => {
  const even = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
  return simd(0xde, e.let(shuffle(a, a, even)), e.let(shuffle(b, b, even)));
});
/** PSADBW: sums of absolute byte differences in each half. */
const psadbw = binary((e, a, b) => {
  const d = e.let(simd(0x50, simd(0x73, a, b), simd(0x73, b, a)));
  const words = e.let(simd(0x7d, d)); // i16x8.extadd_pairwise_i8x16_u
  const dwords = e.let(simd(0x7f, words)); // i32x4.extadd_pairwise_i16x8_u
  const mask = X.c64w(-1, 0);
  const sum = (i: number) => {
    const q = e.let(lane(X.c64(0).t, 0x1d, i, dwords));
    return X.add(X.and(q, mask), X.shrU(q, X.c64(32)));
  };
  return lane(V128, 0x1e, 1, lane(V128, 0x1e, 0, zero(), sum(0)), sum(1));
});

/** Lane width in bits of a WebAssembly SIMD shift opcode. */
const shiftWidth = (op: number): number => op < 0xa0 ? 16 : op < 0xc0 ? 32 : 64;
/** True for the arithmetic right shifts. */
const isArithmetic = (op: number): boolean => op === 0x8c || op === 0xac || op === 0xcc;

/** Shift by a count (i64): counts beyond the lane give zero, or the sign for arithmetic shifts. */
function shiftLanes(e: Emit, op: number, v: Expr, count: Expr): Expr {
  const n = e.let(count), width = shiftWidth(op);
  const over = X.gtU(n, X.c64(width - 1));
  if (isArithmetic(op)) return simd(op, v, X.select(over, X.c32(width - 1), X.wrap(n)));
  const mask = X.select(over, X.c64(0), X.c64(-1));
  return simd(0x4e, simd(op, v, X.wrap(n)), simd(0x12, mask));
}
const vshift = binary((e, a, b, f) => shiftLanes(e, f.sub, a, lowQword(b)));
const vshiftImm: Semantic = (e, f) => {
  enterMmx(e, f);
  const v = readVector(e, f.ops[0]);
  writeVector(e, f, f.ops[0], shiftLanes(e, f.sub, v, X.extU(e.imm(8))));
  e.next();
};
/** PSRLDQ (sub 0), PSLLDQ (1): by bytes, as a swizzle with indexes out of range reading zero. */
const byteShift: Semantic = (e, f) => {
  const v = readVector(e, f.ops[0]);
  const n = e.let(e.imm(8)), count = X.select(X.gtU(n, X.c32(16)), X.c32(16), n);
  const iota = constant(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const idx = f.sub ? simd(0x71, iota, simd(0x0f, count)) : simd(0x6e, iota, simd(0x0f, count));
  writeVector(e, f, f.ops[0], simd(0x0e, v, idx));
  e.next();
};

// ---- movement ----

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

// ---- shuffles by an immediate known only when running ----

/** Byte indexes of one 16- or 32-bit element chosen by two bits of the immediate, placed at element `i`. */
function pick(e: Emit, width: number, count: number, base: number): Expr {
  // Index vector: for element i, bytes (field(i) * width + k + base).
  let idx = zero();
  for (let i = 0; i < count; i++) {
    const field = X.and(X.shrU(e.imm(8), X.c32(i * 2)), X.c32(3));
    const first = X.add(X.mul(field, X.c32(width)), X.c32(base));
    const bytes = width === 4
      ? X.add(X.mul(first, X.c32(0x01010101)), X.c32(0x03020100))
      : X.add(X.mul(first, X.c32(0x0101)), X.c32(0x0100));
    idx = width === 4 ? lane(V128, 0x1c, i, idx, bytes) : lane(V128, 0x1a, i, idx, bytes);
  }
  return e.let(idx);
}
const pshufd: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]);
  writeVector(e, f, f.ops[0], simd(0x0e, v, pick(e, 4, 4, 0)));
  e.next();
};
/** PSHUFLW (sub 0), PSHUFHW (1). */
const pshufHalf: Semantic = (e, f) => {
  const v = readVector(e, f.ops[1]);
  const chosen = e.let(simd(0x0e, v, pick(e, 2, 4, f.sub * 8)));
  const low = [0, 1, 2, 3, 4, 5, 6, 7];
  const idx = f.sub
    ? [...low, ...low.map((b) => b + 16)]
    : [...low.map((b) => b + 16), ...low.map((b) => b + 8)];
  writeVector(e, f, f.ops[0], shuffle(v, chosen, idx));
  e.next();
};
const pshufw: Semantic = (e, f) => {
  enterMmx(e, f);
  const v = readVector(e, f.ops[1]);
  writeVector(e, f, f.ops[0], simd(0x0e, v, pick(e, 2, 4, 0)));
  e.next();
};
/** SHUFPS: two elements of the destination, then two of the source. */
const shufps: Semantic = (e, f) => {
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  const idx = pick(e, 4, 4, 0);
  const fromA = e.let(simd(0x0e, a, idx)), fromB = e.let(simd(0x0e, b, idx));
  writeVector(
    e,
    f,
    f.ops[0],
    shuffle(fromA, fromB, [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31]),
  );
  e.next();
};
const shufpd: Semantic = (e, f) => {
  const b = readVector(e, f.ops[1]), a = readVector(e, f.ops[0]);
  const q = (v: Expr, i: number) => lane(X.c64(0).t, 0x1d, i, v);
  const imm = e.let(e.imm(8));
  const lo = X.select(X.and(imm, X.c32(1)), q(a, 1), q(a, 0));
  const hi = X.select(X.and(imm, X.c32(2)), q(b, 1), q(b, 0));
  writeVector(e, f, f.ops[0], lane(V128, 0x1e, 1, lane(V128, 0x1e, 0, zero(), lo), hi));
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

/** Semantic functions of this family. */
export const vector: Record<string, Semantic> = {
  lanes: lanesOp,
  andn,
  unpack,
  pack,
  pmulhw,
  pmuludq,
  psadbw,
  vshift,
  vshift_imm: vshiftImm,
  byte_shift: byteShift,
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
  pshufd,
  pshuf_half: pshufHalf,
  pshufw,
  shufps,
  shufpd,
  mask,
  pinsrw,
  pextrw,
  maskmov,
};
