import { assertEquals } from "@std/assert";
import { STACK_SHADOW } from "../core/cpu/core.ts";
import { Attr, Cr0, Cr4, Fl, Seg } from "../core/cpu/state.ts";
import { linearOf, readRm, writeRm } from "../core/cpu/system/operands.ts";
import { loadSegment, segLinear } from "../core/cpu/system/segments.ts";
import * as L from "../core/layout.ts";
import {
  assertFault,
  At,
  descriptor,
  enterRing,
  faultOf,
  longMachine,
  protectedMachine,
  Sel,
  TestCore,
} from "./system_fixture.ts";

const GP = 13, NP = 11, SS = 12, UD = 6;

/**
 * What loading a data segment register with a selector of a descriptor must do: null, or the vector
 * (SDM volume 2, "MOV", protected mode exceptions; volume 3, 5.4).
 */
function expected(seg: number, access: number, rpl: number, cpl: number): number | null {
  const dpl = access >> 5 & 3,
    present = (access & 0x80) !== 0,
    s = (access & 0x10) !== 0,
    code = (access & 8) !== 0;
  if (seg === Seg.SS) {
    if (rpl !== cpl || dpl !== cpl || !s || code || !(access & 2)) return GP;
    return present ? null : SS;
  }
  if (!s || (code && !(access & 2))) return GP;
  if (!(code && access & 4) && (rpl > dpl || cpl > dpl)) return GP;
  return present ? null : NP;
}

Deno.test("loadSegment accepts and refuses every descriptor type at every privilege as the SDM says", () => {
  const c = protectedMachine();
  for (let access = 0; access < 256; access++) {
    c.gdt(Sel.SPARE, ...descriptor(0x12345678, 0xabcde, access & ~1, 0xd));
    for (let cpl = 0; cpl < 4; cpl++) {
      if (cpl === 2) continue;
      enterRing(c, cpl);
      for (let rpl = 0; rpl < 4; rpl++) {
        for (const seg of [Seg.SS, Seg.DS, Seg.GS]) {
          c.gdt(Sel.SPARE, ...descriptor(0x12345678, 0xabcde, access, 0xd));
          c.s.setSeg(seg, 0x1111, 0, 0, 0x93);
          const f = faultOf(() => loadSegment(c, seg, Sel.SPARE | rpl));
          const want = expected(seg, access, rpl, cpl),
            what = `access ${access} cpl ${cpl} rpl ${rpl} seg ${seg}`;
          if (want !== null) {
            assertFault(f, want, Sel.SPARE, what);
            assertEquals(c.s.segSel(seg), 0x1111, what);
            continue;
          }
          assertEquals(f, null, what);
          assertEquals(
            [c.s.segSel(seg), c.s.segBase(seg), c.s.segLimit(seg), c.s.segAttr(seg)],
            [Sel.SPARE | rpl, 0x12345678, 0xabcdefff, 0xd00 | access | 1],
            what,
          );
          assertEquals(c.mem.read8(At.GDT + Sel.SPARE + 5), access | 1, "accessed bit in memory");
        }
      }
    }
  }
});

Deno.test("loadSegment heeds table limits, the LDT, and null selectors", () => {
  const c = protectedMachine();
  c.s.u32[(L.GDTR + 8) >> 2] = Sel.DATA0 + 7;
  assertEquals(faultOf(() => loadSegment(c, Seg.DS, Sel.DATA0)), null);
  c.s.u32[(L.GDTR + 8) >> 2] = Sel.DATA0 + 6;
  assertFault(faultOf(() => loadSegment(c, Seg.DS, Sel.DATA0)), GP, Sel.DATA0);
  assertFault(faultOf(() => loadSegment(c, Seg.DS, 0xc)), GP, 0xc);
  c.s.setSeg(Seg.LDTR, Sel.LDT, At.LDT, 0x0f, 0x82);
  c.mem.write32(At.LDT + 8, 0x0000ffff);
  c.mem.write32(At.LDT + 12, 0x00009300);
  assertEquals(faultOf(() => loadSegment(c, Seg.DS, 0xc)), null);
  assertFault(faultOf(() => loadSegment(c, Seg.DS, 0x14)), GP, 0x14);
  assertEquals(faultOf(() => loadSegment(c, Seg.DS, 3)), null);
  assertEquals([c.s.segSel(Seg.DS), c.s.segAttr(Seg.DS) & Attr.UNUSABLE], [3, Attr.UNUSABLE]);
  assertFault(faultOf(() => segLinear(c, Seg.DS, 0, 0, 1, false)), GP, 0);
  assertFault(faultOf(() => loadSegment(c, Seg.SS, 0)), GP, 0);

  const l = longMachine(0);
  assertEquals(faultOf(() => loadSegment(l, Seg.SS, 0)), null);
  assertFault(faultOf(() => loadSegment(l, Seg.SS, 3)), GP, 0);
  const u = longMachine(3);
  assertFault(faultOf(() => loadSegment(u, Seg.SS, 3)), GP, 0);
});

