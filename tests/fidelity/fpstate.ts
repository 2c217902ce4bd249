/**
 * Random x87, MMX, SSE states as FXSAVE images (Intel SDM volume 1, table 10-2).
 *
 * @module
 */
import type { Random } from "./random.ts";

/** Offsets in the image. */
export const FX = { FCW: 0, FSW: 2, FTW: 4, FOP: 6, FIP: 8, FDP: 16, MXCSR: 24, ST: 32, XMM: 160 } as const;

const F32 = [
  0,
  0x8000_0000,
  0x3f80_0000,
  0xbf80_0000,
  0x7f80_0000,
  0xff80_0000,
  0x7fc0_0000,
  0xffc0_0000,
  0x7f80_0001,
  1,
  0x007f_ffff,
  0x0080_0000,
  0x7f7f_ffff,
  0x4f00_0000,
  0xcf00_0000,
  0x4eff_ffff,
  0x5f00_0000,
  0x3f00_0000,
  0x4020_0000,
];
const F64 = [
  0n,
  1n << 63n,
  0x3ff0n << 48n,
  0xbff0n << 48n,
  0x7ff0n << 48n,
  0xfff0n << 48n,
  0x7ff8n << 48n,
  0xfff8n << 48n,
  (0x7ff0n << 48n) + 1n,
  1n,
  0x000f_ffff_ffff_ffffn,
  0x0010n << 48n,
  0x7fef_ffff_ffff_ffffn,
  0x41e0n << 48n,
  0xc1e0n << 48n,
  0x43e0n << 48n,
  0x3fe0n << 48n,
  0x4004n << 48n,
  0x3810n << 48n,
  0x47efn << 48n,
];

/** A vector register's value: floats of either size, or integers. */
function randomXmm(r: Random, out: DataView, at: number): void {
  const kind = r.below(10);
  for (let i = 0; i < 4; i++) out.setUint32(at + i * 4, kind < 8 ? r.u32() : 0, true);
  if (kind < 3) {
    for (let i = 0; i < 4; i++) {
      if (r.chance(0.5)) out.setUint32(at + i * 4, r.pick(F32), true);
      else if (r.chance(0.6)) out.setFloat32(at + i * 4, (r.u32() - 0x8000_0000) / 2 ** r.below(40), true);
    }
  } else if (kind < 6) {
    for (let i = 0; i < 2; i++) {
      if (r.chance(0.5)) out.setBigUint64(at + i * 8, r.pick(F64), true);
      else if (r.chance(0.6)) out.setFloat64(at + i * 8, (r.u32() - 0x8000_0000) / 2 ** r.below(70), true);
    }
  } else if (kind < 8) {
    const b = r.pick([0, 0xff, 0x7f, 0x80, 1]);
    for (let i = 0; i < 16; i++) if (r.chance(0.4)) out.setUint8(at + i, b);
  } else if (kind < 9) { for (let i = 0; i < 16; i++) out.setUint8(at + i, r.below(40)); }
}

/** An 80-bit value: normal numbers mostly, every class sometimes. */
function randomSt(r: Random, out: DataView, at: number): void {
  const kind = r.below(16), sign = r.below(2) << 15;
  const put = (exponent: number, hi: number, lo: number) => {
    out.setUint32(at, lo, true);
    out.setUint32(at + 4, hi, true);
    out.setUint16(at + 8, sign | exponent, true);
  };
  if (kind < 6) put(0x3fff - 70 + r.below(140), r.u32() | 0x8000_0000, r.u32());
  else if (kind < 8) put(0x3fff + r.below(34), (r.u32() | 0x8000_0000) & ~((1 << r.below(31)) - 1), 0);
  else if (kind === 8) put(0, 0, 0);
  else if (kind === 9) put(0x3fff, 0x8000_0000, 0);
  else if (kind === 10) put(0x7fff, 0x8000_0000, 0);
  else if (kind === 11) put(0x7fff, r.u32() | 0xc000_0000, r.u32());
  else if (kind === 12) put(0x7fff, 0x8000_0000 | r.u32() >>> 2, r.u32() | 1);
  else if (kind === 13) put(0, r.u32() >>> 1, r.u32());
  else if (kind === 14) put(r.below(0x7fff), r.u32() | 0x8000_0000, r.u32());
  else put(r.below(0x8000), r.u32(), r.u32());
}

/** An FXSAVE image; initial state with random vector registers unless `full`. */
export function randomFx(r: Random, full: boolean): Uint8Array {
  const fx = new Uint8Array(512), v = new DataView(fx.buffer);
  v.setUint16(FX.FCW, 0x37f, true);
  v.setUint32(FX.MXCSR, 0x1f80, true);
  if (!full) return fx;
  for (let i = 0; i < 16; i++) randomXmm(r, v, FX.XMM + i * 16);
  for (let i = 0; i < 8; i++) randomSt(r, v, FX.ST + i * 16);
  const fcw = r.chance(0.5)
    ? 0x37f
    : r.chance(0.7)
    ? 0x7f | r.below(16) << 8
    : 0x40 | r.below(64) | r.below(16) << 8;
  let fsw = r.below(8) << 11 | (r.chance(0.3) ? r.u32() & 0x477f : r.u32() & 0x4700);
  if (fsw & ~fcw & 0x3f) fsw = r.chance(0.1) ? fsw | 0x8080 : fsw & ~0x3f;
  v.setUint16(FX.FCW, fcw, true);
  v.setUint16(FX.FSW, fsw, true);
  fx[FX.FTW] = r.chance(0.6) ? 0xff : r.chance(0.5) ? 0 : r.below(256);
  const masks = r.chance(0.85) ? 0x1f80 : r.below(64) << 7;
  v.setUint32(
    FX.MXCSR,
    masks | (r.chance(0.3) ? r.below(4) << 13 : 0) | (r.chance(0.08) ? 0x8000 : 0) |
      (r.chance(0.08) ? 0x40 : 0) | (r.chance(0.3) ? r.below(64) : 0),
    true,
  );
  return fx;
}
