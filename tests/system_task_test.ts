import { assertEquals } from "@std/assert";
import { Attr, Cr0, Fl, Seg } from "../core/cpu/state.ts";
import { deliver } from "../core/cpu/system/exceptions.ts";
import * as L from "../core/layout.ts";
import {
  assertFault,
  At,
  descriptor,
  enterRing,
  gateWords,
  protectedMachine,
  Sel,
  setGate,
  TestCore,
} from "./system_fixture.ts";

const GP = 13, NP = 11, TS = 10;
const TASK = 0x85;

/** Fills a 32-bit TSS (SDM volume 3, figure 8-2) for a task in ring 0. */
function newTask(c: TestCore, changes: Record<number, number> = {}): void {
  c.gdt(Sel.TSS2, ...descriptor(At.TSS2, 0x67, 0x89));
  const fields: Record<number, number> = {
    0x20: 0x4321,
    0x24: 2 | Fl.CF,
    0x48: Sel.DATA0,
    0x4c: Sel.CODE0,
    0x50: Sel.DATA0,
    0x54: Sel.DATA3,
    0x58: 0,
    0x5c: Sel.DATA0,
    0x60: 0,
    0x64: 0,
    ...changes,
  };
  for (let r = 0; r < 8; r++) c.mem.write32(At.TSS2 + 0x28 + r * 4, 0x1_0000 * r + 0x9000);
  for (const [at, value] of Object.entries(fields)) c.mem.write32(At.TSS2 + Number(at), value);
}
const busy = (c: TestCore, sel: number) => (c.mem.read8(At.GDT + sel + 5) & 2) !== 0;
const jump = (sel: number) => ({ imm: 0, immHi: sel });

Deno.test("a jump to a TSS saves the old task and loads the new one", () => {
  const c = protectedMachine(0);
  newTask(c);
  for (let r = 0; r < 8; r++) if (r !== 4) c.s.setReg(r, 0xa0 + r, 0);
  c.s.flags = 2 | Fl.ZF | Fl.IF;
  c.s.u32[(L.DR + 56) >> 2] = 0x4ff;
  const sp = c.s.lo(4);
  assertEquals(c.run("jmp_far_ptr", jump(Sel.TSS2)), null);
  const old = (at: number) => c.mem.read32(At.TSS + at);
  assertEquals([old(0x20), old(0x24), old(0x38)], [At.CODE + 2, 2 | Fl.ZF | Fl.IF, sp]);
  assertEquals(
    [0, 1, 2, 3, 5, 6, 7].map((r) => old(0x28 + r * 4)),
    [0, 1, 2, 3, 5, 6, 7].map((r) => 0xa0 + r),
  );
  assertEquals([0x48, 0x4c, 0x50, 0x5c].map((at) => old(at) & 0xffff), [
    Sel.DATA0,
    Sel.CODE0,
    Sel.DATA0,
    Sel.DATA0,
  ]);
  assertEquals([c.s.rip, c.s.flags, c.s.lo(1), c.s.lo(4)], [0x4321, 2 | Fl.CF, 0x1_9000, 0x4_9000]);
  assertEquals([c.s.segSel(Seg.DS), c.s.segAttr(Seg.FS) & Attr.UNUSABLE], [Sel.DATA3, Attr.UNUSABLE]);
  assertEquals([busy(c, Sel.TSS), busy(c, Sel.TSS2)], [false, true]);
  assertEquals([c.s.segSel(Seg.TR), c.s.segBase(Seg.TR), c.s.segAttr(Seg.TR)], [Sel.TSS2, At.TSS2, 0x8b]);
  assertEquals([c.s.cr0 & Cr0.TS, c.s.u32[(L.DR + 56) >> 2]], [Cr0.TS, 0x4aa]);
  assertEquals(c.mem.read16(At.TSS2), 0, "no back link");
  assertFault(c.run("jmp_far_ptr", jump(Sel.TSS2)), GP, Sel.TSS2, "busy");
});

Deno.test("a call nests, IRET with NT returns", () => {
  const c = protectedMachine(0), sp = c.s.lo(4);
  newTask(c);
  assertEquals(c.run("call_far_ptr", jump(Sel.TSS2)), null);
  assertEquals([c.mem.read16(At.TSS2), c.s.flags & Fl.NT], [Sel.TSS, Fl.NT]);
  assertEquals([busy(c, Sel.TSS), busy(c, Sel.TSS2)], [true, true]);
  assertEquals(c.run("iret"), null);
  assertEquals([c.s.rip, c.s.lo(4), c.s.flags & Fl.NT, c.s.segSel(Seg.TR)], [At.CODE + 2, sp, 0, Sel.TSS]);
  assertEquals([busy(c, Sel.TSS), busy(c, Sel.TSS2)], [true, false]);
  assertEquals([c.mem.read32(At.TSS2 + 0x20), c.mem.read32(At.TSS2 + 0x24) & Fl.NT], [0x4323, 0]);
  c.s.flags |= Fl.NT;
  c.mem.write16(At.TSS, Sel.TSS2);
  assertFault(c.run("iret"), TS, Sel.TSS2, "back link to a task that is not busy");
});

