/**
 * Ways from one block to the next without asking the code cache: the jump cache, and links in direct branches.
 *
 * @module
 */
import * as L from "../layout.ts";
import { jumpCacheOffset } from "../mmu/jump_cache.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { REC } from "./insn.ts";
import type { CpuState } from "./state.ts";

/** Record of the block at RIP if the jump cache knows it and it is still good, else 0. */
export function jumpCached(s: CpuState): number {
  const { i32 } = s, lo = i32[L.RIP >> 2], mode = i32[L.MODE >> 2];
  const hi = (mode & 3) === 2 ? i32[(L.RIP >> 2) + 1] : 0;
  const at = (i32[L.JC_BASE >> 2] + jumpCacheOffset(lo, hi)) >> 2;
  if (i32[at] !== lo || i32[at + 1] !== hi || i32[at + 3] !== mode) return 0;
  const rec = i32[at + 2];
  return i32[(rec - 4) >> 2] > 0 ? rec : 0;
}

/** Puts the block at RIP into the jump cache. */
export function rememberBlock(s: CpuState, mmu: Mmu, rip: number, rec: number): void {
  const { i32 } = s, user = i32[L.JC_BASE >> 2] === L.JUMP_CACHE ? 0 : 1;
  const cache = mmu.tlb.jumpCaches[user];
  cache.remember(rip | 0, Math.floor(rip / 0x1_0000_0000) | 0, rec, i32[L.MODE >> 2]);
}

/**
 * Links a direct branch to its target when both are in one page: then its translation cannot change in between.
 * @param slot byte address of the branch record's link slot
 */
export function linkBranch(s: CpuState, slot: number, rip: number, rec: number): void {
  const from = slot - (slot & 4 ? REC.DISP + 4 : REC.DISP);
  const lo = s.u32[(from + REC.RIP_LO) >> 2], hi = s.i32[(from + REC.RIP_HI) >> 2];
  if (hi === Math.floor(rip / 0x1_0000_0000) && lo >>> 12 === (rip >>> 12 & 0xfffff)) {
    s.i32[slot >> 2] = rec;
  }
}
