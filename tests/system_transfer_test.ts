import { assertEquals } from "@std/assert";
import { Attr, Cr0, Fl, Seg } from "../core/cpu/state.ts";
import * as L from "../core/layout.ts";
import {
  assertFault,
  At,
  descriptor,
  enterRing,
  gateWords,
  longMachine,
  protectedMachine,
  Sel,
  stackWords,
  TestCore,
} from "./system_fixture.ts";

const GP = 13, NP = 11, SS = 12, TS = 10, UD = 6;
const CALL16 = 0x84, CALL32 = 0x8c, DPL3 = 0x60;

const far = (sel: number, offset: number, size = 4) => ({ imm: offset, immHi: sel, size });

/** Writes a call gate into the GDT; in long mode its upper half too. */
function callGate(c: TestCore, sel: number, target: number, offset: number, access: number, count = 0): void {
  c.gdt(sel, ...gateWords(target, offset, access, count));
  if (c.s.longMode) c.gdt(sel + 8, 0, 0);
}

Deno.test("far branches in real mode load CS and check the limit only", () => {
  const c = new TestCore();
  c.s.setReg(4, 0x100, 0);
  c.s.rip = 0x50;
  assertEquals(c.run("call_far_ptr", far(0x2000, 0x34, 2)), null);
  assertEquals([c.s.segSel(Seg.CS), c.s.segBase(Seg.CS), c.s.rip, c.s.lo(4)], [0x2000, 0x20000, 0x34, 0xfc]);
  assertEquals([c.mem.read16(0xfc), c.mem.read16(0xfe)], [0x52, 0]);
  assertEquals(c.run("ret_far", { size: 2, imm: 6 }), null);
  assertEquals([c.s.segSel(Seg.CS), c.s.rip, c.s.lo(4)], [0, 0x52, 0x106]);
  assertFault(c.run("jmp_far_ptr", far(0x2000, 0x1_0000, 4)), GP, 0);
  c.mem.write32(0x300, 0x3000_0042);
  assertEquals(c.run("jmp_far_mem", { mem: 0x300, size: 2 }), null);
  assertEquals([c.s.segSel(Seg.CS), c.s.rip], [0x3000, 0x42]);
});

/** SDM volume 2, "JMP": a far jump to a code segment at CPL keeps CPL. Null, or the vector. */
function direct(access: number, rpl: number, cpl: number): number | null {
  const dpl = access >> 5 & 3;
  if ((access & 0x18) !== 0x18) return GP;
  if (access & 4 ? dpl > cpl : rpl > cpl || dpl !== cpl) return GP;
  return access & 0x80 ? null : NP;
}

Deno.test("direct far jumps and calls obey the privilege rules of conforming and other code segments", () => {
  const c = protectedMachine();
  for (let access = 0x10; access < 256; access += access & 16 && (access & 15) === 15 ? 17 : 1) {
    for (const cpl of [0, 1, 3]) {
      for (let rpl = 0; rpl < 4; rpl++) {
        for (const op of ["jmp_far_ptr", "call_far_ptr"] as const) {
          enterRing(c, cpl);
          c.gdt(Sel.SPARE, ...descriptor(0x1000, 0xfff, access, 0x4));
          const sp = c.s.lo(4), was = c.s.segSel(Seg.CS), f = c.run(op, far(Sel.SPARE | rpl, 0x123));
          const want = direct(access, rpl, cpl), what = `${op} access ${access} cpl ${cpl} rpl ${rpl}`;
          if (want !== null) {
            assertFault(f, want, Sel.SPARE, what);
            assertEquals([c.s.lo(4), c.s.segSel(Seg.CS), c.s.rip], [sp, was, At.CODE], what);
            continue;
          }
          assertEquals(f, null, what);
          assertEquals(
            [c.s.segSel(Seg.CS), c.s.segBase(Seg.CS), c.s.segLimit(Seg.CS), c.s.rip, c.s.cpl],
            [Sel.SPARE | cpl, 0x1000, 0xfff, 0x123, cpl],
          );
          if (op === "call_far_ptr") assertEquals(stackWords(c, 2), [At.CODE + 2, was]);
          else assertEquals(c.s.lo(4), sp);
        }
      }
    }
  }
  enterRing(c, 0);
  assertFault(c.run("jmp_far_ptr", far(3, 0)), GP, 0);
  assertFault(c.run("jmp_far_ptr", far(0x200, 0)), GP, 0x200);
  c.gdt(Sel.SPARE, ...descriptor(0, 0xff, 0x9a, 0x4));
  assertFault(c.run("jmp_far_ptr", far(Sel.SPARE, 0x100)), GP, 0, "target outside the limit");
  assertFault(c.run("call_far_ptr", far(Sel.SPARE, 0x100)), GP, 0);
  c.s.setSeg(Seg.SS, Sel.DATA0, 0, 0xff, 0x493);
  assertFault(c.run("call_far_ptr", far(Sel.CODE0, 0x10)), SS, 0);
});

