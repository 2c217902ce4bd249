/**
 * x87 instructions with a memory operand that is a number: loads, stores, arithmetic (Intel SDM volume 2).
 *
 * @module
 */
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { linearOf } from "../system/operands.ts";
import {
  fromBcd,
  fromDouble,
  fromInteger,
  fromSingle,
  isDenormalDouble,
  isDenormalSingle,
  isSignalling,
  toBcd,
  toInteger,
  toMemoryFloat,
} from "./convert.ts";
import { arithMemory } from "./execute.ts";
import { type Ext, ext, INDEFINITE, quiet } from "./ext.ts";
import { begin, commit, ctx, isEmpty, pop, push, rememberOperand, st, stackFault } from "./fpu.ts";
import { fastArithB, fastCompareB } from "./fast_arith.ts";
import {
  fastPushB,
  fastReport,
  fastStoreFloat,
  fastStoreInteger,
  stored,
  takeDouble,
  takeInteger,
  takeSingle,
} from "./fast_memory.ts";
import { Ex, Rc } from "./round.ts";

/** Operand in memory for the general code, and whether it was a single or double denormal. */
let operand: Ext = INDEFINITE;
let denormal = false;
/** Operand in memory as read: low and high word. */
let low = 0, high = 0;
/** What kind of operand that is. */
let kind: "single" | "double" | "integer" = "single";

function address(c: Core, i: Insn, size: number, write: boolean): number {
  // Ten bytes are eight and two: the second part has its own canonical check.
  return linearOf(c, i, size === 10 && c.s.code64 ? 8 : size, write);
}

/** Reads a single; true when it is a normal number, now B of the fast code. */
function readSingle(c: Core, i: Insn): boolean {
  low = c.mmu.read32(address(c, i, 4, false));
  kind = "single";
  return takeSingle(low);
}

/** @see readSingle */
function readDouble(c: Core, i: Insn): boolean {
  low = c.mmu.readWords64(address(c, i, 8, false));
  high = c.mmu.hi;
  kind = "double";
  return takeDouble(low, high);
}

/** Reads a signed integer of 2, 4 or 8 bytes. @see readSingle */
function readInteger(c: Core, i: Insn, size: number): boolean {
  const la = address(c, i, size, false);
  kind = "integer";
  if (size === 8) {
    low = c.mmu.readWords64(la);
    high = c.mmu.hi;
  } else {
    const v = size === 2 ? c.mmu.read16(la) << 16 >> 16 : c.mmu.read32(la) | 0;
    low = v >>> 0;
    high = (v >> 31) >>> 0;
  }
  return takeInteger(low, high);
}

/** Widens what was read for the general code. */
function widen(): void {
  denormal = false;
  if (kind === "single") {
    operand = fromSingle(low);
    denormal = isDenormalSingle(low);
  } else if (kind === "double") {
    operand = fromDouble(low, high);
    denormal = isDenormalDouble(low, high);
  } else operand = fromInteger(BigInt.asIntN(64, BigInt(high) << 32n | BigInt(low)));
}

/** The 80 bits at an address. */
function readTen(c: Core, la: number): bigint {
  const lo = c.mmu.readWords64(la), hi = c.mmu.hi;
  return BigInt(c.mmu.read16(c.mmu.canonical(c.mmu.next(la, 8)))) << 64n | BigInt(hi) << 32n | BigInt(lo);
}

/** Little-endian store of `size` bytes (2, 4, 8 or 10). When the last two of ten fault, the first eight are stored. */
function writeBits(c: Core, la: number, size: number, bits: bigint): void {
  const lo = Number(bits & 0xffff_ffffn), hi = Number(bits >> 32n & 0xffff_ffffn);
  if (size === 2) c.mmu.write16(la, lo);
  else if (size === 4) c.mmu.write32(la, lo);
  else {
    c.mmu.write64(la, lo, hi);
    if (size === 10) c.mmu.write16(c.mmu.canonical(c.mmu.next(la, 8)), Number(bits >> 64n & 0xffffn));
  }
}

/** FLD m32, m64: widening quiets signalling NaNs (IE) and finds denormals (DE). */
function load(c: Core, normal: boolean): void {
  if (normal && fastPushB(c)) return;
  widen();
  begin(c);
  if (isSignalling(operand)) ctx.flags |= Ex.IE;
  else if (denormal) ctx.flags |= Ex.DE;
  push(c, ctx.flags & Ex.IE ? quiet(operand) : operand);
}

function loadTen(c: Core, i: Insn, bcd: boolean): void {
  const bits = readTen(c, address(c, i, 10, false));
  begin(c);
  const top16 = Number(bits >> 64n);
  push(c, bcd ? fromBcd(bits) : ext(top16 >>> 15, top16 & 0x7fff, bits & (1n << 64n) - 1n));
}

/** Stores `convert(ST(0))`; `indefinite` for an empty register. Nothing is stored when IE, OE or UE is not masked. */
function store(
  c: Core,
  i: Insn,
  size: number,
  popAfter: boolean,
  indefinite: bigint,
  convert: (a: Ext) => bigint,
): void {
  begin(c);
  let bits = indefinite;
  if (isEmpty(c, 0)) stackFault(false);
  else bits = convert(st(c, 0));
  // An exception that keeps the store from happening keeps it from faulting, too.
  if (!ctx.unmasked(Ex.IE | Ex.OE | Ex.UE)) {
    writeBits(c, address(c, i, size, true), size, BigInt.asUintN(size * 8, bits));
    if (popAfter) pop(c);
  } else {
    ctx.flags &= ~Ex.PE;
    ctx.roundedUp = false;
  }
  commit(c);
}

