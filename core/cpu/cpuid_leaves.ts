/**
 * CPUID leaves that describe caches, topology and the XSAVE area.
 *
 * The caches are those of a small ordinary processor: 32 KiB L1 each way, 512 KiB L2, 64-byte lines.
 *
 * @module
 */
import type { CpuidContext } from "./cpuid.ts";
import type { CpuidResult } from "./hooks.ts";

/** Smallest n with 2^n >= count. */
function log2Ceil(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}

/** Intel's leaves 2 and 4, AMD's 0x80000005 and 0x80000006. */
export function cacheLeaf(o: CpuidResult, leaf: number, sub: number, ctx: CpuidContext): void {
  switch (leaf) {
    case 2: // descriptors: TLBs (0x5a, 0x03, 0x76, 0xb2, 0xca), 64-byte prefetch, "caches are in leaf 4"
      o.eax = 0x7603_5a01;
      o.ebx = 0x00f0_b2ff;
      o.edx = 0x00ca_0000;
      break;
    case 4: {
      if (sub > 2) break;
      const level = sub === 2 ? 2 : 1, type = [1, 2, 3][sub];
      const cores = (1 << log2Ceil(Math.min(64, ctx.vcpus << (ctx.apicIdShift ?? 0)))) - 1;
      o.eax = type | level << 5 | 1 << 8 | cores << 26;
      o.ebx = 7 << 22 | 63; // 8 ways, 1 partition, 64-byte lines
      o.ecx = sub === 2 ? 1023 : 63;
      break;
    }
    case 0x8000_0005: // TLB entries; 32 KiB, 8 ways, 1 line a tag, 64 bytes
      o.eax = 0xff40_ff40;
      o.ebx = 0xff40_ff40;
      o.ecx = o.edx = 0x2008_0140;
      break;
    case 0x8000_0006: // TLB entries; L2 512 KiB, 8 ways
      o.eax = 0x4200_4200;
      o.ebx = 0x4200_4200;
      o.ecx = 0x0200_6140;
      break;
  }
}

/** Leaf 0xb, extended topology: one thread a core, all cores in one package. */
export function topologyLeaf(o: CpuidResult, sub: number, ctx: CpuidContext): void {
  const smt = ctx.apicIdShift ?? 0;
  o.ecx = sub & 0xff;
  o.edx = ctx.apicId;
  if (sub === 0) {
    o.eax = smt;
    o.ebx = 1;
    o.ecx |= 1 << 8;
  } else if (sub === 1) {
    o.eax = smt + log2Ceil(ctx.vcpus);
    o.ebx = ctx.vcpus;
    o.ecx |= 2 << 8;
  }
}

/** Bytes of the legacy region and header of an XSAVE area; all there is without AVX. */
export const XSAVE_BYTES = 512 + 64;

/** Leaf 0xd: the XSAVE area of x87 and SSE state (both in the legacy region). */
export function xsaveLeaf(o: CpuidResult, sub: number, mask: number, features: number): void {
  if (sub === 0) {
    o.eax = mask;
    o.ebx = XSAVE_BYTES;
    o.ecx = XSAVE_BYTES;
  } else if (sub === 1) {
    o.eax = features;
    if (features & 2) o.ebx = XSAVE_BYTES;
  }
}
