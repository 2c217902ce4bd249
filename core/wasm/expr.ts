/**
 * Pure WebAssembly expressions as trees, with the constant folding that specialised code needs.
 *
 * A tree is emitted at each use: bind it to a local (`Emit.let`) before using it twice, or before changing what it reads.
 *
 * @module
 */
import type { Code } from "./code.ts";
import { F32, F64, I32, I64, V128, type ValType } from "./module.ts";

/** One node. `op` is the WebAssembly opcode (SIMD: 0xfd00 + sub-opcode; saturating truncations: 0xfc00 + n). */
export class Expr {
  constructor(
    readonly t: ValType,
    readonly op: number,
    readonly args: readonly Expr[] = [],
    /** Immediate words: constant low/high; local or function index; load offset; SIMD lane. */
    readonly lo: number = 0,
    readonly hi: number = 0,
    readonly bytes: Uint8Array | null = null,
  ) {}

  /** True for an i32 or i64 constant. */
  get isConst(): boolean {
    return this.op === 0x41 || this.op === 0x42;
  }
  /** True for the constant n (sign-extended to the node's type). */
  is(n: number): boolean {
    if (this.op === 0x41) return this.lo === (n | 0);
    return this.op === 0x42 && this.lo === (n | 0) && this.hi === (n < 0 ? -1 : 0);
  }
}

/** Writes a tree's instructions. */
export function emitExpr(c: Code, e: Expr): void {
  for (const a of e.args) emitExpr(c, a);
  const op = e.op;
  if (op >= 0xfd00) {
    c.u8(0xfd);
    c.u32(op - 0xfd00);
    if (e.bytes) c.raw(e.bytes);
    else if (op <= 0xfd0b || op === 0xfd5c || op === 0xfd5d) memarg(c, e.lo);
    else if (op >= 0xfd15 && op <= 0xfd22) c.u8(e.lo);
    return;
  }
  if (op >= 0xfc00) {
    c.u8(0xfc);
    c.u32(op - 0xfc00);
    return;
  }
  c.u8(op);
  if (op === 0x41) c.s32(e.lo);
  else if (op === 0x42) c.s64(e.lo, e.hi);
  else if (op === 0x20 || op === 0x10) c.u32(e.lo);
  else if (op >= 0x28 && op <= 0x35) memarg(c, e.lo);
}

function memarg(c: Code, offset: number): void {
  c.u8(0); // alignment hint: none
  c.u32(offset);
}

/** Constants. */
export const c32 = (n: number): Expr => new Expr(I32, 0x41, [], n | 0);
/** 64-bit constant from a signed safe integer, or from two words. */
export const c64 = (n: number): Expr => new Expr(I64, 0x42, [], n | 0, Math.floor(n / 0x1_0000_0000) | 0);
/** @see c64 */
export const c64w = (lo: number, hi: number): Expr => new Expr(I64, 0x42, [], lo | 0, hi | 0);
/** Constant of the type of another expression. */
export const cLike = (e: Expr, n: number): Expr => (e.t === I64 ? c64(n) : c32(n));
/** 128-bit constant from 16 bytes. */
export const c128 = (bytes: Uint8Array): Expr => new Expr(V128, 0xfd0c, [], 0, 0, bytes);
/** Local. */
export const local = (t: ValType, index: number): Expr => new Expr(t, 0x20, [], index);
/** Any operation. */
export const op = (t: ValType, code: number, ...args: Expr[]): Expr => new Expr(t, code, args);
/** Call of a function with one result. */
export const callX = (t: ValType, func: number, ...args: Expr[]): Expr => new Expr(t, 0x10, args, func);

const fold32 = (code: number, a: number, b: number): number | null => {
  switch (code) {
    case 0x6a:
      return a + b | 0;
    case 0x6b:
      return a - b | 0;
    case 0x6c:
      return Math.imul(a, b);
    case 0x71:
      return a & b;
    case 0x72:
      return a | b;
    case 0x73:
      return a ^ b;
    case 0x74:
      return a << b;
    case 0x75:
      return a >> b;
    case 0x76:
      return a >>> b | 0;
    default:
      return null;
  }
};

/** A binary operation given by its i32 opcode; `d` is the distance to the i64 opcode. */
const bin = (code32: number, d: number) => (a: Expr, b: Expr): Expr => {
  if (a.t === I64) return new Expr(I64, code32 + d, [a, b]);
  if (a.op === 0x41 && b.op === 0x41) {
    const v = fold32(code32, a.lo, b.lo);
    if (v !== null) return c32(v);
  }
  return new Expr(I32, code32, [a, b]);
};
const withIdentity = (f: (a: Expr, b: Expr) => Expr) => (a: Expr, b: Expr): Expr => b.is(0) ? a : f(a, b);