/** Writes what a fast store left. */
function finishStore(c: Core, la: number, size: number, popAfter: boolean): void {
  if (size === 8) c.mmu.write64(la, stored.lo, stored.hi);
  else if (size === 4) c.mmu.write32(la, stored.lo);
  else c.mmu.write16(la, stored.lo);
  if (popAfter) pop(c);
  fastReport(c);
}

const INDEFINITE_SINGLE = 0xffc0_0000n, INDEFINITE_DOUBLE = 0xfff8_0000_0000_0000n;
const INDEFINITE_TEN = 0xffff_c000_0000_0000_0000n;

function storeFloat(c: Core, i: Insn, double: boolean, popAfter: boolean): void {
  const size = double ? 8 : 4;
  if (fastStoreFloat(c, double)) return finishStore(c, address(c, i, size, true), size, popAfter);
  store(
    c,
    i,
    size,
    popAfter,
    double ? INDEFINITE_DOUBLE : INDEFINITE_SINGLE,
    (a) => toMemoryFloat(ctx, a, double),
  );
}

function storeInteger(c: Core, i: Insn, size: number, popAfter: boolean, truncate = false): void {
  if (truncate && !c.policy.has("pni")) raise(Vec.UD);
  if (fastStoreInteger(c, size, truncate)) return finishStore(c, address(c, i, size, true), size, popAfter);
  store(
    c,
    i,
    size,
    popAfter,
    -(1n << BigInt(size * 8 - 1)),
    (a) => toInteger(ctx, a, size * 8, truncate ? Rc.ZERO : ctx.rc),
  );
}

function storeTen(c: Core, i: Insn, bcd: boolean): void {
  store(
    c,
    i,
    10,
    true,
    INDEFINITE_TEN,
    (a) => bcd ? toBcd(ctx, a) : BigInt(a.sign << 15 | a.exp) << 64n | a.sig,
  );
}

/** A memory form that is a number, by opcode and ModRM.reg; false when it is not (environment, control, undefined). */
export function memoryForm(c: Core, i: Insn, opcode: number, reg: number): boolean {
  if (!known(opcode, reg)) return false;
  if ((opcode & 1) !== 0) loadOrStore(c, i, opcode, reg);
  else {
    let normal: boolean;
    if (opcode === 0xd8) normal = readSingle(c, i);
    else if (opcode === 0xdc) normal = readDouble(c, i);
    else normal = readInteger(c, i, opcode === 0xda ? 4 : 2);
    arithmeticForm(c, reg, normal);
  }
  rememberOperand(c, i);
  return true;
}

/** ST(0) op what was read, or a compare. */
function arithmeticForm(c: Core, op: number, normal: boolean): void {
  if ((op & 6) === 2) {
    if (normal && fastCompareB(c)) {
      if (op === 3) pop(c);
      return;
    }
  } else if (normal && fastArithB(c, op)) return;
  widen();
  arithMemory(c, op, operand, denormal);
}

/** Bit masks of ModRM.reg values that `memoryForm` handles, for D9, DB, DD, DF. */
const KNOWN: Readonly<Record<number, number>> = { 0xd9: 0x0d, 0xdb: 0xaf, 0xdd: 0x0f, 0xdf: 0xff };

function known(opcode: number, reg: number): boolean {
  return (opcode & 1) === 0 || (KNOWN[opcode] >>> reg & 1) !== 0;
}

function loadOrStore(c: Core, i: Insn, opcode: number, reg: number): void {
  switch (opcode << 4 | reg) {
    case 0xd90:
      return load(c, readSingle(c, i));
    case 0xd92:
    case 0xd93:
      return storeFloat(c, i, false, reg === 3);
    case 0xdb0:
      return load(c, readInteger(c, i, 4));
    case 0xdb1:
      return storeInteger(c, i, 4, true, true);
    case 0xdb2:
    case 0xdb3:
      return storeInteger(c, i, 4, reg === 3);
    case 0xdb5:
      return loadTen(c, i, false);
    case 0xdb7:
      return storeTen(c, i, false);
    case 0xdd0:
      return load(c, readDouble(c, i));
    case 0xdd1:
      return storeInteger(c, i, 8, true, true);
    case 0xdd2:
    case 0xdd3:
      return storeFloat(c, i, true, reg === 3);
    case 0xdf0:
      return load(c, readInteger(c, i, 2));
    case 0xdf1:
      return storeInteger(c, i, 2, true, true);
    case 0xdf2:
    case 0xdf3:
      return storeInteger(c, i, 2, reg === 3);
    case 0xdf4:
      return loadTen(c, i, true);
    case 0xdf5:
      return load(c, readInteger(c, i, 8));
    case 0xdf6:
      return storeTen(c, i, true);
    case 0xdf7:
      return storeInteger(c, i, 8, true);
  }
}
