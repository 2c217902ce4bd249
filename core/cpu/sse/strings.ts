/**
 * PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI on operands already fetched (Intel SDM volume 2, section 4.1).
 *
 * @module
 */
import type { Words } from "./arith.ts";

/** Aggregations: bits 2-3 of the immediate. */
const Aggregate = { ANY: 0, RANGES: 1, EACH: 2, ORDERED: 3 } as const;

/** What a comparison came to. */
export interface StringResult {
  /** A bit an element of the second operand. */
  bits: number;
  /** Elements a register holds: 16 bytes or 8 words. */
  count: number;
  /** RFLAGS bits CF ZF SF OF. */
  flags: number;
}

const result: StringResult = { bits: 0, count: 0, flags: 0 };
const a = new Int32Array(16), b = new Int32Array(16);

/** Elements of a register as integers. `format`: bit 0 words, bit 1 signed. */
function elements(w: Words, format: number, out: Int32Array): void {
  const wide = (format & 1) !== 0, bits = wide ? 16 : 8, shift = 32 - bits;
  for (let i = 0; i < 128 / bits; i++) {
    const v = w[i * bits >> 5] >>> (i * bits & 31) << shift;
    out[i] = format & 2 ? v >> shift : v >>> shift;
  }
}

/** Elements before the first zero one. */
function implicitLength(e: Int32Array, count: number): number {
  for (let i = 0; i < count; i++) if (e[i] === 0) return i;
  return count;
}

/** Length from a register: its magnitude, at most `count`. The value is -2^63 to 2^63, exact where it matters. */
function explicitLength(value: number, count: number): number {
  return Math.min(Math.abs(value), count);
}

/** True when element j of the second operand is in the first one's set or ranges. */
function matches(j: number, la: number, ranges: boolean): boolean {
  if (!ranges) {
    for (let i = 0; i < la; i++) if (a[i] === b[j]) return true;
    return false;
  }
  for (let i = 0; i + 1 < la; i += 2) if (a[i] <= b[j] && b[j] <= a[i + 1]) return true;
  return false;
}

/** True when the first operand is found at element j of the second, as far as that goes. */
function foundAt(j: number, la: number, lb: number, count: number): boolean {
  for (let i = 0; i < la && j + i < count; i++) if (j + i >= lb || a[i] !== b[j + i]) return false;
  return true;
}

function aggregate(how: number, la: number, lb: number, count: number): number {
  let bits = 0;
  for (let j = 0; j < count; j++) {
    let hit: boolean;
    if (how === Aggregate.EACH) hit = j < la && j < lb ? a[j] === b[j] : j >= la && j >= lb;
    else if (how === Aggregate.ORDERED) hit = foundAt(j, la, lb, count);
    else hit = j < lb && matches(j, la, how === Aggregate.RANGES);
    if (hit) bits |= 1 << j;
  }
  return bits;
}

/**
 * Compares. The result object is reused.
 * @param explicit lengths are given; else strings end at a zero element
 */
export function compareStrings(
  x: Words,
  y: Words,
  imm: number,
  explicit: boolean,
  lengthX: number,
  lengthY: number,
): StringResult {
  const count = imm & 1 ? 8 : 16;
  elements(x, imm & 3, a);
  elements(y, imm & 3, b);
  const la = explicit ? explicitLength(lengthX, count) : implicitLength(a, count);
  const lb = explicit ? explicitLength(lengthY, count) : implicitLength(b, count);
  let bits = aggregate(imm >> 2 & 3, la, lb, count);
  const all = (1 << count) - 1;
  if (imm & 0x10) bits ^= imm & 0x20 ? (1 << lb) - 1 : all;
  result.bits = bits;
  result.count = count;
  result.flags = (bits !== 0 ? 1 : 0) | (lb < count ? 0x40 : 0) | (la < count ? 0x80 : 0) |
    (bits & 1 ? 0x800 : 0);
  return result;
}

/** Index of the first or last set bit, or the number of elements. */
export function stringIndex(r: StringResult, last: boolean): number {
  if (r.bits === 0) return r.count;
  return last ? 31 - Math.clz32(r.bits) : 31 - Math.clz32(r.bits & -r.bits);
}

/** The bits as a mask register: as they are, or an element each. */
export function stringMask(r: StringResult, expand: boolean, out: Words): void {
  out.fill(0);
  if (!expand) {
    out[0] = r.bits;
    return;
  }
  const width = 128 / r.count;
  for (let i = 0; i < r.count; i++) {
    if (r.bits >> i & 1) out[i * width >> 5] |= (width === 16 ? 0xffff : 0xff) << (i * width & 31);
  }
}
