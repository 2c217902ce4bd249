/**
 * Seeded random x87 cases: operands of every class, related operands, all rounding and precision modes.
 */
import { MEMORY_BYTES, type X87Case } from "./x87_fixture.ts";

const J = 1n << 63n, ALL = (1n << 64n) - 1n;

/** A small seeded generator (32-bit LCG with a finaliser). */
export class Random {
  #state: number;
  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }
  /** An integer in [0, n). */
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    let x = this.#state;
    x ^= x >>> 15;
    x = Math.imul(x, 0x2c1b3c6d);
    return ((x ^ x >>> 12) >>> 0) % n;
  }
  /** 64 random bits. */
  bits64(): bigint {
    let v = 0n;
    for (let i = 0; i < 4; i++) v = v << 16n | BigInt(this.below(65536));
    return v;
  }
}

function significand(r: Random): bigint {
  switch (r.below(6)) {
    case 0:
      return J;
    case 1:
      return ALL;
    case 2:
      return J | r.bits64() & 0xffn;
    case 3:
      return J | r.bits64() << BigInt(r.below(63)) & ALL;
    case 4:
      return J | (r.bits64() >> 1n) & ~((1n << 40n) - 1n);
    default:
      return J | r.bits64();
  }
}

/** A value of any class: sign and exponent, significand. */
export function value(r: Random): [number, bigint] {
  const s = r.below(2) << 15;
  switch (r.below(20)) {
    case 0:
      return [s, 0n];
    case 1:
      return [s | 0x7fff, J];
    case 2:
      return [s | 0x7fff, J | 1n << 62n | r.bits64() >> 2n];
    case 3:
      return [s | 0x7fff, J | r.bits64() >> 2n | 1n];
    case 4:
      return [s, r.bits64() >> BigInt(1 + r.below(63))];
    case 5:
      return [s, J | r.bits64() >> 1n];
    case 6:
      return [s | r.below(0x7fff) + 1, r.bits64() >> 1n];
    case 7:
      return [s | 1 + r.below(5), significand(r)];
    case 8:
      return [s | 0x7ffe - r.below(5), significand(r)];
    case 9:
      return [s | r.below(0x7ffe) + 1, significand(r)];
    case 10:
      return [s | 0x3f80 + r.below(256), significand(r)];
    case 11:
      return [s | 0x3c00 + r.below(16), significand(r)];
    default:
      return [s | 0x3fff - 70 + r.below(140), significand(r)];
  }
}

/** A memory operand that suits the instruction half of the time, noise otherwise. */
function memoryFor(r: Random, code: number[]): Uint8Array {
  const memory = new Uint8Array(MEMORY_BYTES), v = new DataView(memory.buffer);
  for (let i = 0; i < 16; i++) memory[i] = r.below(256);
  const [op, modrm] = code, sign = r.below(2), kind = r.below(6);
  if (modrm >= 0xc0) return memory;
  if (op === 0xd8 || op === 0xd9) {
    const single = [
      0,
      0x7f80_0000,
      0x7fc0_0001,
      0x7f80_0001,
      1 + r.below(0x7f_ffff),
      0x3f80_0000 + r.below(1 << 24),
    ];
    v.setUint32(0, (single[kind] | sign << 31) >>> 0, true);
  } else if (op === 0xdc || op === 0xdd) {
    const double = [
      0n,
      0x7ff0n << 48n,
      0x7ff8n << 48n | 5n,
      0x7ff0n << 48n | r.bits64() >> 13n,
      r.bits64() >> 12n,
      0x3ffn << 52n | r.bits64() >> 6n,
    ];
    v.setBigUint64(0, double[kind] | BigInt(sign) << 63n, true);
  } else if (op === 0xdb && modrm === 0x2f) {
    const [top, sig] = value(r);
    v.setBigUint64(0, sig, true);
    v.setUint16(8, top, true);
  } else if (op === 0xdf && modrm === 0x27) {
    for (let i = 0; i < 9; i++) memory[i] = r.below(10) * 16 + r.below(10);
    memory[9] = sign << 7;
  } else if (r.below(4) === 0) {
    v.setBigUint64(0, [0n, 1n, 0x8000n, 0x8000_0000n, ALL, J][kind], true);
  }
  return memory;
}

/** Which exceptions a case leaves masked. */
export type Masking = "masked" | "mixed";

/** One random case of an instruction. */
export function randomCase(r: Random, code: number[], masking: Masking): X87Case {
  const regs: [number, bigint][] = [];
  for (let i = 0; i < 8; i++) regs.push(value(r));
  if (r.below(3) === 0) {
    // Operands that nearly cancel, or are close.
    const [top, sig] = regs[0], near = Math.max(0, Math.min(0x7fff, (top & 0x7fff) + r.below(5) - 2));
    regs[1] = [(top & 0x8000) ^ r.below(2) << 15 | near, sig ^ (r.below(2) ? 0n : BigInt(r.below(4)))];
  }
  let fcw = 0x7f | [0, 2, 3, 3][r.below(4)] << 8 | r.below(4) << 10;
  if (masking === "mixed") fcw = fcw & ~0x3f | r.below(64);
  const top = r.below(8);
  let ftw = 0;
  if (r.below(8) === 0) { for (let i = 0; i < 16; i += 2) ftw |= (r.below(2) ? 3 : 0) << i; }
  const pushes = code[1] < 0xc0
    ? (code[0] & 1) === 1 && (code[1] >> 3 === 0 || code[1] >> 3 >= 4)
    : code[0] === 0xd9;
  if (pushes && r.below(4) !== 0) ftw |= 3 << ((top + 7) & 7) * 2;
  return {
    code,
    fcw,
    fsw: top << 11 | r.below(8) << 8 | r.below(2) << 14,
    ftw,
    regs,
    memory: memoryFor(r, code),
    rflags: [0, 1, 4, 0x40, 0x41, 0x8d5, 0x45][r.below(7)],
  };
}

/** Makes the operand of FLDENV, FRSTOR or FXRSTOR an image with exceptions masked and none pending. */
export function stateImage(r: Random, t: X87Case, offset: number, stride: number): void {
  const v = new DataView(t.memory.buffer);
  v.setUint16(0, r.below(65536) | 0x3f, true);
  if (stride === 16) {
    v.setUint16(2, r.below(65536) & 0x7f7f, true);
    v.setUint32(8, 0, true);
    v.setUint32(24, 0x1f80, true);
  } else {
    v.setUint16(4, r.below(65536) & 0x7f7f, true);
    v.setUint16(8, r.below(65536), true);
  }
  for (let n = 0; n < 8; n++) {
    const [top, sig] = value(r);
    v.setBigUint64(offset + n * stride, sig, true);
    v.setUint16(offset + n * stride + 8, top, true);
  }
}
