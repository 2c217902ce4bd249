/**
 * Cases for SSE floating-point instructions, for the host differential test: operands where rounding, overflow,
 * underflow, cancellation and NaN rules change, under every kind of MXCSR.
 *
 * @module
 */
import { FX } from "./fidelity/fpstate.ts";
import type { GeneratedCase } from "./fidelity/generate.ts";
import { Random } from "./fidelity/random.ts";

/** One instruction with register operands: its bytes, the width of its operands' lanes. */
export interface SseForm {
  name: string;
  bytes: number[];
  /** Operands are 64-bit floats; else 32-bit ones. */
  double: boolean;
  /** Source holds integers. */
  integers: boolean;
  /** Takes an immediate byte. */
  immediate: boolean;
}

const PREFIX = [[], [0x66], [0xf3], [0xf2]];
const SUFFIX = ["ps", "pd", "ss", "sd"];

/** Arithmetic opcodes with all four prefixes. */
const ARITHMETIC: [number, string][] = [
  [0x51, "sqrt"],
  [0x58, "add"],
  [0x59, "mul"],
  [0x5c, "sub"],
  [0x5d, "min"],
  [0x5e, "div"],
  [0x5f, "max"],
  [0xc2, "cmp"],
];
/** [opcode, prefix, name, integers]: the rest of map 0F; XMM, MMX or general registers as the opcode has it. */
const OTHERS: [number, number, string, boolean][] = [
  [0x2e, 0, "ucomiss", false],
  [0x2e, 1, "ucomisd", false],
  [0x2f, 0, "comiss", false],
  [0x2f, 1, "comisd", false],
  [0x2a, 0, "cvtpi2ps", true],
  [0x2a, 1, "cvtpi2pd", true],
  [0x2a, 2, "cvtsi2ss", true],
  [0x2a, 3, "cvtsi2sd", true],
  [0x2c, 0, "cvttps2pi", false],
  [0x2c, 1, "cvttpd2pi", false],
  [0x2c, 2, "cvttss2si", false],
  [0x2c, 3, "cvttsd2si", false],
  [0x2d, 0, "cvtps2pi", false],
  [0x2d, 1, "cvtpd2pi", false],
  [0x2d, 2, "cvtss2si", false],
  [0x2d, 3, "cvtsd2si", false],
  [0x52, 0, "rsqrtps", false],
  [0x52, 2, "rsqrtss", false],
  [0x53, 0, "rcpps", false],
  [0x53, 2, "rcpss", false],
  [0x5a, 0, "cvtps2pd", false],
  [0x5a, 1, "cvtpd2ps", false],
  [0x5a, 2, "cvtss2sd", false],
  [0x5a, 3, "cvtsd2ss", false],
  [0x5b, 0, "cvtdq2ps", true],
  [0x5b, 1, "cvtps2dq", false],
  [0x5b, 2, "cvttps2dq", false],
  [0xe6, 1, "cvttpd2dq", false],
  [0xe6, 2, "cvtdq2pd", true],
  [0xe6, 3, "cvtpd2dq", false],
  [0x7c, 1, "haddpd", false],
  [0x7c, 3, "haddps", false],
  [0x7d, 1, "hsubpd", false],
  [0x7d, 3, "hsubps", false],
  [0xd0, 1, "addsubpd", false],
  [0xd0, 3, "addsubps", false],
];
/** Map 0F3A with prefix 66. */
const MAP_3A: [number, string, boolean][] = [
  [0x08, "roundps", false],
  [0x09, "roundpd", true],
  [0x0a, "roundss", false],
  [0x0b, "roundsd", true],
  [0x40, "dpps", false],
  [0x41, "dppd", true],
];

/** Every form: xmm1 (mm1, rcx) op= xmm2 (mm2, rdx). */
export function sseForms(): SseForm[] {
  const forms: SseForm[] = [], modrm = 0xca;
  for (const [op, name] of ARITHMETIC) {
    for (let p = 0; p < 4; p++) {
      const bytes = [...PREFIX[p], 0x0f, op, modrm], double = (p & 1) === 1;
      forms.push({ name: name + SUFFIX[p], bytes, double, integers: false, immediate: op === 0xc2 });
    }
  }
  for (const [op, p, name, integers] of OTHERS) {
    const double = op === 0xe6 || op === 0x7c || op === 0x7d || op === 0xd0
      ? p === 1 || op === 0xe6
      : op === 0x5b
      ? false
      : (p & 1) === 1;
    const add = (rex: number[], suffix: string) =>
      forms.push({
        name: name + suffix,
        bytes: [...PREFIX[p], ...rex, 0x0f, op, modrm],
        double,
        integers,
        immediate: false,
      });
    add([], "");
    if (p >= 2 && op >= 0x2a && op <= 0x2d) add([0x48], "64");
  }
  for (const [op, name, double] of MAP_3A) {
    forms.push({ name, bytes: [0x66, 0x0f, 0x3a, op, modrm], double, integers: false, immediate: true });
  }
  return forms;
}