Deno.test("real and virtual-8086 mode load bases only; real mode keeps a big limit", () => {
  const c = new TestCore();
  c.s.setSeg(Seg.DS, 0, 0, 0xffff_ffff, 0x893);
  loadSegment(c, Seg.DS, 0xfff0);
  assertEquals([c.s.segBase(Seg.DS), c.s.segLimit(Seg.DS)], [0xfff00, 0xffff_ffff]);
  assertEquals(segLinear(c, Seg.DS, 0x10_0000, 0, 4, true), 0x1f_ff00);
  c.s.setSeg(Seg.ES, 0, 0, 0, Attr.UNUSABLE);
  loadSegment(c, Seg.ES, 0x1234);
  assertEquals(segLinear(c, Seg.ES, 0xfffe, 0, 2, true), 0x12340 + 0xfffe);
  assertFault(faultOf(() => segLinear(c, Seg.ES, 0xffff, 0, 2, true)), GP, 0);
  assertFault(faultOf(() => segLinear(c, Seg.SS, 0xffff, 0, 2, true)), SS, 0);
  assertEquals(segLinear(c, Seg.CS, 0x10, 0, 2, true), 0x10, "real mode may write through CS");
  c.control(Cr0.PE, 0, 0);
  c.s.flags = 2 | Fl.VM;
  loadSegment(c, Seg.DS, 0x2000);
  assertEquals([c.s.segBase(Seg.DS), c.s.segLimit(Seg.DS), c.s.segAttr(Seg.DS)], [0x20000, 0xffff, 0xf3]);
});

Deno.test("segLinear checks type and limit, expand-down segments included", () => {
  const c = protectedMachine();
  const check = (attr: number, limit: number, off: number, size: number, write: boolean) => {
    c.s.setSeg(Seg.FS, 8, 0x1000, limit, attr);
    return faultOf(() => assertEquals(segLinear(c, Seg.FS, off, 0, size, write), (0x1000 + off) >>> 0)) ===
      null;
  };
  const DATA = 0x93, RO = 0x91, CODE = 0x9b, XO = 0x99, DOWN = 0x97, BIG = 0x400;
  assertEquals(check(DATA, 0xfff, 0xffc, 4, true), true);
  assertEquals(check(DATA, 0xfff, 0xffd, 4, true), false);
  assertEquals(check(DATA, 0xffff_ffff, 0xffff_ffff, 1, true), true);
  assertEquals(check(DATA, 0xffff_fffe, 0xffff_fffc, 4, true), false);
  assertEquals([check(RO, 0xfff, 0, 1, false), check(RO, 0xfff, 0, 1, true)], [true, false]);
  assertEquals([check(CODE, 0xfff, 0, 1, false), check(CODE, 0xfff, 0, 1, true)], [true, false]);
  assertEquals([check(XO, 0xfff, 0, 1, false), check(XO, 0xfff, 0, 1, true)], [false, false]);
  assertEquals([check(DOWN, 0xfff, 0xfff, 1, true), check(DOWN, 0xfff, 0x1000, 1, true)], [false, true]);
  assertEquals([check(DOWN, 0xfff, 0xffff, 1, true), check(DOWN, 0xfff, 0xffff, 2, true)], [true, false]);
  assertEquals(check(DOWN | BIG, 0xfff, 0xffff, 2, true), true);
  assertEquals(check(DOWN | BIG, 0xfff, 0xffff_ffff, 2, true), false);
});