Deno.test("a call gate to an inner level copies parameters and switches stacks; RET releases them on both", () => {
  for (const [access, size] of [[CALL32, 4], [CALL16, 2]]) {
    const c = protectedMachine(3), sp = c.s.lo(4);
    callGate(c, Sel.SPARE, Sel.CODE1, 0x0002_3456, access | DPL3, 3);
    for (let n = 0; n < 3; n++) {
      if (size === 4) c.mem.write32(sp + n * 4, 0x11110000 + n);
      else c.mem.write16(sp + n * 2, 0x2200 + n);
    }
    assertEquals(c.run("call_far_ptr", far(Sel.SPARE | 3, 0xdead)), null);
    const p = size === 4 ? 0x11110000 : 0x2200, mask = size === 4 ? 0xffff_ffff : 0xffff;
    assertEquals(stackWords(c, 7, size), [
      (At.CODE + 2) & mask,
      Sel.CODE3,
      p,
      p + 1,
      p + 2,
      sp & mask,
      Sel.DATA3,
    ]);
    assertEquals([c.s.cpl, c.s.segSel(Seg.CS), c.s.segSel(Seg.SS)], [1, Sel.CODE1 | 1, Sel.DATA1 | 1]);
    assertEquals([c.s.lo(4), c.s.rip], [At.STACK1 - 7 * size, size === 4 ? 0x23456 : 0x3456]);
    c.s.setSeg(Seg.ES, Sel.DATA0, 0, 0xffff_ffff, 0xc93);
    assertEquals(c.run("ret_far", { size, imm: 3 * size }), null);
    assertEquals([c.s.cpl, c.s.segSel(Seg.CS), c.s.segSel(Seg.SS)], [3, Sel.CODE3, Sel.DATA3]);
    assertEquals([c.s.lo(4) & mask, c.s.rip], [(sp + 3 * size) & mask, (At.CODE + 2) & mask]);
    assertEquals(c.s.segAttr(Seg.ES) & Attr.UNUSABLE, Attr.UNUSABLE, "inner data segment dropped");
    assertEquals(c.s.segSel(Seg.DS), Sel.DATA3);
  }
});

Deno.test("call gates check their own privilege, their target, and jumps through them keep CPL", () => {
  const c = protectedMachine(3);
  const call = (rpl: number, target: number, access: number, offset = 0) => {
    enterRing(c, 3);
    callGate(c, Sel.SPARE, target, offset, access);
    return c.run("call_far_ptr", far(Sel.SPARE | rpl, 0));
  };
  assertFault(call(0, Sel.CODE0, CALL32), GP, Sel.SPARE, "CPL above the gate's DPL");
  assertFault(call(0, Sel.CODE0, CALL32 & ~0x80 | DPL3), NP, Sel.SPARE);
  assertFault(call(0, 0, CALL32 | DPL3), GP, 0);
  assertFault(call(0, Sel.DATA0, CALL32 | DPL3), GP, Sel.DATA0);
  assertFault(call(0, 0x200, CALL32 | DPL3), GP, 0x200);
  c.gdt(Sel.SPARE2, ...descriptor(0, 0xff, 0x1a, 0x4));
  assertFault(call(0, Sel.SPARE2, CALL32 | DPL3), NP, Sel.SPARE2);
  c.gdt(Sel.SPARE2, ...descriptor(0, 0xff, 0x9a, 0x4));
  assertFault(call(0, Sel.SPARE2, CALL32 | DPL3, 0x100), GP, 0);
  assertEquals(call(0, Sel.CONFORMING, CALL32 | DPL3, 0x77), null);
  assertEquals([c.s.cpl, c.s.rip, c.s.lo(4)], [3, 0x77, At.STACK3 - 0x408]);
  c.mem.write32(At.TSS + 8, Sel.DATA1);
  assertFault(call(0, Sel.CODE0, CALL32 | DPL3), TS, Sel.DATA1);

  enterRing(c, 3);
  callGate(c, Sel.SPARE, Sel.CODE0, 0, CALL32 | DPL3);
  assertFault(c.run("jmp_far_ptr", far(Sel.SPARE, 0)), GP, Sel.CODE0, "no jump inwards");
  callGate(c, Sel.SPARE, Sel.CODE3, 0x99, CALL32 | DPL3);
  assertEquals(c.run("jmp_far_ptr", far(Sel.SPARE, 0)), null);
  assertEquals([c.s.cpl, c.s.rip, c.s.segSel(Seg.CS)], [3, 0x99, Sel.CODE3]);
  enterRing(c, 0);
  assertFault(c.run("jmp_far_ptr", far(Sel.LDT, 0)), GP, Sel.LDT);
});

