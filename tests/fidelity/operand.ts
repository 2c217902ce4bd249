/**
 * Registers and memory operands of generated cases: where they point, and how they are encoded.
 *
 * @module
 */
import { CODE, GS_BASE, type Mode, READONLY_SIZE, WINDOW, WINDOW_SIZE } from "./protocol.ts";
import { interesting, type Random } from "./random.ts";

export const MASK64 = 0xffff_ffff_ffff_ffffn;
/** Offset of the code in its page, unless the case runs into the page's end. */
export const CODE_OFFSET = 0x800;

/** A case being put together. */
export interface Building {
  r: Random;
  mode: Mode;
  bytes: number[];
  gpr: BigUint64Array;
  /** Registers whose value an earlier instruction relies on. */
  taken: Set<number>;
}

/** An address among the INT3s behind the code: a branch into the code would run who knows what. */
export function codePointer(r: Random, mode: Mode): bigint {
  return BigInt((mode === 16 ? 0 : CODE) + CODE_OFFSET + 80 + r.below(64));
}

/** Where a memory operand should point: in 16-bit code an offset in its segment, else a linear address. */
export function randomAddress(r: Random, mode: Mode): bigint {
  const kind = r.below(100);
  let a: number;
  if (kind < 50) a = WINDOW + 4096 - 32 + r.below(64);
  else if (kind < 72) a = WINDOW + r.below(WINDOW_SIZE);
  else if (kind < 80) a = WINDOW + WINDOW_SIZE - 20 + r.below(24);
  else if (kind < 84) a = WINDOW + WINDOW_SIZE + READONLY_SIZE - 20 + r.below(24);
  else if (kind < 88) a = WINDOW - 20 + r.below(24);
  else if (kind < 90) a = CODE + r.below(4096);
  else if (kind < 96) a = WINDOW + 4096 + 16 * r.below(8);
  else if (kind < 98) return interesting(r) & (mode === 64 ? MASK64 : mode === 32 ? 0xffff_ffffn : 0xffffn);
  else if (mode === 64) return 0x7fff_ffff_fff0n + BigInt(r.below(32));
  else a = r.below(2) ? 0xffff_fff0 + r.below(16) : r.below(16);
  if (r.chance(0.4)) a &= ~15;
  return mode === 16 ? BigInt((a - WINDOW) & 0xffff) : BigInt(a >>> 0);
}

/** Truncates to the mode's register width. */
export function wrap(value: bigint, mode: Mode): bigint {
  return value & (mode === 64 ? MASK64 : 0xffff_ffffn);
}

/** Appends a little-endian integer. */
function pushInt(bytes: number[], value: bigint, size: number): void {
  for (let i = 0; i < size; i++) bytes.push(Number(value >> BigInt(i * 8) & 0xffn));
}

function setBase(b: Building, register: number, value: bigint): void {
  if (b.taken.has(register)) return;
  b.gpr[register] = value;
  b.taken.add(register);
}

/** Base and index registers by ModRM.rm with 16-bit addresses; -1: none. */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3], INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1];

/** 16-bit addressing. Upper halves of the registers are left as they are: they must not matter. */
function memoryOperand16(b: Building, reg: number): void {
  const { r, bytes } = b, mod = r.below(3), rm = r.below(8);
  const dispSize = mod === 1 ? 1 : mod === 2 || rm === 6 ? 2 : 0;
  const target = b.mode === 16 ? randomAddress(r, 16) : r.u64();
  bytes.push(mod << 6 | reg << 3 | rm);
  if (mod === 0 && rm === 6) return pushInt(bytes, target, 2);
  const disp = dispSize === 0 ? 0n : BigInt(r.below(256) - 128);
  pushInt(bytes, disp, dispSize);
  let base = target - disp;
  if (INDEX16[rm] >= 0) base -= b.gpr[INDEX16[rm]];
  setBase(b, BASE16[rm], b.gpr[BASE16[rm]] & 0xffff_0000n | base & 0xffffn);
  if (INDEX16[rm] >= 0) b.taken.add(INDEX16[rm]);
}

