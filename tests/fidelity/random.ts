/**
 * Seeded random numbers for tests: the same seed gives the same numbers everywhere.
 *
 * @module
 */

/** A small fast generator (Bob Jenkins' "small noncryptographic PRNG", 32-bit). */
export class Random {
  #a = 0xf1ea5eed | 0;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed any 32-bit number @param stream a second one: independent sequences of one seed. */
  constructor(seed: number, stream = 0) {
    this.#b = seed | 0;
    this.#c = (seed ^ Math.imul(stream, 0x9e37_79b9)) | 0;
    this.#d = stream | 0;
    for (let i = 0; i < 20; i++) this.u32();
  }

  /** 32 random bits, unsigned. */
  u32(): number {
    const e = (this.#a - (this.#b << 27 | this.#b >>> 5)) | 0;
    this.#a = this.#b ^ (this.#c << 17 | this.#c >>> 15);
    this.#b = (this.#c + this.#d) | 0;
    this.#c = (this.#d + e) | 0;
    this.#d = (e + this.#a) | 0;
    return this.#d >>> 0;
  }
  /** An integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.u32() / 0x1_0000_0000 * n);
  }
  /** True with probability p. */
  chance(p: number): boolean {
    return this.u32() < p * 0x1_0000_0000;
  }
  /** One element. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
  /** 64 random bits. */
  u64(): bigint {
    return BigInt(this.u32()) << 32n | BigInt(this.u32());
  }
}

/** Where carries, signs and sizes change. */
const CORNERS = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  15n,
  16n,
  31n,
  32n,
  33n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0x81n,
  0xffn,
  0x100n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0x8000_0001n,
  0xffff_fffen,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_8000_0000n,
  0xffff_ffff_ffff_ff80n,
  0xffff_ffff_ffff_fffen,
  0xffff_ffff_ffff_ffffn,
  0x0000_7fff_ffff_ffffn,
  0x0000_8000_0000_0000n,
  0xffff_8000_0000_0000n,
  0xaaaa_aaaa_aaaa_aaaan,
  0x99n,
  0x9an,
  0xfan,
];

/** An operand value: a corner, a small number, random bits, or a run of ones. */
export function interesting(r: Random): bigint {
  const kind = r.below(10);
  if (kind < 4) return r.pick(CORNERS);
  if (kind < 6) return BigInt(r.below(256));
  if (kind < 7) return (1n << BigInt(r.below(64))) - BigInt(r.below(2)) & 0xffff_ffff_ffff_ffffn;
  return r.u64();
}