Deno.test("64-bit call gates push 8-byte frames on RSP0 with a null SS", () => {
  const c = longMachine(3), sp = c.s.lo(4);
  callGate(c, Sel.SPARE2, Sel.CODE64, 0x2_3456, CALL32 | DPL3);
  c.mem.write32(0x300, 0);
  c.mem.write16(0x304, Sel.SPARE2);
  c.gdt(Sel.SPARE2 + 8, 0, 0);
  assertEquals(c.run("call_far_mem", { mem: 0x300 }), null);
  assertEquals(stackWords(c, 4, 8), [At.CODE + 2, Sel.CODE64_3, sp, Sel.DATA3]);
  assertEquals([c.s.cpl, c.s.segSel(Seg.SS), c.s.rip, c.s.lo(4)], [0, 0, 0x2_3456, At.STACK0 - 32]);
  assertEquals(c.run("ret_far", { size: 8 }), null);
  assertEquals([c.s.cpl, c.s.lo(4), c.s.rip, c.s.segSel(Seg.SS)], [3, sp, At.CODE + 2, Sel.DATA3]);
  callGate(c, Sel.SPARE2, Sel.CODE0, 0, CALL32 | DPL3);
  assertFault(c.run("call_far_mem", { mem: 0x300 }), GP, Sel.CODE0, "target must be 64-bit code");
  callGate(c, Sel.SPARE2, Sel.CODE64, 0, CALL16 | DPL3);
  assertFault(c.run("call_far_mem", { mem: 0x300 }), GP, Sel.SPARE2, "no 16-bit gates");
  callGate(c, Sel.SPARE2, Sel.CODE64, 0, CALL32 | DPL3);
  c.gdt(Sel.SPARE2 + 8, 0, 0x100);
  assertFault(c.run("call_far_mem", { mem: 0x300 }), GP, Sel.SPARE2, "upper half is typed");
  c.mem.write16(0x304, Sel.TSS);
  assertFault(c.run("call_far_mem", { mem: 0x300 }), GP, Sel.TSS, "no task switches");
});

/** Pushes words for a return, the first ends on top. */
function frame(c: TestCore, words: number[], size = 4): void {
  const sp = c.s.lo(4) - words.length * size;
  words.forEach((w, n) => {
    if (size === 2) c.mem.write16(sp + n * 2, w);
    else c.mem.write32(sp + n * size, w >>> 0);
    if (size === 8) c.mem.write32(sp + n * 8 + 4, 0);
  });
  c.s.setReg(4, sp, 0);
}

/** SDM volume 2, "IRET", "RET": the code segment returned to. */
function returnable(access: number, rpl: number, cpl: number): number | null {
  const dpl = access >> 5 & 3;
  if ((access & 0x18) !== 0x18 || rpl < cpl) return GP;
  if (access & 4 ? dpl > rpl : dpl !== rpl) return GP;
  return access & 0x80 ? null : NP;
}

Deno.test("IRET and far RET check the code segment they return to", () => {
  const c = protectedMachine();
  for (let access = 0; access < 256; access++) {
    for (const cpl of [0, 1, 3]) {
      for (let rpl = 0; rpl < 4; rpl++) {
        if (rpl === 2) continue;
        for (const op of ["iret", "ret_far"] as const) {
          enterRing(c, cpl);
          c.gdt(Sel.SPARE, ...descriptor(0, 0xfffff, access, 0xc));
          const stack = [0x777, [Sel.DATA0, Sel.DATA1 | 1, 0, Sel.DATA3][rpl]];
          frame(c, [0x123, Sel.SPARE | rpl, ...(op === "iret" ? [2] : []), ...stack]);
          const sp = c.s.lo(4), f = c.run(op), want = returnable(access, rpl, cpl);
          const what = `${op} access ${access} cpl ${cpl} rpl ${rpl}`;
          if (want !== null) {
            assertFault(f, want, Sel.SPARE, what);
            assertEquals([c.s.lo(4), c.s.cpl, c.s.rip], [sp, cpl, At.CODE], what);
          } else {
            assertEquals(f, null, what);
            const expectedSp = rpl > cpl ? 0x777 : sp + (op === "iret" ? 12 : 8);
            assertEquals([c.s.lo(4), c.s.cpl, c.s.rip, c.s.segSel(Seg.CS)], [
              expectedSp,
              rpl,
              0x123,
              Sel.SPARE | rpl,
            ], what);
          }
        }
      }
    }
  }
});

