/** A long-mode machine with one page table, and the calls that generated code makes. */
import { Leave } from "../core/cpu/leave.ts";
import { Cr0, Cr4 } from "../core/cpu/state.ts";
import * as L from "../core/layout.ts";
import { LONG, PAE, PAGED, TestCore } from "./system_fixture.ts";

export const P = 1, W = 2, U = 4, G = 0x100, PS = 0x80, D = 0x40, A = 0x20;
export const PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000;
/** Top of the address space: every level uses its last entries. */
export const TOP = -0x20_0000;

/** Long mode with one page table for the last 2 MiB; returns the core and a function that maps page n of it. */
export function machine(): { c: TestCore; map: (n: number, gpa: number, flags: number) => void } {
  const c = new TestCore();
  c.mem.write32(PML4 + 511 * 8, PDPT | P | W | U);
  c.mem.write32(PDPT + 511 * 8, PD | P | W | U);
  c.mem.write32(PD + 511 * 8, PT | P | W | U);
  c.control((PAGED | Cr0.WP) >>> 0, PAE | Cr4.PGE, LONG, PML4);
  c.s.setSeg(1, 8, 0, 0, 0x29b); // 64-bit code
  return { c, map: (n, gpa, flags) => c.mem.write32(PT + n * 8, (gpa | flags) >>> 0) };
}

/** Calls a slow path as generated code does. */
export function slow(c: TestCore, load: boolean, la: number, size: number, flags = 0): number {
  c.s.setNum(L.SLOW_ADDR, la);
  c.s.i32[L.LEAVE >> 2] = Leave.NONE;
  return (load ? c.mmu.slowLoad(size, flags) : c.mmu.slowStore(size, flags)) >>> 0;
}
export const leave = (c: TestCore) => c.s.i32[L.LEAVE >> 2];
export const pendingFault = (
  c: TestCore,
) => [c.s.i32[L.FAULT_VECTOR >> 2], c.s.i32[L.FAULT_ERROR >> 2], c.s.num(L.FAULT_ADDR)];

/** What a TLB tag says about an access of generated code: its entry, or -1. */
export function probe(c: TestCore, la: number, tag: number, size = 4): number {
  const big = BigInt.asUintN(64, BigInt(la));
  const e = c.s.i32[L.TLB_BASE >> 2] + Number(((big >> 12n) + (big >> 24n)) & 4095n) * 32;
  const hit =
    c.s.view.getBigUint64(e + tag, true) === ((big + BigInt(size - 1)) & BigInt.asUintN(64, ~0xfffn));
  return hit ? (Number(big & 0xffff_ffffn) + c.s.view.getInt32(e + L.TLB_ADDEND, true)) >>> 0 : -1;
}