/** Integer arithmetic; both operands of one type. */
export const add = withIdentity(bin(0x6a, 0x12));
export const sub = withIdentity(bin(0x6b, 0x12));
export const mul = bin(0x6c, 0x12);
export const divS = bin(0x6d, 0x12), divU = bin(0x6e, 0x12), remS = bin(0x6f, 0x12), remU = bin(0x70, 0x12);
export const and = bin(0x71, 0x12), or = withIdentity(bin(0x72, 0x12)), xor = withIdentity(bin(0x73, 0x12));
export const shl = withIdentity(bin(0x74, 0x12)), shrS = withIdentity(bin(0x75, 0x12));
export const shrU = withIdentity(bin(0x76, 0x12)), rotl = withIdentity(bin(0x77, 0x12));
export const rotr = withIdentity(bin(0x78, 0x12));

/** Comparisons: i32 result. */
const cmp = (code32: number, code64: number) => (a: Expr, b: Expr): Expr =>
  new Expr(I32, a.t === I64 ? code64 : code32, [a, b]);
export const eq = cmp(0x46, 0x51), ne = cmp(0x47, 0x52), ltS = cmp(0x48, 0x53), ltU = cmp(0x49, 0x54);
export const gtS = cmp(0x4a, 0x55), gtU = cmp(0x4b, 0x56), leS = cmp(0x4c, 0x57), leU = cmp(0x4d, 0x58);
export const geS = cmp(0x4e, 0x59), geU = cmp(0x4f, 0x5a);
export const eqz = (a: Expr): Expr => new Expr(I32, a.t === I64 ? 0x50 : 0x45, [a]);
export const not = (a: Expr): Expr => xor(a, cLike(a, -1));

/** Bit counting. */
export const clz = (a: Expr): Expr => new Expr(a.t, a.t === I64 ? 0x79 : 0x67, [a]);
export const ctz = (a: Expr): Expr => new Expr(a.t, a.t === I64 ? 0x7a : 0x68, [a]);
export const popcnt = (a: Expr): Expr => new Expr(a.t, a.t === I64 ? 0x7b : 0x69, [a]);

/** True for i64 trees whose low half can be computed in 32 bits alone, with less code. */
function narrows(a: Expr): boolean {
  if (a.op === 0x42 || a.op === 0xad || a.op === 0xac) return true;
  if (a.op === 0x86) return a.args[1].op === 0x42 && a.args[1].lo < 32 && narrows(a.args[0]);
  return (a.op >= 0x7c && a.op <= 0x7e || a.op >= 0x83 && a.op <= 0x85) && a.args.every(narrows);
}
function narrow(a: Expr): Expr {
  if (a.op === 0x42) return c32(a.lo);
  if (a.op === 0xad || a.op === 0xac) return a.args[0];
  const x = narrow(a.args[0]), y = narrow(a.args[1]);
  switch (a.op) {
    case 0x7c:
      return x.is(0) ? y : add(x, y);
    case 0x7d:
      return sub(x, y);
    case 0x7e:
      return mul(x, y);
    case 0x83:
      return and(x, y);
    case 0x84:
      return or(x, y);
    case 0x85:
      return xor(x, y);
    default:
      return shl(x, y);
  }
}

/** Conversions; identity when the type is already right, and computed in the narrow type where that is enough. */
export const wrap = (a: Expr): Expr => a.t === I32 ? a : narrows(a) ? narrow(a) : new Expr(I32, 0xa7, [a]);
export const extU = (a: Expr): Expr =>
  a.t === I64 ? a : a.op === 0x41 ? c64(a.lo >>> 0) : new Expr(I64, 0xad, [a]);
export const extS = (a: Expr): Expr => a.t === I64 ? a : a.op === 0x41 ? c64(a.lo) : new Expr(I64, 0xac, [a]);
export const ext8S = (a: Expr): Expr => new Expr(a.t, a.t === I64 ? 0xc2 : 0xc0, [a]);
export const ext16S = (a: Expr): Expr => new Expr(a.t, a.t === I64 ? 0xc3 : 0xc1, [a]);
export const ext32S = (a: Expr): Expr => new Expr(I64, 0xc4, [a]);

/** `cond ? a : b`, both evaluated. */
export const select = (cond: Expr, a: Expr, b: Expr): Expr =>
  cond.op === 0x41 ? (cond.lo ? a : b) : new Expr(a.t, 0x1b, [a, b, cond]);

/** Loads; `size` in bits; narrow ones zero-extend into i32. */
export function load(size: number, addr: Expr, offset = 0): Expr {
  const [t, code] = size === 64
    ? [I64, 0x29]
    : size === 32
    ? [I32, 0x28]
    : size === 16
    ? [I32, 0x2f]
    : size === 8
    ? [I32, 0x2d]
    : [V128, 0xfd00];
  return new Expr(t, code, [addr], offset);
}
/** Float loads. */
export const loadF32 = (addr: Expr, offset = 0): Expr => new Expr(F32, 0x2a, [addr], offset);
export const loadF64 = (addr: Expr, offset = 0): Expr => new Expr(F64, 0x2b, [addr], offset);

/** Opcode of the store for a size in bits and a value type. */
export function storeOp(size: number, t: ValType): number {
  if (t === V128) return 0xfd0b;
  if (t === F32) return 0x38;
  if (t === F64) return 0x39;
  if (t === I64) return size === 64 ? 0x37 : size === 32 ? 0x3e : size === 16 ? 0x3d : 0x3c;
  return size === 32 ? 0x36 : size === 16 ? 0x3b : 0x3a;
}