Deno.test("IRET restores just the flags that CPL and IOPL let through", () => {
  for (const size of [2, 4]) {
    for (const [cpl, iopl] of [[0, 0], [3, 0], [3, 3]]) {
      for (const all of [false, true]) {
        const c = protectedMachine(cpl), image = all ? 0x3f_7fd7 & ~(Fl.VM | Fl.NT) : 2;
        c.s.flags = 2 | iopl << 12 | (all ? 0 : Fl.IF | Fl.AC | Fl.ID | Fl.CF | Fl.DF | Fl.TF);
        const old = c.s.flags;
        c.s.u32[(L.DR + 7 * 8) >> 2] = 0x401; // an instruction breakpoint is on: RF counts
        frame(c, [0x123, cpl ? Sel.CODE3 : Sel.CODE0, image], size);
        assertEquals(c.run("iret", { size }), null);
        // Written from the description of IRET: who may change what.
        let may = 0xcd5 | Fl.TF;
        if (size === 4) may |= Fl.RF | Fl.AC | Fl.ID;
        if (cpl <= iopl) may |= Fl.IF;
        if (cpl === 0) may |= Fl.IOPL | (size === 4 ? Fl.VIF | Fl.VIP : 0);
        assertEquals(
          c.s.flags,
          ((old & ~may) | (image & may)) >>> 0,
          `size ${size} cpl ${cpl} iopl ${iopl} all ${all}`,
        );
      }
    }
  }
});

Deno.test("IRET to an outer level checks SS and target before it changes anything", () => {
  const cases: [string, number, number, number[]][] = [
    ["null SS", GP, 0, [0x123, Sel.CODE3, 2, 0x700, 0]],
    ["SS RPL", GP, Sel.DATA3 & ~3, [0x123, Sel.CODE3, 2, 0x700, Sel.DATA3 & ~3]],
    ["SS DPL", GP, Sel.DATA0, [0x123, Sel.CODE3, 2, 0x700, Sel.DATA0 | 3]],
    ["SS outside GDT", GP, 0x200, [0x123, Sel.CODE3, 2, 0x700, 0x203]],
    ["null CS", GP, 0, [0x123, 3, 2, 0x700, Sel.DATA3]],
    ["CS limit", GP, 0, [0x123, Sel.SPARE | 3, 2, 0x700, Sel.DATA3]],
    ["SS not present", SS, Sel.SPARE2, [0x23, Sel.SPARE | 3, 2, 0x700, Sel.SPARE2 | 3]],
  ];
  for (const [what, vector, error, words] of cases) {
    const c = protectedMachine(0);
    c.gdt(Sel.SPARE, ...descriptor(0, 0xff, 0xfa, 0x4));
    c.gdt(Sel.SPARE2, ...descriptor(0, 0xff, 0x72, 0x4));
    frame(c, words);
    const sp = c.s.lo(4);
    assertFault(c.run("iret"), vector, error, what);
    assertEquals(
      [c.s.lo(4), c.s.cpl, c.s.segSel(Seg.CS), c.s.segSel(Seg.SS)],
      [sp, 0, Sel.CODE0, Sel.DATA0],
      what,
    );
  }
  const c = protectedMachine(0);
  c.gdt(Sel.SPARE, ...descriptor(0, 0xffff, 0xf2, 0));
  frame(c, [0x123, Sel.CODE3, 2, 0xbeef_1234, Sel.SPARE | 3]);
  const top = c.s.lo(4) & 0xffff_0000;
  c.nmiBlocked = true;
  assertEquals(c.run("iret"), null);
  assertEquals(c.s.lo(4), (top | 0x1234) >>> 0, "a 16-bit stack takes SP only");
  assertEquals(c.nmiBlocked, false);
  assertEquals(
    [Seg.DS, Seg.ES, Seg.FS, Seg.GS].map((s) => c.s.segAttr(s) & Attr.UNUSABLE),
    Array(4).fill(Attr.UNUSABLE),
  );
});