/** A 64-bit float near something: small integers, halves, powers of two, limits of formats, random. */
function double(r: Random, near: number | null): bigint {
  const v = new DataView(new ArrayBuffer(8)), kind = r.below(16);
  let bits = r.u64();
  const exponent = (e: number) => bits = bits & 0x800f_ffff_ffff_ffffn | BigInt(e) << 52n;
  if (kind < 3) {
    exponent(near !== null ? Math.min(2047, Math.max(0, near - 3 + r.below(6))) : 1000 + r.below(46));
  } else if (kind === 3) exponent(r.pick([0, 1, 2, 52, 53, 54, 55]));
  else if (kind === 4) exponent(r.pick([2046, 2045, 2044, 2047]));
  else if (kind === 5) exponent(r.pick([510, 511, 512, 1534, 1535, 1536, 970]));
  else if (kind === 6) exponent(r.pick([870, 871, 872, 873, 895, 896, 897, 1149, 1150, 1151, 1152]));
  else if (kind < 9) {
    v.setFloat64(0, (r.below(2000) - 1000) / r.pick([1, 1, 2, 4, 8, 3]));
    bits = v.getBigUint64(0);
  } else if (kind === 9) {
    v.setFloat64(
      0,
      r.pick([2 ** 31, -(2 ** 31), 2 ** 63, -(2 ** 63), 2 ** 53, 2 ** 24]) + (r.below(9) - 4) / 2,
    );
    bits = v.getBigUint64(0) + BigInt(r.below(3) - 1);
  } else if (kind === 10) {
    bits = r.pick([
      0n,
      1n << 63n,
      0x7ff0n << 48n,
      0xfff0n << 48n,
      0x7ff8n << 48n,
      0xfff0_0000_0000_0001n,
      1n,
    ]);
  } else if (kind === 11) bits &= -1n << BigInt(20 + r.below(32));
  else if (kind === 12) {
    exponent(r.below(2) ? 1 : 0);
    bits = bits & (1n << 63n) | (r.below(2) ? 0x0010n << 48n : 0x0020n << 48n) + BigInt(r.below(5) - 2);
  } else if (kind === 13) exponent(1023 + r.below(66));
  return BigInt.asUintN(64, bits);
}

/** As `double`, 32 bits. */
function single(r: Random, near: number | null): number {
  const v = new DataView(new ArrayBuffer(4)), kind = r.below(15);
  let bits = r.u32();
  const exponent = (e: number) => bits = bits & 0x807f_ffff | e << 23;
  if (kind < 3) {
    exponent(near !== null ? Math.min(255, Math.max(0, near - 3 + r.below(6))) : 116 + r.below(20));
  } else if (kind === 3) exponent(r.pick([0, 1, 2, 23, 24, 25]));
  else if (kind === 4) exponent(r.pick([254, 253, 252, 255]));
  else if (kind === 5) exponent(r.pick([62, 63, 64, 65, 189, 190, 191, 192]));
  else if (kind < 8) {
    v.setFloat32(0, (r.below(2000) - 1000) / r.pick([1, 1, 2, 4, 3]));
    bits = v.getUint32(0);
  } else if (kind === 8) {
    v.setFloat32(0, r.pick([2 ** 31, -(2 ** 31), 2 ** 63, -(2 ** 63), 2 ** 24]));
    bits = v.getUint32(0) + r.below(3) - 1;
  } else if (kind === 9) {
    bits = r.pick([0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 1, 0x007f_ffff]);
  } else if (kind === 10) bits &= -1 << (8 + r.below(15));
  else if (kind === 11) bits = bits & 0x8000_0000 | (r.below(2) ? 0x0080_0000 : 0x0100_0000) + r.below(5) - 2;
  else if (kind === 12) exponent(127 + r.below(66));
  return bits >>> 0;
}

const MXCSR = [0x1f80, 0x1fa0, 0x1fa0, 0x3f80, 0x5fa0, 0x7f80, 0x9f80, 0x1fc0, 0x9fe0, 0x3fa0, 0xdfa0];

/** A case of a form. The second operand is often close to the first, or the same. */
export function sseCase(form: SseForm, r: Random): GeneratedCase {
  const fx = new Uint8Array(512), v = new DataView(fx.buffer);
  v.setUint16(FX.FCW, 0x37f, true);
  const masks = r.chance(0.85) ? 0x1f80 : r.below(64) << 7;
  const mxcsr = r.chance(0.7)
    ? r.pick(MXCSR)
    : masks | r.below(4) << 13 | r.below(64) | (r.below(4) ? 0 : 0x8040);
  v.setUint32(FX.MXCSR, mxcsr & 0xffff, true);
  const gpr = new BigUint64Array(16), calm = r.chance(0.5);
  gpr[4] = 0x2000_1000n;
  for (let i = 0; i < 4; i++) {
    const a = FX.XMM + 16 + i * 4, b = a + 16;
    if (form.double) {
      if (i & 1) continue;
      const x = calm ? double(r, 1023) : double(r, null), e = Number(x >> 52n & 0x7ffn);
      v.setBigUint64(a, x, true);
      const y = double(r, r.chance(0.7) ? e : null);
      v.setBigUint64(b, r.chance(0.05) ? x ^ BigInt(r.below(4)) : y, true);
    } else {
      const x = calm ? single(r, 127) : single(r, null), e = x >>> 23 & 0xff;
      v.setUint32(a, x, true);
      v.setUint32(b, r.chance(0.05) ? x ^ r.below(4) : single(r, r.chance(0.7) ? e : null), true);
    }
    if (form.integers) v.setUint32(b, r.u32() >> r.below(32), true);
  }
  gpr[2] = BigInt.asUintN(64, BigInt.asIntN(64, r.u64()) >> BigInt(r.below(64)));
  for (let i = 0; i < 4; i++) v.setUint32(FX.ST + 32 + (i & 1) * 4, r.u32() >> r.below(32), true);
  const code = new Uint8Array(form.immediate ? [...form.bytes, r.below(256)] : form.bytes);
  return {
    test: { mode: 64, code, codeOffset: 0x800, seed: 1, rflags: r.u32() & 0x8d5, gpr, fx, patches: [] },
    form: { code: 0, mnemonic: 0, name: form.name, group: "sse", encodings: [] },
    undefinedFlags: 0,
    mnemonic: form.name,
    transcendental: false,
    mmx: / |pi/.test(form.name),
  };
}
