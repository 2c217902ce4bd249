import { assertEquals, assertNotEquals } from "@std/assert";
import { Cr4 } from "../core/cpu/state.ts";
import * as L from "../core/layout.ts";
import { Access } from "../core/mmu/mmu.ts";
import { tlbIndex } from "../core/mmu/tlb.ts";
import { G, machine, P, PD, probe, PS, slow, TOP, U, W } from "./mmu_fixture.ts";
import { assertFault, faultOf, TestCore } from "./system_fixture.ts";

Deno.test("flushNonGlobal keeps global translations only, flushAll and INVLPG keep none", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W | G);
  map(4, 0x21000, P | W);
  const both = () => [probe(c, TOP + 0x3000, L.TLB_READ) > 0, probe(c, TOP + 0x4000, L.TLB_READ) > 0];
  const fill = () => (slow(c, true, TOP + 0x3000, 4), slow(c, true, TOP + 0x4000, 4));
  fill();
  assertEquals(both(), [true, true]);
  c.mmu.flushNonGlobal();
  assertEquals(both(), [true, false]);
  fill();
  c.mmu.invlpg(TOP + 0x3123);
  assertEquals(both(), [false, true]);
  fill();
  c.mmu.flushAll();
  assertEquals(both(), [false, false]);
  c.s.u32[L.CR4 >> 2] &= ~Cr4.PGE;
  fill();
  c.mmu.flushNonGlobal();
  assertEquals(both(), [false, false], "G means nothing without CR4.PGE");
});

Deno.test("INVLPG inside a large page drops all of it, and nothing else", () => {
  const { c } = machine();
  c.mem.write32(PD + 511 * 8, P | W | PS);
  c.mem.write32(PD + 510 * 8, P | W | PS);
  const at = [TOP, TOP + 0x1000, TOP + 0x1f_f000, TOP - 0x1000];
  for (const la of at) slow(c, true, la, 4);
  c.mmu.invlpg(TOP + 0x8_0000);
  assertEquals(at.map((la) => probe(c, la, L.TLB_READ) > 0), [false, false, false, true]);
});

/** A jump cache entry that must be gone after a flush. */
const jc = (c: TestCore, n: number) => c.s.i32[(L.JUMP_CACHE + n * L.JUMP_CACHE_SIZE + 8) >> 2];

Deno.test("jump caches are emptied when a translation they may know is dropped, and only then", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W | G);
  map(4, 0x21000, P | W | U);
  map(5, 0x22000, P | W);
  const remember = () => {
    for (const cache of c.mmu.tlb.jumpCaches) cache.remember(0, 0, 1, 0);
  };
  const known = () => [jc(c, 0) === 1, jc(c, 1) === 1];
  c.mmu.translate(TOP + 0x3000, Access.EXEC);
  c.setCpl(3);
  c.mmu.translate(TOP + 0x4000, Access.EXEC);
  c.setCpl(0);
  remember();
  c.mmu.flushNonGlobal();
  assertEquals(known(), [true, false], "only global code ran at CPL 0");
  remember();
  c.mmu.translate(TOP + 0x5000, Access.READ);
  c.mmu.invlpg(TOP + 0x5000);
  assertEquals(known(), [true, true], "data only");
  c.mmu.invlpg(TOP + 0x3000);
  assertEquals(known(), [false, true]);
  c.mmu.translate(TOP + 0x5000, Access.EXEC);
  remember();
  c.mmu.flushNonGlobal();
  assertEquals(known(), [false, true]);
  remember();
  c.mmu.flushAll();
  assertEquals(known(), [false, false]);
});