Deno.test("segLinear in 64-bit code uses only FS and GS bases and wants canonical addresses", () => {
  const c = longMachine();
  c.s.setSeg(Seg.DS, 0, 0x5000, 0, Attr.UNUSABLE);
  assertEquals(segLinear(c, Seg.DS, 0x10, 0, 8, true), 0x10);
  c.s.setSeg(Seg.GS, 0, -0x7000_0000_0000, 0, Attr.UNUSABLE);
  assertEquals(segLinear(c, Seg.GS, 0x10, 0, 8, true), -0x7000_0000_0000 + 0x10);
  assertEquals(segLinear(c, Seg.GS, 0, 0x7000, 8, true), 0, "the sum wraps at 2^64");
  assertEquals(segLinear(c, Seg.DS, 0xffff_fff8, 0x7fff, 8, false), 0x7fff_ffff_fff8);
  assertFault(faultOf(() => segLinear(c, Seg.DS, 0xffff_fff9, 0x7fff, 8, false)), GP, 0);
  assertFault(faultOf(() => segLinear(c, Seg.SS, 0, 0x8000, 8, false)), SS, 0);
  assertFault(faultOf(() => segLinear(c, Seg.DS, 0xffff_ffff, 0xffff_7fff, 1, false)), GP, 0);
  assertEquals(segLinear(c, Seg.DS, 0, 0xffff_8000, 1, false), -0x8000_0000_0000);
});

Deno.test("operands reach registers, high bytes, and memory at every size", () => {
  const c = protectedMachine();
  const at = L.CODE;
  c.run("sldt", { mem: 0x100 });
  c.s.setReg(3, 0x11223344, 0x55667788);
  c.run("sldt", { rm: 3, size: 2 });
  assertEquals([c.s.lo(3), c.s.hi(3)], [0x11220000, 0x55667788]);
  c.s.u8[at + 5] = 3 * 8 + 1;
  writeRm(c, c.insn, 1, 0xab, 0);
  assertEquals([readRm(c, c.insn, 1), c.s.lo(3)], [0xab, 0x1122ab00]);
  c.s.u8[at + 5] = 3 * 8;
  writeRm(c, c.insn, 4, 0xdeadbeef, 0);
  assertEquals([c.s.lo(3), c.s.hi(3)], [0xdeadbeef, 0]);
  writeRm(c, c.insn, 8, 1, 2);
  assertEquals([readRm(c, c.insn, 8), c.mmu.hi], [1, 2]);
  c.run("sldt", { mem: 0xffff_fffc });
  assertEquals(linearOf(c, c.insn, 4, false, 8), 4, "the offset wraps at the address size");
});

Deno.test("MOV and POP to SS shadow interrupts; MOV to CS is undefined; POP moves the stack pointer last", () => {
  const c = protectedMachine();
  assertFault(c.run("mov_to_sreg", { reg: Seg.CS, rm: 0 }), UD, -1);
  c.s.setReg(0, Sel.DATA0, 0);
  assertEquals(c.run("mov_to_sreg", { reg: Seg.SS, rm: 0 }), null);
  assertEquals(c.s.i32[L.INT_SHADOW >> 2], STACK_SHADOW);
  c.s.i32[L.INT_SHADOW >> 2] = 0;
  const sp = c.s.lo(4);
  assertEquals(c.run("push_sreg", { imm: Seg.DS }), null);
  assertEquals([c.s.lo(4), c.mem.read32(sp - 4)], [sp - 4, Sel.DATA0]);
  c.mem.write32(sp - 4, 0xffff_0000 | Sel.CODE0);
  assertFault(c.run("pop_sreg", { imm: Seg.SS }), GP, Sel.CODE0);
  assertEquals(c.s.lo(4), sp - 4);
  c.mem.write32(sp - 4, 0xabcd_0000 | Sel.DATA16);
  assertEquals(c.run("pop_sreg", { imm: Seg.SS }), null);
  assertEquals([c.s.lo(4), c.s.segSel(Seg.SS), c.s.i32[L.INT_SHADOW >> 2]], [sp, Sel.DATA16, STACK_SHADOW]);
});

Deno.test("LDS and LSS load segment and register, or neither", () => {
  const c = protectedMachine();
  c.mem.write32(0x100, 0x12345678);
  c.mem.write16(0x104, Sel.DATA3);
  assertEquals(c.run("load_far_ptr", { imm: Seg.FS, reg: 3, mem: 0x100 }), null);
  assertEquals([c.s.segSel(Seg.FS), c.s.lo(3)], [Sel.DATA3, 0x12345678]);
  c.s.setReg(3, 7, 0);
  assertFault(c.run("load_far_ptr", { imm: Seg.SS, reg: 3, mem: 0x100 }), GP, Sel.DATA3 & ~3);
  assertEquals(c.s.lo(3), 7);
  assertFault(c.run("load_far_ptr", { imm: Seg.FS, reg: 3, rm: 0 }), UD, -1);
});

