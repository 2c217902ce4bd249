import { assertEquals } from "@std/assert";
import { Leave } from "../core/cpu/leave.ts";
import { Cr0, Cr4, Fl } from "../core/cpu/state.ts";
import * as L from "../core/layout.ts";
import { SlowFlag } from "../core/mmu/mmu.ts";
import {
  A,
  D,
  leave,
  machine,
  P,
  PDPT,
  pendingFault,
  PML4,
  probe,
  PT,
  slow,
  TOP,
  U,
  W,
} from "./mmu_fixture.ts";
import { assertFault, faultOf } from "./system_fixture.ts";

Deno.test("slowLoad answers the host offset and fills the TLB so that the next probe hits", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W);
  c.mem.write32(0x20010, 0xcafe_babe);
  const la = TOP + 0x3010, host = slow(c, true, la, 4);
  assertEquals(c.s.view.getUint32(host, true), 0xcafe_babe);
  assertEquals(probe(c, la, L.TLB_READ), host);
  assertEquals(probe(c, la, L.TLB_WRITE), -1, "not dirty yet");
  assertEquals(probe(c, TOP + 0x3ffd, L.TLB_READ), -1, "page-crossing never hits");
  assertEquals(slow(c, false, la, 4), host);
  assertEquals(probe(c, la, L.TLB_WRITE), host);
  assertEquals(c.mem.read32(PT + 3 * 8), 0x20000 | P | W | A | D);
  assertEquals(c.mem.dirty[0x20], 1);
});

Deno.test("slow paths leave with the exact fault", () => {
  const { c, map } = machine();
  map(3, 0x20000, P);
  assertEquals(slow(c, false, TOP + 0x3010, 8), 0);
  assertEquals([leave(c), ...pendingFault(c)], [Leave.FAULT, 14, 3, TOP + 0x3010]);
  assertEquals(slow(c, true, TOP + 0x4010, 8), 0);
  assertEquals([leave(c), ...pendingFault(c)], [Leave.FAULT, 14, 0, TOP + 0x4010]);
  c.s.setWords(L.SLOW_ADDR, 0, 0x8000);
  assertEquals(c.mmu.slowLoad(8, 0), 0);
  assertEquals(pendingFault(c).slice(0, 2), [13, 0]);
  assertEquals(c.mmu.slowStore(8, SlowFlag.STACK), 0);
  assertEquals(pendingFault(c).slice(0, 2), [12, 0]);
  c.setCpl(3);
  assertEquals(slow(c, true, TOP + 0x3010, 8), 0);
  assertEquals(pendingFault(c), [14, 5, TOP + 0x3010]);
  assertEquals(slow(c, true, TOP + 0x3010, 8, SlowFlag.SUPERVISOR) > 0, true);
});

Deno.test("page-crossing accesses join both pages and fault at the first byte of the page that faults", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W);
  map(4, 0x30000, P | W);
  for (let i = 0; i < 8; i++) c.mem.write8(i < 3 ? 0x20ffd + i : 0x30000 + i - 3, 0x10 + i);
  const la = TOP + 0x3ffd;
  assertEquals(slow(c, true, la, 8), L.SLOW_DATA);
  assertEquals(c.s.view.getBigUint64(L.SLOW_DATA, true), 0x1716151413121110n);
  assertEquals(c.mmu.readWords64(la), 0x13121110);
  assertEquals(c.mmu.hi, 0x17161514);

  assertEquals(slow(c, false, la, 8, SlowFlag.RMW), L.SLOW_DATA);
  assertEquals(c.s.view.getBigUint64(L.SLOW_DATA, true), 0x1716151413121110n, "current data for RMW");
  c.s.view.setBigUint64(L.SLOW_DATA, 0xa7a6a5a4a3a2a1a0n, true);
  c.mmu.commitStore();
  assertEquals([c.mem.read8(0x20ffd), c.mem.read8(0x20fff), c.mem.read32(0x30000)], [0xa0, 0xa2, 0xa6a5a4a3]);
  c.mmu.write64(la, 0x01020304, 0x05060708);
  assertEquals([c.mem.read8(0x20ffd), c.mem.read8(0x30000), c.mem.read8(0x30004)], [4, 1, 5]);

  map(4, 0x30000, P);
  c.mmu.invlpg(TOP + 0x4000);
  assertEquals(slow(c, false, la, 8), 0);
  assertEquals(pendingFault(c), [14, 3, TOP + 0x4000]);
  const before = c.mem.read8(0x20ffd);
  assertFault(faultOf(() => c.mmu.write32(la, 0xffff_ffff)), 14, 3);
  assertEquals(c.s.num(L.FAULT_ADDR), TOP + 0x4000);
  assertEquals(c.mem.read8(0x20ffd), before, "nothing written");
  map(3, 0, 0);
  c.mmu.invlpg(TOP + 0x3000);
  assertEquals(slow(c, true, la, 8), 0);
  assertEquals(pendingFault(c), [14, 0, la]);
});