Deno.test("a translation for execution outlives any data access, and its displacement empties the jump cache", () => {
  const { c } = machine();
  c.mem.write32(PD + 511 * 8, P | W | PS);
  c.mem.write32(PD + 510 * 8, P | W | PS);
  const code = TOP + 0x3000;
  c.mmu.translate(code, Access.EXEC);
  for (let la = TOP - 0x20_0000; la < 0; la += 4096) slow(c, true, la, 4);
  c.mem.write32(PD + 511 * 8, 0);
  assertEquals(c.mmu.translate(code, Access.EXEC), 0x3000, "no walk");
  // Addresses 2048 pages apart share a set of four.
  c.mem.write32(PD + 511 * 8, P | W | PS);
  for (let n = 1; n <= 4; n++) c.mem.write32(PD + (511 - n * 4) * 8, P | W | PS);
  for (let n = 1; n <= 4; n++) {
    c.mmu.tlb.jumpCaches[0].remember(0, 0, 1, 0);
    const la = code - n * 0x80_0000;
    // The set's number mixes in address bits from 23 up: undo that to stay in one set.
    const set = (a: number) =>
      Number(((BigInt.asUintN(64, BigInt(a)) >> 12n) ^ (BigInt.asUintN(64, BigInt(a)) >> 23n)) & 2047n);
    const fix = (set(la) ^ set(code)) * 4096, there = la - (la & 0x1f_f000) + ((la & 0x1f_f000) ^ fix);
    assertEquals(set(there), set(code));
    c.mmu.translate(there, Access.EXEC);
    assertEquals(jc(c, 0) === 1, n < 4, `entry ${n}`);
  }
  c.mem.write32(PD + 511 * 8, 0);
  assertFault(faultOf(() => c.mmu.translate(code, Access.EXEC)), 14, 0, "first in, first out");
});

Deno.test("INVLPG in a large page drops its translations for execution", () => {
  const { c } = machine();
  c.mem.write32(PD + 511 * 8, P | W | PS);
  c.mmu.translate(TOP + 0x3000, Access.EXEC);
  c.mem.write32(PD + 511 * 8, 0);
  c.mmu.invlpg(TOP - 0x1000);
  assertEquals(c.mmu.translate(TOP + 0x3000, Access.EXEC), 0x3000);
  const saved = c.mmu.saveTlb();
  c.mmu.loadTlb(saved);
  assertEquals(c.mmu.saveTlb(), saved);
  assertEquals(c.mmu.translate(TOP + 0x3000, Access.EXEC), 0x3000);
  c.mmu.invlpg(TOP + 0x9000);
  assertFault(faultOf(() => c.mmu.translate(TOP + 0x3000, Access.EXEC)), 14, 0);
});

Deno.test("the TLB survives save and load, and equal contents give equal bytes", () => {
  const { c, map } = machine();
  for (let n = 0; n < 40; n++) map(n, 0x20000 + n * 0x1000, P | W | (n & 1 ? G : 0) | (n & 2 ? U : 0));
  for (const n of [7, 3, 30, 12]) slow(c, n !== 3, TOP + n * 0x1000, 4);
  const saved = c.mmu.saveTlb();
  c.mmu.flushAll();
  assertEquals(c.mmu.saveTlb().length, 8);
  for (const n of [12, 30, 3, 7]) slow(c, n !== 3, TOP + n * 0x1000, 4);
  assertEquals(c.mmu.saveTlb(), saved);
  for (let n = 0; n < 40; n++) map(n, 0, 0);
  c.mmu.flushAll();
  c.mmu.loadTlb(saved);
  assertEquals(c.mmu.saveTlb(), saved);
  assertEquals(probe(c, TOP + 0x3000, L.TLB_WRITE) > 0, true);
  assertEquals(probe(c, TOP + 0x7000, L.TLB_WRITE), -1);
  assertEquals(probe(c, TOP + 0x7000, L.TLB_READ) > 0, true);
  c.mmu.flushNonGlobal();
  assertEquals(probe(c, TOP + 0x1e000, L.TLB_READ), -1);
  assertEquals(probe(c, TOP + 0x7000, L.TLB_READ) > 0, true);
});

Deno.test("TLB keeps neighbouring pages in different entries", () => {
  // Where the low page bits wrap, each value of the bits above that the index takes in.
  for (let high = 0; high < 0x1_0000; high++) {
    const lo = (high << 24 | 0xfff000) | 0, hi = high >>> 8;
    const nextLo = (lo + 0x1000) | 0, nextHi = nextLo === 0 ? hi + 1 : hi;
    assertNotEquals(tlbIndex(lo, hi), tlbIndex(nextLo, nextHi), `at 0x${high.toString(16)}fff000`);
  }
});