/** ModRM, SIB and displacement with 32-bit or 64-bit addresses. */
function memoryOperand32(b: Building, reg: number, rex: number, gs: boolean): void {
  const { r, bytes } = b;
  let target = randomAddress(r, b.mode);
  if (gs && b.mode === 64) target = wrap(target - BigInt(GS_BASE), b.mode);
  const rexB = rex & 1 ? 8 : 0, rexX = rex & 2 ? 8 : 0;
  const shape = r.below(10);
  if (shape === 0) { // disp32: absolute, or relative to RIP
    bytes.push(reg << 3 | 5);
    const here = BigInt(CODE + CODE_OFFSET + bytes.length + 4);
    pushInt(bytes, b.mode === 64 ? target - here : target, 4);
    return;
  }
  const mod = r.below(3), rm = shape < 5 ? 4 : r.below(8);
  const dispSize = mod === 1 ? 1 : mod === 2 ? 4 : 0;
  const disp = dispSize === 1
    ? BigInt(r.below(256) - 128)
    : dispSize === 4
    ? BigInt(r.u32() % 0x1_0000) - 0x8000n
    : 0n;
  if (rm !== 4) {
    bytes.push(mod << 6 | reg << 3 | rm);
    if (mod === 0 && rm === 5) return pushInt(bytes, target, 4);
    pushInt(bytes, disp, dispSize);
    setBase(b, rm | rexB, wrap(target - disp, b.mode));
    return;
  }
  const scale = r.below(4), index = r.below(8), base = r.below(8);
  bytes.push(mod << 6 | reg << 3 | 4, scale << 6 | index << 3 | base);
  const indexReg = index | rexX;
  let indexValue = 0n;
  if (indexReg !== 4) {
    if (!b.taken.has(indexReg)) {
      b.gpr[indexReg] = wrap(r.chance(0.8) ? BigInt(r.below(512) - 256) : interesting(r), b.mode);
    }
    indexValue = b.gpr[indexReg] << BigInt(scale);
  }
  if (mod === 0 && base === 5) return pushInt(bytes, target - indexValue, 4);
  pushInt(bytes, disp, dispSize);
  setBase(b, base | rexB, wrap(target - disp - indexValue, b.mode));
}

/**
 * Appends ModRM, SIB and displacement of a memory operand and points its registers at a random address.
 * @param addressSize a 67 prefix is there
 * @param gs the operand is in GS
 */
export function memoryOperand(
  b: Building,
  reg: number,
  rex: number,
  addressSize: boolean,
  gs: boolean,
): void {
  if (b.mode === 16 ? !addressSize : b.mode === 32 && addressSize) memoryOperand16(b, reg);
  else memoryOperand32(b, reg, rex, gs);
}

/** Registers before memory operands claim theirs. */
export function randomRegisters(r: Random, mode: Mode): BigUint64Array {
  const gpr = new BigUint64Array(16), window = mode === 16 ? 0 : WINDOW;
  const stackLike = () => BigInt(window + 4096 - 64 + 8 * r.below(16));
  for (let i = 0; i < 16; i++) {
    const kind = r.below(20);
    if (kind === 0) gpr[i] = codePointer(r, mode);
    else if (kind < 3) gpr[i] = randomAddress(r, mode);
    else gpr[i] = interesting(r);
  }
  if (r.chance(0.5)) gpr[1] = BigInt(r.below(24)); // counts
  if (r.chance(0.4)) gpr[2] = r.pick([0n, 1n, MASK64, gpr[2] & 0xffn]); // dividends
  gpr[4] = r.chance(0.8) ? stackLike() : randomAddress(r, mode);
  if (r.chance(0.5)) gpr[5] = stackLike();
  for (const i of [6, 7]) if (r.chance(0.75)) gpr[i] = randomAddress(r, mode);
  if (mode !== 64) { for (let i = 0; i < 16; i++) gpr[i] &= 0xffff_ffffn; }
  // Garbage above 16-bit counts and pointers, which must not matter.
  if (mode === 16) {
    for (const i of [1, 6, 7]) {
      if (r.chance(0.3)) gpr[i] |= BigInt(r.below(0x1_0000)) << 16n;
    }
  }
  return gpr;
}
