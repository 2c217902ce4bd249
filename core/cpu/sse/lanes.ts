/**
 * One SSE floating-point instruction on operands already fetched: which lanes go where.
 *
 * @module
 */
import { reciprocal, reciprocalRoot } from "./approximate.ts";
import { binary, Op, squareRoot } from "./arith.ts";
import { compare, extreme } from "./compare.ts";
import { ctx } from "./context.ts";
import { changeFormat, fromInteger, roundIntegral, toInteger } from "./convert.ts";

/** First operand (the destination's old value), second operand, result; four words each. */
export const X = new Uint32Array(4), Y = new Uint32Array(4), OUT = new Uint32Array(4);
const T = new Uint32Array(4), U = new Uint32Array(4), S = new Uint32Array(4);

/** A form: double precision, only the lowest lane. */
interface Shape {
  double: boolean;
  scalar: boolean;
}
const SHAPES: readonly Shape[] = [
  { double: false, scalar: false },
  { double: true, scalar: false },
  { double: false, scalar: true },
  { double: true, scalar: true },
];

/** Calls for the word index of each lane. */
function each(s: Shape, fn: (at: number) => void): void {
  const step = s.double ? 2 : 1, end = s.scalar ? step : 4;
  for (let at = 0; at < end; at += step) fn(at);
}

let double = false, predicate = 0;
const LANE: Record<number, (at: number) => void> = {
  0x51: (at) => squareRoot(double, Y, at, OUT, at),
  0x52: (at) => reciprocalRoot(Y, at, OUT, at),
  0x53: (at) => reciprocal(Y, at, OUT, at),
  0x58: (at) => binary(Op.ADD, double, X, at, Y, at, OUT, at),
  0x59: (at) => binary(Op.MUL, double, X, at, Y, at, OUT, at),
  0x5c: (at) => binary(Op.SUB, double, X, at, Y, at, OUT, at),
  0x5d: (at) => extreme(false, double, X, at, Y, at, OUT, at),
  0x5e: (at) => binary(Op.DIV, double, X, at, Y, at, OUT, at),
  0x5f: (at) => extreme(true, double, X, at, Y, at, OUT, at),
  0xc2: (at) => compare(predicate, double, X, at, Y, at, OUT, at),
};
const HORIZONTAL = new Set([0x7c, 0x7d]);

/** True for the opcodes of map 0F that `arithmetic` does. */
export function isArithmetic(opcode: number): boolean {
  return LANE[opcode] !== undefined || HORIZONTAL.has(opcode) || opcode === 0xd0;
}

/** OUT = X op Y for an opcode of map 0F with its mandatory prefix (0 none, 1 66, 2 F3, 3 F2). */
export function arithmetic(opcode: number, prefix: number, imm: number): void {
  OUT.set(X);
  predicate = imm;
  if (HORIZONTAL.has(opcode)) return horizontal(prefix === 1, opcode === 0x7d ? Op.SUB : Op.ADD);
  if (opcode === 0xd0) return addSubtract(prefix === 1);
  const shape = SHAPES[prefix];
  double = shape.double;
  each(shape, LANE[opcode]);
}

/** HADDPS, HSUBPS and their like: neighbours of the first operand, then of the second. */
function horizontal(dbl: boolean, op: number): void {
  const step = dbl ? 2 : 1;
  for (let i = 0; i < 4; i += step) {
    const from = i < 2 ? X : Y, at = i * 2 & 3;
    binary(op, dbl, from, at, from, at + step, OUT, i);
  }
}

/** ADDSUBPS, ADDSUBPD: even lanes subtracted, odd ones added. */
function addSubtract(dbl: boolean): void {
  const step = dbl ? 2 : 1;
  for (let i = 0; i < 4; i += step) {
    binary((i / step & 1) === 0 ? Op.SUB : Op.ADD, dbl, X, i, Y, i, OUT, i);
  }
}

/** OUT = Y converted, for opcodes 5A, 5B, E6. */
export function convertPacked(opcode: number, prefix: number): void {
  OUT.set(X);
  if (opcode === 0x5a) return convertFormat(prefix);
  if (opcode === 0x5b) {
    for (let i = 0; i < 4; i++) {
      if (prefix === 0) fromInteger(false, Y[i] >> 31, Y[i], OUT, i);
      else toInteger(false, prefix === 2, false, Y, i, OUT, i);
    }
    return;
  }
  if (prefix === 2) { for (let i = 0; i < 2; i++) fromInteger(true, Y[i] >> 31, Y[i], OUT, i * 2); }
  else {
    for (let i = 0; i < 2; i++) toInteger(false, prefix === 1, true, Y, i * 2, OUT, i);
    OUT[2] = OUT[3] = 0;
  }
}

/** CVTPS2PD, CVTPD2PS, CVTSS2SD, CVTSD2SS. */
function convertFormat(prefix: number): void {
  if (prefix >= 2) return changeFormat(prefix === 2, Y, 0, OUT, 0);
  for (let i = 0; i < 2; i++) {
    if (prefix === 0) changeFormat(true, Y, i, OUT, i * 2);
    else changeFormat(false, Y, i * 2, OUT, i);
  }
  if (prefix === 1) OUT[2] = OUT[3] = 0;
}

/** OUT's first two words = two integers from Y's lanes (CVTPS2PI, CVTPD2PI and the truncating ones). */
export function convertToMmx(dbl: boolean, truncate: boolean): void {
  for (let i = 0; i < 2; i++) toInteger(false, truncate, dbl, Y, dbl ? i * 2 : i, OUT, i);
}

/** OUT = two integers in Y as numbers; CVTPI2PS keeps the upper half. */
export function convertFromMmx(dbl: boolean): void {
  OUT.set(X);
  for (let i = 0; i < 2; i++) fromInteger(dbl, Y[i] >> 31, Y[i], OUT, dbl ? i * 2 : i);
}

/** OUT = Y rounded to integral values: opcodes 08 to 0B of map 0F3A (PS, PD, SS, SD). */
export function roundLanes(opcode: number, control: number): void {
  OUT.set(X);
  const shape = SHAPES[opcode & 3];
  each(shape, (at) => roundIntegral(control, shape.double, Y, at, OUT, at));
}

/** DPPS, DPPD: products of the lanes chosen by bits 4-7, their sum where bits 0-3 say. */
export function dotProduct(dbl: boolean, control: number): void {
  const step = dbl ? 2 : 1;
  T.fill(0);
  for (let i = 0; i < 4; i += step) {
    if (control >> (4 + i / step) & 1) binary(Op.MUL, dbl, X, i, Y, i, T, i);
  }
  if (ctx.stops()) return;
  // Every lane makes its own sum: which of two NaNs comes out depends on the order.
  for (let i = 0; i < 4; i += step) {
    if (dbl) binary(Op.ADD, true, T, i, T, i ^ 2, S, i);
    else binary(Op.ADD, false, T, i ^ 1, T, i, U, i);
  }
  if (ctx.stops()) return;
  if (!dbl) { for (let i = 0; i < 4; i++) binary(Op.ADD, false, U, i, U, i ^ 2, S, i); }
  OUT.fill(0);
  for (let i = 0; i < 4; i += step) {
    if (!(control >> (i / step) & 1)) continue;
    OUT[i] = S[i];
    if (dbl) OUT[i + 1] = S[i + 1];
  }
}