Deno.test("task gates in the GDT and IDT switch tasks; the error code goes onto the new stack", () => {
  const c = protectedMachine(3);
  newTask(c);
  c.gdt(Sel.SPARE, ...gateWords(Sel.TSS2, 0, TASK));
  assertFault(c.run("call_far_ptr", jump(Sel.SPARE)), GP, Sel.SPARE, "gate DPL");
  c.gdt(Sel.SPARE, ...gateWords(Sel.TSS2, 0, TASK | 0x60));
  assertEquals(c.run("call_far_ptr", jump(Sel.SPARE | 3)), null);
  assertEquals([c.s.cpl, c.s.rip], [0, 0x4321]);

  const d = protectedMachine(3);
  newTask(d);
  setGate(d, 8, Sel.TSS2, 0, TASK);
  d.mem.write32(0x4_8ffc, 0xffff_ffff);
  assertEquals(deliver(d, 8, 0, "fault"), "delivered");
  assertEquals([d.s.cpl, d.s.rip, d.s.lo(4), d.mem.read32(0x4_8ffc)], [
    0,
    0x4321,
    0x4_8ffc,
    0,
  ]);
  assertEquals(d.mem.read32(At.TSS + 0x20), At.CODE);
});

Deno.test("task switches fault in the old task for the TSS, in the new one for its segments", () => {
  const early: [string, number, number, (c: TestCore) => void][] = [
    ["not present", NP, Sel.TSS2, (c) => c.gdt(Sel.TSS2, ...descriptor(At.TSS2, 0x67, 0x09))],
    ["limit", TS, Sel.TSS2, (c) => c.gdt(Sel.TSS2, ...descriptor(At.TSS2, 0x66, 0x89))],
  ];
  for (const [what, vector, error, spoil] of early) {
    const c = protectedMachine(0);
    newTask(c);
    spoil(c);
    assertFault(c.run("jmp_far_ptr", jump(Sel.TSS2)), vector, error, what);
    assertEquals([c.s.rip, c.s.segSel(Seg.TR), busy(c, Sel.TSS)], [At.CODE, Sel.TSS, true], what);
  }
  const late: [string, number, number, Record<number, number>][] = [
    ["null CS", TS, 0, { 0x4c: 0 }],
    ["CS is data", TS, Sel.DATA0, { 0x4c: Sel.DATA0 }],
    ["CS RPL", TS, Sel.CODE0, { 0x4c: Sel.CODE0 | 3 }],
    ["null SS", TS, 0, { 0x50: 0 }],
    ["SS level", TS, Sel.DATA3 & ~3, { 0x50: Sel.DATA3 }],
    ["DS outside GDT", TS, 0x200, { 0x54: 0x200 }],
    ["LDT", TS, Sel.CODE0, { 0x60: Sel.CODE0 }],
  ];
  for (const [what, vector, error, changes] of late) {
    const c = protectedMachine(0);
    newTask(c, changes);
    const f = c.run("jmp_far_ptr", jump(Sel.TSS2));
    assertFault(f, vector, error, what);
    assertEquals([f?.keepRip, c.s.rip, c.s.segSel(Seg.TR)], [true, 0x4321, Sel.TSS2], what);
  }
});

Deno.test("task switches load the LDT, CR3, virtual-8086 tasks, 16-bit tasks, and report the T flag", () => {
  const c = protectedMachine(0);
  newTask(c, { 0x60: Sel.LDT, 0x64: 1 });
  assertEquals(c.run("jmp_far_ptr", jump(Sel.TSS2)), null);
  assertEquals([c.s.segBase(Seg.LDTR), c.pendingDb], [At.LDT, 0x8000]);

  const v = protectedMachine(0);
  newTask(v, { 0x24: 2 | Fl.VM, 0x4c: 0x2000, 0x50: 0x3000, 0x5c: 0x4000 });
  assertEquals(v.run("jmp_far_ptr", jump(Sel.TSS2)), null);
  assertEquals([v.s.v86, v.s.cpl, v.s.segBase(Seg.CS), v.s.segBase(Seg.GS)], [true, 3, 0x20000, 0x40000]);

  const t = protectedMachine(0);
  t.gdt(Sel.TSS2, ...descriptor(At.TSS2, 0x2b, 0x81));
  const words = [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x777,
    2 | Fl.CF,
    10,
    11,
    12,
    13,
    0x9000,
    15,
    16,
    17,
    Sel.DATA0,
    Sel.CODE16,
    Sel.DATA16,
    Sel.DATA0,
    0,
  ];
  words.forEach((w, n) => t.mem.write16(At.TSS2 + n * 2, w));
  assertEquals(t.run("call_far_ptr", jump(Sel.TSS2)), null);
  assertEquals([t.s.rip, t.s.lo(0), t.s.lo(4), t.s.segSel(Seg.SS), t.s.flags], [
    0x777,
    10,
    0x9000,
    Sel.DATA16,
    2 | Fl.CF | Fl.NT,
  ]);
  enterRing(t, 0);
  t.s.flags = 2 | Fl.NT;
  assertEquals(t.run("iret"), null);
  assertEquals([t.s.segSel(Seg.TR), t.s.rip, t.mem.read16(At.TSS2 + 14)], [
    Sel.TSS,
    At.CODE + 2,
    (At.CODE + 2) & 0xffff,
  ]);
});