Deno.test("page-crossing at the end of the address space wraps to zero, into the hole it faults", () => {
  const { c, map } = machine();
  map(511, 0x20000, P | W);
  assertEquals(slow(c, true, -2, 4), 0);
  assertEquals(pendingFault(c), [14, 0, 0]);
  c.s.setWords(L.SLOW_ADDR, 0xffff_fffe, 0x7fff);
  c.mem.write32(PML4 + 255 * 8, PDPT | P | W | U);
  assertEquals(c.mmu.slowLoad(4, SlowFlag.STACK), 0);
  assertEquals(pendingFault(c).slice(0, 2), [12, 0]);
  // Outside 64-bit code addresses are 32 bits wide.
  c.control(Cr0.PE, 0, 0);
  c.s.setSeg(1, 8, 0, 0xffff_ffff, 0xc9b);
  c.s.i32[L.ALONE >> 2] = 1;
  const reads: number[] = [];
  c.mmu.hooks = { mmioRead: (gpa) => (reads.push(gpa), 0x77), mmioWrite: () => {} };
  c.mem.write8(0, 0x55);
  assertEquals(slow(c, true, 0xffff_ffff, 2), L.SLOW_DATA);
  assertEquals(c.s.view.getUint16(L.SLOW_DATA, true), 0x5577);
  assertEquals(c.mmu.read16(0xffff_ffff), 0x5577);
  assertEquals(reads, [0xffff_ffff, 0xffff_ffff]);
});

Deno.test("MMIO waits for the instruction to be alone, then goes through the hooks, without reading for plain stores", () => {
  const { c, map } = machine();
  map(5, 0xfee0_0000, P | W);
  const log: string[] = [];
  c.mmu.hooks = {
    mmioRead: (gpa, size, linear) => (log.push(`r${size} ${gpa.toString(16)} ${linear}`), 0x80 + log.length),
    mmioWrite: (gpa, size, value) => void log.push(`w${size} ${gpa.toString(16)} ${value.toString(16)}`),
  };
  const la = TOP + 0x5020;
  assertEquals(slow(c, true, la, 4), 0);
  assertEquals([leave(c), log.length], [Leave.ALONE, 0]);
  assertEquals(slow(c, false, la, 4), 0);
  assertEquals([leave(c), log.length], [Leave.ALONE, 0]);
  c.s.i32[L.ALONE >> 2] = 1;
  assertEquals(slow(c, true, la, 4), L.SLOW_DATA);
  assertEquals(c.s.view.getUint32(L.SLOW_DATA, true), 0x81);
  assertEquals(slow(c, false, la, 8), L.SLOW_DATA);
  c.s.view.setBigUint64(L.SLOW_DATA, 0x1122334455667788n, true);
  c.mmu.commitStore();
  c.mmu.commitStore();
  c.mmu.write16(la, 0xabcd1234);
  assertEquals(slow(c, false, la, 1, SlowFlag.RMW), L.SLOW_DATA);
  assertEquals(c.s.u8[L.SLOW_DATA], 0x85);
  assertEquals(log, [
    `r4 fee00020 ${la}`,
    "w4 fee00020 55667788",
    "w4 fee00024 11223344",
    "w2 fee00020 1234",
    `r1 fee00020 ${la}`,
  ]);
  assertEquals(probe(c, la, L.TLB_READ), -1);
});