const zf = (c: TestCore) => (c.s.flags & Fl.ZF) !== 0;

Deno.test("LAR, LSL, VERR and VERW answer for every descriptor type and privilege", () => {
  for (const long of [false, true]) {
    const c = long ? longMachine() : protectedMachine();
    for (let access = 0; access < 256; access++) {
      c.gdt(Sel.SPARE, ...descriptor(0x1234_5678, 0xabcde, access, 0x8));
      c.gdt(Sel.SPARE + 8, 0, 0);
      for (let rpl = 0; rpl < 4; rpl++) {
        const s = (access & 0x10) !== 0, type = access & 15, dpl = access >> 5 & 3;
        const conforming = s && (type & 0xc) === 0xc, reachable = conforming || rpl <= dpl;
        // SDM volume 2, tables 3-53 (LAR) and 3-61 (LSL).
        const larTypes = long ? [2, 9, 11, 12] : [1, 2, 3, 4, 5, 9, 11, 12];
        const lslTypes = long ? [2, 9, 11] : [1, 2, 3, 9, 11];
        const what = `long ${long} access ${access} rpl ${rpl}`;
        c.s.setReg(3, Sel.SPARE | rpl, 0);
        c.s.setReg(1, 0x99, 0);
        c.run("lar", { reg: 1, rm: 3 });
        const lar = reachable && (s || larTypes.includes(type));
        assertEquals(
          [zf(c), c.s.lo(1)],
          [lar, lar ? (access << 8 | 0x8a0000) >>> 0 : 0x99],
          what,
        );
        c.s.setReg(1, 0x99, 0);
        c.run("lsl", { reg: 1, rm: 3 });
        const lsl = reachable && (s || lslTypes.includes(type));
        assertEquals([zf(c), c.s.lo(1)], [lsl, lsl ? 0xabcdefff : 0x99], what);
        c.run("verr", { rm: 3 });
        assertEquals(zf(c), reachable && s && (type < 8 || (type & 2) !== 0), what);
        c.run("verw", { rm: 3 });
        assertEquals(zf(c), reachable && s && type < 8 && (type & 2) !== 0, what);
      }
    }
    c.s.setReg(3, 0, 0);
    c.run("lar", { reg: 1, rm: 3 });
    assertEquals(zf(c), false);
  }
  assertFault(new TestCore().run("lar", { reg: 1, rm: 3 }), UD, -1);
});

Deno.test("LLDT and LTR check type, presence and privilege; LTR marks the TSS busy", () => {
  const c = protectedMachine();
  c.s.setReg(3, Sel.LDT, 0);
  assertEquals(c.run("lldt", { rm: 3 }), null);
  assertEquals([c.s.segBase(Seg.LDTR), c.s.segLimit(Seg.LDTR)], [At.LDT, 0xff]);
  c.s.setReg(3, 0, 0);
  assertEquals(c.run("lldt", { rm: 3 }), null);
  assertEquals(c.s.segAttr(Seg.LDTR) & Attr.UNUSABLE, Attr.UNUSABLE);
  assertFault(c.run("ltr", { rm: 3 }), GP, 0);
  c.s.setReg(3, Sel.TSS, 0);
  assertFault(c.run("ltr", { rm: 3 }), GP, Sel.TSS, "busy");
  assertFault(c.run("lldt", { rm: 3 }), GP, Sel.TSS);
  c.gdt(Sel.TSS, ...descriptor(At.TSS, 0x67, 0x09));
  assertFault(c.run("ltr", { rm: 3 }), NP, Sel.TSS);
  c.gdt(Sel.TSS, ...descriptor(At.TSS, 0x67, 0x89));
  assertEquals(c.run("ltr", { rm: 3 }), null);
  assertEquals([c.mem.read8(At.GDT + Sel.TSS + 5), c.s.segAttr(Seg.TR) & 0xff], [0x8b, 0x8b]);
  enterRing(c, 3);
  assertFault(c.run("ltr", { rm: 3 }), GP, 0);
  assertFault(c.run("lldt", { rm: 3 }), GP, 0);

  const l = longMachine();
  l.gdt(Sel.TSS, ...descriptor(At.TSS, 0x67, 0x89));
  l.gdt(Sel.TSS + 8, 0xffff_8000, 0);
  l.s.setReg(3, Sel.TSS, 0);
  assertEquals(l.run("ltr", { rm: 3 }), null);
  assertEquals(l.s.segBase(Seg.TR), -0x8000_0000_0000 + At.TSS);
  l.gdt(Sel.TSS, ...descriptor(At.TSS, 0x67, 0x89));
  l.gdt(Sel.TSS + 8, 0, 0x100);
  assertFault(l.run("ltr", { rm: 3 }), GP, Sel.TSS, "type of the upper half");
});