Deno.test("IRET enters and leaves virtual-8086 mode", () => {
  const c = protectedMachine(0);
  frame(c, [0x50, 0x2000, 2 | Fl.VM | Fl.IOPL | Fl.IF, 0x800, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000]);
  assertEquals(c.run("iret"), null);
  assertEquals([c.s.cpl, c.s.v86, c.s.rip, c.s.lo(4)], [3, true, 0x50, 0x800]);
  assertEquals([1, 2, 0, 3, 4, 5].map((s) => c.s.segSel(s)), [
    0x2000,
    0x3000,
    0x4000,
    0x5000,
    0x6000,
    0x7000,
  ]);
  assertEquals(c.s.segBase(Seg.SS), 0x30000);
  c.mem.write16(0x30800, 0x60);
  c.mem.write16(0x30802, 0x2100);
  c.mem.write16(0x30804, 0x0003);
  assertEquals(c.run("iret", { size: 2 }), null);
  assertEquals([c.s.segBase(Seg.CS), c.s.rip, c.s.lo(4)], [0x21000, 0x60, 0x806]);
  assertEquals(c.s.flags, 3 | Fl.VM | Fl.IOPL, "IOPL and VM stay");
  c.s.flags = 2 | Fl.VM;
  assertFault(c.run("iret", { size: 2 }), GP, 0);
});

Deno.test("IRETQ returns to 64-bit and compatibility code and refuses what it must", () => {
  const c = longMachine(0);
  frame(c, [0x5000, Sel.CODE64_3, 2 | Fl.IF, 0x1230, Sel.DATA3], 8);
  assertEquals(c.run("iret", { size: 8 }), null);
  assertEquals([c.s.cpl, c.s.code64, c.s.rip, c.s.lo(4), c.s.segSel(Seg.SS)], [
    3,
    true,
    0x5000,
    0x1230,
    Sel.DATA3,
  ]);
  assertEquals(c.s.flags, 2 | Fl.IF);
  assertFault(longRet([0x5000, Sel.CODE64_3, 2, 0x1230, 0]), GP, 0, "null SS at CPL 3");
  assertEquals(longRet([0x5000, Sel.CODE64, 2, 0x1230, 0]), null, "null SS at CPL 0");
  assertFault(longRet([0x5000, Sel.CODE64, 2, 0x1230, 3]), GP, 0, "null SS with another RPL");
  assertFault(longRet([0x5000, Sel.CODE0, 2, 0x1230, 0]), GP, 0, "null SS for compatibility code");
  assertEquals(longRet([0x5000, Sel.CODE3, 2, 0x1230, Sel.DATA3]), null, "compatibility mode");
  assertFault(longRet([0x5000, Sel.SPARE, 2, 0x1230, 0]), GP, Sel.SPARE, "L and D both set");
  function longRet(words: number[]) {
    const l = longMachine(0);
    l.gdt(Sel.SPARE, ...descriptor(0, 0xfffff, 0x9a, 0xe));
    frame(l, words, 8);
    return l.run("iret", { size: 8 });
  }
  const l = longMachine(0);
  frame(l, [0, Sel.CODE64, 2, 0x1230, 0], 8);
  l.mem.write32(l.s.lo(4) + 4, 0x8000);
  assertFault(l.run("iret", { size: 8 }), GP, 0, "RIP not canonical");
  l.mem.write32(l.s.lo(4) + 4, 0xffff_8000);
  assertEquals(l.run("iret", { size: 8 }), null);
  assertEquals(l.s.rip, -0x8000_0000_0000);
  const n = longMachine(0);
  n.s.flags = 2 | Fl.NT;
  assertFault(n.run("iret", { size: 8 }), GP, 0, "NT");
});

Deno.test("INTO is conditional and gone in 64-bit code", () => {
  const c = protectedMachine(0);
  assertEquals(c.run("into"), null);
  assertEquals(c.s.rip, At.CODE + 2);
  c.s.flags = 2 | Fl.OF;
  assertFault(c.run("into"), GP, 4 * 8 + 2);
  assertFault(longMachine(0).run("into"), UD, -1);
});

Deno.test("leaving protected mode by a far jump ends in real mode with the old limits", () => {
  const c = protectedMachine(0);
  c.s.setSeg(Seg.CS, Sel.CODE16, 0, 0xffff, 0x9b);
  c.s.u32[L.CR0 >> 2] &= ~Cr0.PE;
  assertEquals(c.run("jmp_far_ptr", far(0x1000, 0x22, 2)), null);
  assertEquals([c.s.segBase(Seg.CS), c.s.rip, c.s.segLimit(Seg.DS)], [0x10000, 0x22, 0xffff_ffff]);
});