Deno.test("writes to ROM vanish", () => {
  const { c, map } = machine();
  c.mem.map(0x20000, 4096, "rom");
  c.mem.write(0x20000, new Uint8Array([1, 2, 3, 4]), true);
  map(3, 0x20000, P | W | D);
  assertEquals(slow(c, true, TOP + 0x3000, 4) > 0, true);
  assertEquals(probe(c, TOP + 0x3000, L.TLB_WRITE), -1);
  assertEquals(slow(c, false, TOP + 0x3000, 4, SlowFlag.RMW), L.SLOW_DATA);
  assertEquals(c.s.view.getUint32(L.SLOW_DATA, true), 0x04030201);
  c.s.view.setUint32(L.SLOW_DATA, 0xffff_ffff, true);
  c.mmu.commitStore();
  c.mmu.write8(TOP + 0x3000, 9);
  assertEquals(c.mem.read32(0x20000), 0x04030201);
  assertEquals(probe(c, TOP + 0x3000, L.TLB_WRITE), -1);
});

Deno.test("stores over decoded code leave first, then tell the code cache; beside it they just happen", () => {
  const { c, map } = machine(), told: number[][] = [];
  map(3, 0x20000, P | W | D);
  const la = TOP + 0x3000;
  slow(c, false, la, 4);
  assertEquals(probe(c, la, L.TLB_WRITE) > 0, true);
  c.mem.code[0x20] = 1;
  c.mmu.pageBecameCode(0x20);
  c.mem.codeOverlaps = (page, offset, len) => page === 0x20 && offset < 0x110 && offset + len > 0x100;
  c.mem.onCodeWrite = (page, offset, len) => void told.push([page, offset, len]);
  assertEquals(probe(c, la, L.TLB_WRITE), -1);
  assertEquals(probe(c, la, L.TLB_READ) > 0, true);
  assertEquals(slow(c, false, la + 0xfc, 4) > 0, true);
  assertEquals(slow(c, false, la + 0xfd, 4), 0);
  assertEquals([leave(c), told.length], [Leave.ALONE, 0]);
  c.s.i32[L.ALONE >> 2] = 1;
  assertEquals(slow(c, false, la + 0xfd, 4) > 0, true);
  c.mmu.write32(la + 0x10e, 0);
  c.mmu.write32(la + 0x110, 0);
  assertEquals(told, [[0x20, 0xfd, 4], [0x20, 0x10e, 4]]);
  c.mmu.flushAll();
  slow(c, true, la, 4);
  assertEquals(probe(c, la, L.TLB_WRITE), -1, "a fresh entry knows of the code too");
  c.mem.code[0x20] = 0;
  c.mmu.pageNoLongerCode(0x20);
  assertEquals(probe(c, la, L.TLB_WRITE) > 0, true);
});

Deno.test("accessed and dirty flags inside decoded code are not set under running code", () => {
  const { c, map } = machine(), told: number[] = [];
  map(3, 0x20000, P | W);
  c.mem.code[PT >> 12] = 1;
  c.mem.onCodeWrite = (_page, offset) => void told.push(offset);
  assertEquals(slow(c, true, TOP + 0x3000, 4), 0);
  assertEquals([leave(c), c.mem.read32(PT + 24) & A], [Leave.ALONE, 0]);
  c.s.i32[L.ALONE >> 2] = 1;
  assertEquals(slow(c, true, TOP + 0x3000, 4) > 0, true);
  assertEquals([told, c.mem.read32(PT + 24) & A], [[24], A]);
});