Deno.test("descriptor tables load and store in their widths, under UMIP and CPL checks", () => {
  const c = protectedMachine();
  c.mem.write(0x100, new Uint8Array([0x34, 0x12, 0x78, 0x56, 0x34, 0x92, 0xff]));
  assertEquals(c.run("lgdt", { mem: 0x100, size: 2 }), null);
  assertEquals(
    [c.s.num(L.GDTR), c.s.u32[(L.GDTR + 8) >> 2]],
    [0x345678, 0x1234],
    "24 bits with 16-bit operands",
  );
  assertEquals(c.run("lidt", { mem: 0x100 }), null);
  assertEquals(c.s.num(L.IDTR) >>> 0, 0x92345678);
  assertEquals(c.run("sidt", { mem: 0x200 }), null);
  assertEquals(c.mem.read(0x200, 7), new Uint8Array([0x34, 0x12, 0x78, 0x56, 0x34, 0x92, 0]));
  enterRing(c, 3);
  assertFault(c.run("lgdt", { mem: 0x100 }), GP, 0);
  assertEquals(c.run("sgdt", { mem: 0x200 }), null);
  c.s.u32[L.CR4 >> 2] |= Cr4.UMIP;
  for (const op of ["sgdt", "sidt", "sldt", "str"] as const) {
    assertFault(c.run(op, { mem: 0x200 }), GP, 0, op);
  }

  const l = longMachine();
  l.mem.write(0x100, new Uint8Array([0xff, 0, 8, 7, 6, 5, 4, 0x80, 0xff, 0xff]));
  assertEquals(l.run("lidt", { mem: 0x100 }), null);
  assertEquals([l.s.word(L.IDTR), l.s.word(L.IDTR + 4)], [0x05060708, 0xffff_8004]);
  l.run("sidt", { mem: 0x200 });
  assertEquals(l.mem.read(0x200, 10), l.mem.read(0x100, 10));
  l.mem.write8(0x107, 0x7f);
  assertFault(l.run("lidt", { mem: 0x100 }), GP, 0, "base not canonical");
});

Deno.test("ARPL, SWAPGS and the FS/GS base instructions", () => {
  const c = protectedMachine();
  c.s.setReg(1, 3, 0);
  c.s.setReg(3, 0x11, 0);
  c.run("arpl", { reg: 1, rm: 3 });
  assertEquals([zf(c), c.s.lo(3)], [true, 0x13]);
  c.run("arpl", { reg: 1, rm: 3 });
  assertEquals([zf(c), c.s.lo(3)], [false, 0x13]);
  assertFault(c.run("swapgs"), UD, -1);

  const l = longMachine();
  l.s.setWords(L.MSR_KERNEL_GS_BASE, 0x1234, 0xffff_8888);
  l.run("swapgs");
  assertEquals(l.s.segBase(Seg.GS), -0x7778_0000_0000 + 0x1234);
  assertEquals(l.s.word(L.MSR_KERNEL_GS_BASE), 0);
  assertFault(l.run("rdfsgsbase", { imm: 5, rm: 3, size: 8 }), UD, -1);
  l.s.u32[L.CR4 >> 2] |= Cr4.FSGSBASE;
  l.run("rdfsgsbase", { imm: 5, rm: 3, size: 8 });
  assertEquals([l.s.lo(3), l.s.hi(3)], [0x1234, 0xffff_8888]);
  l.run("wrfsgsbase", { imm: 4, rm: 3, size: 4 });
  assertEquals(l.s.segBase(Seg.FS), 0x1234);
  l.s.setReg(3, 0, 0x8000);
  assertFault(l.run("wrfsgsbase", { imm: 4, rm: 3, size: 8 }), GP, 0);
  l.setCpl(3);
  assertFault(l.run("swapgs"), GP, 0);
});
