import { assertEquals } from "@std/assert";
import { Attr, Efer, Fl, Seg } from "../core/cpu/state.ts";
import * as L from "../core/layout.ts";
import { assertFault, At, longMachine, protectedMachine, Sel, TestCore } from "./system_fixture.ts";

const GP = 13, UD = 6;

/** STAR: SYSCALL selector 0x80 (so SS 0x88), SYSRET base 0x13 + 3. */
function withStar(c: TestCore): TestCore {
  c.s.setWords(L.MSR_STAR, 0x1234_5678, Sel.CODE64 | (Sel.CODE64_3 - 16) << 16);
  c.s.setWords(L.MSR_LSTAR, 0x2222, 0xffff_8000);
  c.s.setWords(L.MSR_CSTAR, 0x3333, 0xffff_8000);
  c.s.setWords(L.MSR_SFMASK, Fl.IF | Fl.AC | Fl.DF, 0);
  c.s.u32[L.EFER >> 2] |= Efer.SCE;
  return c;
}

Deno.test("SYSCALL and SYSRET in 64-bit mode follow the APM", () => {
  const c = withStar(longMachine(3));
  c.s.flags = 2 | Fl.IF | Fl.AC | Fl.CF | Fl.RF;
  assertEquals(c.run("syscall"), null);
  assertEquals([c.s.lo(1), c.s.lo(11)], [At.CODE + 2, 2 | Fl.IF | Fl.AC | Fl.CF]);
  assertEquals([c.s.rip, c.s.flags, c.s.cpl, c.s.code64], [-0x8000_0000_0000 + 0x2222, 2 | Fl.CF, 0, true]);
  assertEquals([c.s.segSel(Seg.CS), c.s.segSel(Seg.SS)], [Sel.CODE64, Sel.CODE64 + 8]);
  assertEquals(c.s.segAttr(Seg.SS), 0xc93);
  c.s.setReg(1, 0x7777, 0x7fff);
  assertEquals(c.run("sysret", { size: 8 }), null);
  assertEquals([c.s.rip, c.s.cpl, c.s.flags], [0x7fff_0000_7777, 3, 2 | Fl.IF | Fl.AC | Fl.CF]);
  assertEquals([c.s.segSel(Seg.CS), c.s.segSel(Seg.SS)], [Sel.CODE64_3, Sel.CODE64_3 - 8]);
  assertEquals(c.s.segAttr(Seg.SS) & Attr.DPL, 0, "AMD leaves SS attributes alone");
  assertFault(c.run("sysret", { size: 8 }), GP, 0, "CPL 3");
  c.s.u32[L.EFER >> 2] &= ~Efer.SCE;
  assertFault(c.run("syscall"), UD, -1);

  const k = withStar(longMachine(0));
  k.s.setReg(1, 0x8888, 5);
  assertEquals(k.run("sysret", { size: 4 }), null);
  assertEquals([k.s.rip, k.s.code64, k.s.segSel(Seg.CS)], [0x8888, false, Sel.CODE64_3 - 16]);
  k.s.flags = 2;
  assertEquals(k.run("syscall"), null, "from compatibility mode");
  assertEquals([k.s.rip, k.s.lo(1), k.s.code64], [-0x8000_0000_0000 + 0x3333, 0x888a, true]);
});

Deno.test("SYSRET with a target that is not canonical faults on Intel, and only on the fetch on AMD", () => {
  for (const spec of ["default", "intel"]) {
    const c = withStar(longMachine(0, spec));
    c.s.setReg(1, 0, 0x8000);
    const f = c.run("sysret", { size: 8 });
    if (spec === "intel") {
      assertFault(f, GP, 0);
      assertEquals(c.s.cpl, 0);
    } else {
      assertEquals([f, c.s.cpl, c.s.word(L.RIP), c.s.word(L.RIP + 4)], [null, 3, 0, 0x8000]);
    }
  }
});

Deno.test("SYSCALL in legacy mode is AMD's", () => {
  const c = withStar(protectedMachine(3));
  c.s.flags = 2 | Fl.IF | Fl.CF;
  assertEquals(c.run("syscall"), null);
  assertEquals([c.s.rip, c.s.lo(1), c.s.flags, c.s.cpl], [0x1234_5678, At.CODE + 2, 2 | Fl.CF, 0]);
  assertEquals(c.run("sysret"), null);
  assertEquals([c.s.rip, c.s.flags, c.s.cpl], [At.CODE + 2, 2 | Fl.CF | Fl.IF, 3]);
  assertFault(withStar(protectedMachine(3, "intel")).run("syscall"), UD, -1);
});

Deno.test("SYSENTER and SYSEXIT switch to flat segments; AMD has neither in long mode", () => {
  const c = protectedMachine(3);
  assertFault(c.run("sysenter"), GP, 0, "no selector set");
  c.s.setWords(L.MSR_SYSENTER_CS, 0x4b, 0);
  c.s.setWords(L.MSR_SYSENTER_ESP, 0x8888, 0);
  c.s.setWords(L.MSR_SYSENTER_EIP, 0x9999, 0);
  c.s.flags = 2 | Fl.IF;
  assertEquals(c.run("sysenter"), null);
  assertEquals([c.s.segSel(Seg.CS), c.s.segSel(Seg.SS), c.s.lo(4), c.s.rip], [0x48, 0x50, 0x8888, 0x9999]);
  assertEquals([c.s.cpl, c.s.flags, c.s.segAttr(Seg.CS), c.s.segAttr(Seg.SS)], [0, 2, 0xc9b, 0xc93]);
  c.s.setReg(1, 0x1111, 0);
  c.s.setReg(2, 0x2222, 0);
  assertEquals(c.run("sysexit"), null);
  assertEquals([c.s.segSel(Seg.CS), c.s.segSel(Seg.SS), c.s.lo(4), c.s.rip, c.s.cpl], [
    0x5b,
    0x63,
    0x1111,
    0x2222,
    3,
  ]);
  assertFault(c.run("sysexit"), GP, 0);
  const l = longMachine(3);
  l.s.setWords(L.MSR_SYSENTER_CS, 0x48, 0);
  assertFault(l.run("sysenter"), UD, -1);
  const i = longMachine(3, "intel");
  i.s.setWords(L.MSR_SYSENTER_CS, 0x48, 0);
  i.s.setWords(L.MSR_SYSENTER_EIP, 0x9999, 0xffff_8000);
  assertEquals(i.run("sysenter"), null);
  assertEquals([i.s.rip, i.s.code64, i.s.cpl], [-0x8000_0000_0000 + 0x9999, true, 0]);
});