Deno.test("watched pages report their first write and run direct afterwards", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W);
  const la = TOP + 0x3000;
  slow(c, false, la, 4);
  c.mem.dirty.fill(0);
  c.mmu.watchWrites();
  assertEquals(probe(c, la, L.TLB_WRITE), -1);
  assertEquals(probe(c, la, L.TLB_READ) > 0, true);
  slow(c, true, la, 4);
  assertEquals(c.mem.dirty[0x20], 0, "a read does not dirty");
  assertEquals(probe(c, la, L.TLB_WRITE), -1);
  slow(c, false, la, 4);
  assertEquals(c.mem.dirty[0x20], 1);
  assertEquals(probe(c, la, L.TLB_WRITE) > 0, true);
  c.mem.dirty.fill(0);
  c.mmu.watchWrites();
  c.mmu.write8(la, 1);
  assertEquals(c.mem.dirty[0x20], 1);
});

Deno.test("selectSets separates user, supervisor, and supervisor with SMAP suspended", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W | U);
  c.s.u32[L.CR4 >> 2] |= Cr4.SMAP;
  c.s.u32[L.FLAGS >> 2] |= Fl.AC;
  c.updateMode();
  assertEquals(slow(c, true, TOP + 0x3000, 4) > 0, true);
  assertEquals(probe(c, TOP + 0x3000, L.TLB_READ) > 0, true);
  assertEquals(slow(c, true, TOP + 0x3000, 4, SlowFlag.SUPERVISOR), 0, "implicit accesses ignore AC");
  assertEquals(pendingFault(c), [14, 1, TOP + 0x3000]);
  c.s.u32[L.FLAGS >> 2] &= ~Fl.AC;
  c.updateMode();
  assertEquals(probe(c, TOP + 0x3000, L.TLB_READ), -1);
  c.setCpl(3);
  assertEquals(c.s.i32[L.JC_BASE >> 2], L.JUMP_CACHE + L.JUMP_CACHE_SIZE);
  assertEquals(probe(c, TOP + 0x3000, L.TLB_READ), -1);
  assertEquals(slow(c, true, TOP + 0x3000, 4) > 0, true);
  assertEquals(probe(c, TOP + 0x3000, L.TLB_READ) > 0, true);
});

Deno.test("user accesses are checked for alignment when CR0.AM and EFLAGS.AC are set", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W | U);
  c.s.u32[L.CR0 >> 2] |= Cr0.AM;
  c.s.u32[L.FLAGS >> 2] |= Fl.AC;
  c.setCpl(3);
  assertEquals(slow(c, true, TOP + 0x3004, 4) > 0, true);
  assertEquals(probe(c, TOP + 0x3004, L.TLB_READ), -1, "never direct");
  for (const [offset, size] of [[1, 2], [2, 4], [4, 8]]) {
    assertEquals(slow(c, offset === 2, TOP + 0x3000 + offset, size), 0);
    assertEquals([leave(c), ...pendingFault(c).slice(0, 2)], [Leave.FAULT, 17, 0]);
  }
  assertEquals(slow(c, true, TOP + 0x3003, 1) > 0, true);
  assertEquals(slow(c, true, TOP + 0x4001, 4), 0);
  assertEquals(pendingFault(c)[0], 17, "before the translation, as hardware does");
  c.setCpl(0);
  assertEquals(slow(c, true, TOP + 0x3001, 4) > 0, true);
});

Deno.test("probeWrite and fetchHost fault as the access would", () => {
  const { c, map } = machine();
  map(3, 0x20000, P | W);
  map(4, 0xfee0_0000, P | W);
  assertEquals(faultOf(() => c.mmu.probeWrite(TOP + 0x3ff0, 32)), null);
  assertFault(faultOf(() => c.mmu.probeWrite(TOP + 0x4ff0, 32)), 14, 2);
  assertEquals(c.s.num(L.FAULT_ADDR), TOP + 0x5000);
  assertEquals({ ...c.mmu.fetchHost(TOP + 0x3010) }, {
    gpa: 0x20010,
    page: 0x20,
    offset: 0x10,
    host: c.mem.host(0x20010),
  });
  assertEquals({ ...c.mmu.fetchHost(TOP + 0x4010) }, {
    gpa: 0xfee0_0010,
    page: 0xfee00,
    offset: 0x10,
    host: -1,
  });
  assertFault(faultOf(() => c.mmu.fetchHost(0x8000_0000_0000)), 13, 0);
});
