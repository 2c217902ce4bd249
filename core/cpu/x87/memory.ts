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
  toBcd,
  toInteger,
  toMemoryFloat,
} from "./convert.ts";
import { arithMemory } from "./execute.ts";
import { type Ext, ext, INDEFINITE, quiet } from "./ext.ts";
import { begin, commit, ctx, isEmpty, pop, push, rememberOperand, st, stackFault } from "./fpu.ts";
import { isSignalling } from "./convert.ts";
import { Ex, Rc } from "./round.ts";

/** Operand in memory that was read last, and whether it was a single or double denormal. */
let operand: Ext = INDEFINITE;
let denormal = false;

function address(c: Core, i: Insn, size: number, write: boolean): number {
  // Ten bytes are eight and two: the second part has its own canonical check.
  return linearOf(c, i, size === 10 && c.s.code64 ? 8 : size, write);
}

function readSingle(c: Core, i: Insn): void {
  const bits = c.mmu.read32(address(c, i, 4, false));
  operand = fromSingle(bits);
  denormal = isDenormalSingle(bits);
}

function readDouble(c: Core, i: Insn): void {
  const lo = c.mmu.readWords64(address(c, i, 8, false)), hi = c.mmu.hi;
  operand = fromDouble(lo, hi);
  denormal = isDenormalDouble(lo, hi);
}

function readInteger(c: Core, i: Insn, size: number): void {
  denormal = false;
  const la = address(c, i, size, false);
  if (size === 2) operand = fromInteger(BigInt(c.mmu.read16(la) << 16 >> 16));
  else if (size === 4) operand = fromInteger(BigInt(c.mmu.read32(la) | 0));
  else {
    const lo = c.mmu.readWords64(la);
    operand = fromInteger(BigInt.asIntN(64, BigInt(c.mmu.hi) << 32n | BigInt(lo)));
  }
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
function load(c: Core): void {
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

const INDEFINITE_SINGLE = 0xffc0_0000n, INDEFINITE_DOUBLE = 0xfff8_0000_0000_0000n;
const INDEFINITE_TEN = 0xffff_c000_0000_0000_0000n;

function storeFloat(c: Core, i: Insn, double: boolean, popAfter: boolean): void {
  store(
    c,
    i,
    double ? 8 : 4,
    popAfter,
    double ? INDEFINITE_DOUBLE : INDEFINITE_SINGLE,
    (a) => toMemoryFloat(ctx, a, double),
  );
}

function storeInteger(c: Core, i: Insn, size: number, popAfter: boolean, truncate = false): void {
  if (truncate && !c.policy.has("pni")) raise(Vec.UD);
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
  if (opcode === 0xd8) readSingle(c, i);
  else if (opcode === 0xdc) readDouble(c, i);
  else if (opcode === 0xda) readInteger(c, i, 4);
  else if (opcode === 0xde) readInteger(c, i, 2);
  else {
    loadOrStore(c, i, opcode, reg);
    rememberOperand(c, i);
    return true;
  }
  rememberOperand(c, i);
  arithMemory(c, reg, operand, denormal);
  return true;
}

/** Bit masks of ModRM.reg values that `memoryForm` handles, for D9, DB, DD, DF. */
const KNOWN: Readonly<Record<number, number>> = { 0xd9: 0x0d, 0xdb: 0xaf, 0xdd: 0x0f, 0xdf: 0xff };

function known(opcode: number, reg: number): boolean {
  return (opcode & 1) === 0 || (KNOWN[opcode] >>> reg & 1) !== 0;
}

function loadOrStore(c: Core, i: Insn, opcode: number, reg: number): void {
  switch (opcode << 4 | reg) {
    case 0xd90:
      readSingle(c, i);
      return load(c);
    case 0xd92:
    case 0xd93:
      return storeFloat(c, i, false, reg === 3);
    case 0xdb0:
      readInteger(c, i, 4);
      return load(c);
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
      readDouble(c, i);
      return load(c);
    case 0xdd1:
      return storeInteger(c, i, 8, true, true);
    case 0xdd2:
    case 0xdd3:
      return storeFloat(c, i, true, reg === 3);
    case 0xdf0:
      readInteger(c, i, 2);
      return load(c);
    case 0xdf1:
      return storeInteger(c, i, 2, true, true);
    case 0xdf2:
    case 0xdf3:
      return storeInteger(c, i, 2, reg === 3);
    case 0xdf4:
      return loadTen(c, i, true);
    case 0xdf5:
      readInteger(c, i, 8);
      return load(c);
    case 0xdf6:
      return storeTen(c, i, true);
    case 0xdf7:
      return storeInteger(c, i, 8, true);
  }
}
