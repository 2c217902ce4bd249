import { assertEquals } from "@std/assert";
import { Fl, Seg } from "../core/cpu/state.ts";
import { combine, deliver, deliverDebug, type EventKind } from "../core/cpu/system/exceptions.ts";
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
  setGate,
  stackWords,
  TestCore,
} from "./system_fixture.ts";

const INT32 = 0x8e, TRAP32 = 0x8f, INT16 = 0x86, TRAP16 = 0x87, TASK = 0x85, DPL3 = 0x60;
/** Flags that a handler must not start with. */
const ALL = 2 | Fl.CF | Fl.ZF | Fl.TF | Fl.IF | Fl.NT | Fl.RF | Fl.AC | Fl.ID;
const AFTER = 2 | Fl.CF | Fl.ZF | Fl.AC | Fl.ID;

Deno.test("real mode pushes FLAGS, CS, IP and clears IF, TF, AC", () => {
  const c = new TestCore();
  c.mem.write32(0x21 * 4, 0x2000_0100);
  c.s.setSeg(Seg.CS, 0x1000, 0x10000, 0xffff, 0x9b);
  c.s.setSeg(Seg.SS, 0x3000, 0x30000, 0xffff, 0x93);
  c.s.setReg(4, 0xabcd_0004, 0);
  c.s.rip = 0x1234;
  c.s.flags = 2 | Fl.IF | Fl.TF | Fl.AC | Fl.ZF | Fl.CF;
  assertEquals(deliver(c, 0x21, -1, "external"), "delivered");
  assertEquals([c.s.segSel(Seg.CS), c.s.segBase(Seg.CS), c.s.rip, c.s.lo(4)], [
    0x2000,
    0x20000,
    0x100,
    0xabcd_fffe,
  ]);
  assertEquals([c.mem.read16(0x3fffe), c.mem.read16(0x30000), c.mem.read16(0x30002)], [
    0x1234,
    0x1000,
    0x343,
  ]);
  assertEquals(c.s.flags, 2 | Fl.ZF | Fl.CF);
  assertEquals(c.exceptions, []);
  c.s.u32[(L.IDTR + 8) >> 2] = 0x21 * 4 + 2;
  c.mem.write32(8 * 4, 0x4000_0200);
  assertEquals(deliver(c, 0x21, -1, "external"), "delivered", "#GP, whose vector is inside the table");
  assertEquals(c.exceptions, [[13, 0]]);
  c.s.u32[(L.IDTR + 8) >> 2] = 3;
  assertEquals(deliver(c, 6, -1, "fault"), "shutdown");
  assertEquals(c.exceptions.slice(1), [[6, -1], [13, 0], [8, 0]]);
});

Deno.test("a 32-bit gate at the same level pushes EFLAGS, CS, EIP and an error code", () => {
  for (const [access, size] of [[INT32, 4], [TRAP32, 4], [INT16, 2], [TRAP16, 2]]) {
    for (const error of [-1, 0x1234]) {
      const c = protectedMachine(0), sp = c.s.lo(4), trap = (access & 1) !== 0;
      setGate(c, 13, Sel.CODE0 | 3, 0x0002_3456, access);
      c.s.flags = ALL & ~Fl.RF;
      assertEquals(deliver(c, 13, error, "fault"), "delivered");
      const image = (size === 4 ? ALL | Fl.RF : ALL & 0xffff) >>> 0;
      const pushed = [At.CODE & (size === 4 ? -1 : 0xffff), Sel.CODE0, image];
      if (error >= 0) pushed.unshift(error);
      assertEquals(c.s.lo(4), sp - pushed.length * size);
      assertEquals(stackWords(c, pushed.length, size), pushed);
      assertEquals(c.s.flags, trap ? AFTER | Fl.IF : AFTER);
      assertEquals([c.s.rip, c.s.segSel(Seg.CS), c.s.cpl], [size === 4 ? 0x23456 : 0x3456, Sel.CODE0, 0]);
      assertEquals(c.exceptions, [[13, error]]);
      assertEquals(c.mem.read8(At.GDT + Sel.CODE0 + 5), 0x9b, "accessed");
    }
  }
});

Deno.test("RF in the pushed image is set for faults, kept for traps, interrupts, #DB and #DF", () => {
  const cases: [number, EventKind, boolean][] = [
    [14, "fault", true],
    [6, "fault", true],
    [3, "trap", false],
    [0x30, "external", false],
    [1, "fault", false],
    [8, "fault", false],
    [0x80, "software", false],
  ];
  for (const [vector, kind, rf] of cases) {
    const c = protectedMachine(0);
    setGate(c, vector, Sel.CODE0, At.HANDLER, INT32);
    c.s.flags = 2;
    deliver(c, vector, -1, kind);
    assertEquals((stackWords(c, 3)[2] & Fl.RF) !== 0, rf, `vector ${vector} ${kind}`);
  }
});

Deno.test("a gate to an inner level switches to the TSS stack", () => {
  for (const ring of [0, 1]) {
    const c = protectedMachine(3), sp = c.s.lo(4);
    setGate(c, 0x30, ring ? Sel.CODE1 : Sel.CODE0, At.HANDLER, INT32);
    c.s.flags = 2 | Fl.IF;
    assertEquals(deliver(c, 0x30, -1, "external"), "delivered");
    const top = ring ? At.STACK1 : At.STACK0;
    assertEquals(stackWords(c, 5), [At.CODE, Sel.CODE3, 2 | Fl.IF, sp, Sel.DATA3]);
    assertEquals([c.s.lo(4), c.s.cpl, c.s.segSel(Seg.CS) & 3, c.s.flags], [top - 20, ring, ring, 2]);
    assertEquals(c.s.segSel(Seg.SS), ring ? Sel.DATA1 | 1 : Sel.DATA0);
    assertEquals(c.s.segAttr(Seg.SS) & 0xff, ring ? 0xb3 : 0x93);
    assertEquals(c.s.i32[L.TLB_BASE >> 2], L.TLB, "the mode follows");
  }
  const c = protectedMachine(3);
  setGate(c, 0x30, Sel.CONFORMING, At.HANDLER, INT32);
  deliver(c, 0x30, -1, "external");
  assertEquals([c.s.cpl, c.s.segSel(Seg.CS)], [3, Sel.CONFORMING | 3], "conforming: level and stack stay");
  assertEquals(c.s.segSel(Seg.SS), Sel.DATA3);
});

Deno.test("a 16-bit TSS gives SS:SP for inner levels", () => {
  const c = protectedMachine(3);
  c.s.setSeg(Seg.TR, Sel.TSS, At.TSS, 0x2b, 0x83);
  c.mem.write16(At.TSS + 2, 0x8f00);
  c.mem.write16(At.TSS + 4, Sel.DATA0);
  setGate(c, 0x30, Sel.CODE0, At.HANDLER, INT32);
  deliver(c, 0x30, -1, "external");
  assertEquals(c.s.lo(4), 0x8f00 - 20);
});

Deno.test("a software interrupt needs the gate's DPL, with EXT clear in its error codes", () => {
  const c = protectedMachine(3);
  setGate(c, 0x80, Sel.CODE0, At.HANDLER, INT32);
  assertFault(c.run("int_n", { imm: 0x80 }), 13, 0x80 * 8 + 2);
  assertFault(c.run("int3"), 13, 3 * 8 + 2);
  setGate(c, 0x80, Sel.CODE0, At.HANDLER, INT32 | DPL3);
  const rip = c.s.rip;
  assertEquals(c.run("int_n", { imm: 0x80 }), null);
  assertEquals(stackWords(c, 1), [rip + 2]);
  enterRing(c, 3);
  setGate(c, 0x80, Sel.CODE0, At.HANDLER, (INT32 | DPL3) & ~0x80);
  assertFault(c.run("int_n", { imm: 0x80 }), 11, 0x80 * 8 + 2);
  setGate(c, 1, Sel.CODE0, At.HANDLER, INT32);
  assertEquals(c.run("icebp"), null, "ICEBP heeds no DPL");
  assertEquals(c.s.rip, At.HANDLER);
});

/** A broken gate or table, and the vector and error code (EXT clear) that it must give. */
interface Broken {
  what: string;
  vector: number;
  error: number;
  spoil: (c: TestCore) => void;
}
const gate = (c: TestCore, sel: number, access = INT32, offset: number = At.HANDLER) =>
  setGate(c, 0x30, sel, offset, access);
const BROKEN: Broken[] = [
  { what: "IDT limit", vector: 13, error: 0x182, spoil: (c) => c.s.u32[(L.IDTR + 8) >> 2] = 0x186 },
  { what: "gate type", vector: 13, error: 0x182, spoil: (c) => gate(c, Sel.CODE0, 0x8c) },
  { what: "S bit", vector: 13, error: 0x182, spoil: (c) => gate(c, Sel.CODE0, 0x9e) },
  { what: "gate not present", vector: 11, error: 0x182, spoil: (c) => gate(c, Sel.CODE0, 0x0e) },
  { what: "null CS", vector: 13, error: 0, spoil: (c) => gate(c, 3) },
  { what: "CS outside GDT", vector: 13, error: 0x200, spoil: (c) => gate(c, 0x200) },
  { what: "CS is data", vector: 13, error: Sel.DATA0, spoil: (c) => gate(c, Sel.DATA0) },
  {
    what: "CS of outer level",
    vector: 13,
    error: Sel.CODE3 & ~3,
    spoil: (c) => (enterRing(c, 1), gate(c, Sel.CODE3)),
  },
  {
    what: "CS not present",
    vector: 11,
    error: Sel.SPARE,
    spoil: (c) => (c.gdt(Sel.SPARE, ...descriptor(0, 0xfffff, 0x1a, 0xc)), gate(c, Sel.SPARE)),
  },
  {
    what: "offset outside CS",
    vector: 13,
    error: 0,
    spoil: (c) => (c.gdt(Sel.SPARE, ...descriptor(0, 0xff, 0x9a, 0x4)), gate(c, Sel.SPARE, INT32, 0x100)),
  },
  {
    what: "TSS limit",
    vector: 10,
    error: Sel.TSS,
    spoil: (c) => c.s.setSeg(Seg.TR, Sel.TSS, At.TSS, 10, 0x8b),
  },
  { what: "null SS0", vector: 10, error: 0, spoil: (c) => c.mem.write32(At.TSS + 8, 0) },
  { what: "SS0 outside GDT", vector: 10, error: 0x200, spoil: (c) => c.mem.write32(At.TSS + 8, 0x200) },
  {
    what: "SS0 of another level",
    vector: 10,
    error: Sel.DATA1,
    spoil: (c) => c.mem.write32(At.TSS + 8, Sel.DATA1),
  },
  {
    what: "SS0 with RPL",
    vector: 10,
    error: Sel.DATA0,
    spoil: (c) => c.mem.write32(At.TSS + 8, Sel.DATA0 | 1),
  },
  { what: "SS0 is code", vector: 10, error: Sel.CODE0, spoil: (c) => c.mem.write32(At.TSS + 8, Sel.CODE0) },
  {
    what: "SS0 not present",
    vector: 12,
    error: Sel.SPARE,
    spoil: (
      c,
    ) => (c.gdt(Sel.SPARE, ...descriptor(0, 0xfffff, 0x12, 0xc)), c.mem.write32(At.TSS + 8, Sel.SPARE)),
  },
  {
    what: "no room on stack 0",
    vector: 12,
    error: Sel.DATA0,
    spoil: (c) => (c.gdt(Sel.DATA0, ...descriptor(0, 0x9eff, 0x92, 0x4)), c.mem.write32(At.TSS + 4, 0x9f10)),
  },
];

for (const b of BROKEN) {
  Deno.test(`delivery through a gate faults exactly when broken: ${b.what}`, () => {
    const c = protectedMachine(3);
    setGate(c, 0x30, Sel.CODE0, At.HANDLER, INT32 | DPL3);
    b.spoil(c);
    if (b.what !== "gate type" && c.s.cpl === 3) {
      // Restore DPL 3 where the gate was rewritten without it.
      const at = At.IDT + 0x30 * 8 + 5;
      c.mem.write8(at, c.mem.read8(at) | DPL3);
    } else if (c.s.cpl === 1) c.mem.write8(At.IDT + 0x30 * 8 + 5, INT32 | DPL3);
    const before = [c.s.lo(4), c.s.flags, c.s.segSel(Seg.CS), c.s.segSel(Seg.SS), c.s.cpl, c.s.rip];
    assertFault(faultOf(() => deliver(c, 0x30, -1, "software")), b.vector, b.error, "software");
    assertEquals([c.s.lo(4), c.s.flags, c.s.segSel(Seg.CS), c.s.segSel(Seg.SS), c.s.cpl, c.s.rip], before);
    // As an external interrupt the same fault is delivered itself, EXT set; here its own gate is missing: #DF, shutdown.
    assertEquals(deliver(c, 0x30, -1, "external"), "shutdown");
    assertEquals(c.exceptions[0], [b.vector, b.error | 1], "external");
    assertEquals(c.exceptions.length, 2);
    assertEquals(c.exceptions[1], [8, 0]);
  });
}

Deno.test("exceptions combine into #DF and shutdown as table 6-5 says", () => {
  const benign = [1, 2, 3, 4, 5, 6, 7, 9, 16, 17, 18, 19], contributory = [0, 10, 11, 12, 13];
  for (const a of benign) for (const b of [...benign, ...contributory, 14]) assertEquals(combine(a, b), b);
  for (const a of contributory) {
    for (const b of benign) assertEquals(combine(a, b), b);
    for (const b of contributory) assertEquals(combine(a, b), 8);
    assertEquals(combine(a, 14), 14);
  }
  for (const b of benign) assertEquals(combine(14, b), b);
  for (const b of [...contributory, 14]) assertEquals([combine(14, b), combine(8, b)], [8, -1]);
});

Deno.test("a fault on the way to a handler is delivered in its place, a second contributory one as #DF", () => {
  const c = protectedMachine(0);
  setGate(c, 6, Sel.DATA0, 0, INT32);
  setGate(c, 13, Sel.CODE0, At.HANDLER, INT32);
  const sp = c.s.lo(4);
  assertEquals(deliver(c, 6, -1, "fault"), "delivered");
  assertEquals(stackWords(c, 2), [Sel.DATA0 | 1, At.CODE]);
  assertEquals(c.s.lo(4), sp - 16);
  const d = protectedMachine(0);
  setGate(d, 0, Sel.DATA0, 0, INT32);
  setGate(d, 13, Sel.CODE0, At.HANDLER, INT32);
  setGate(d, 8, Sel.CODE0, At.HANDLER + 16, INT32);
  assertEquals(deliver(d, 0, -1, "fault"), "delivered");
  assertEquals([d.s.rip, ...stackWords(d, 2)], [At.HANDLER + 16, 0, At.CODE]);
  assertEquals(d.exceptions, [[0, -1], [8, 0]]);
});

Deno.test("virtual-8086 mode leaves through ring 0 with all segments saved, and only there", () => {
  const c = protectedMachine(3), { s } = c;
  s.flags = 2 | Fl.VM | Fl.IF | Fl.IOPL;
  for (let seg = 0; seg < 6; seg++) s.setSeg(seg, 0x1000 + seg, (0x1000 + seg) << 4, 0xffff, 0xf3);
  s.setReg(4, 0x1234, 0);
  s.rip = 0x100;
  setGate(c, 13, Sel.CODE0, At.HANDLER, INT32);
  assertEquals(deliver(c, 13, 0, "fault"), "delivered");
  assertEquals(stackWords(c, 10), [
    0,
    0x100,
    0x1001,
    2 | Fl.VM | Fl.IF | Fl.IOPL | Fl.RF,
    0x1234,
    0x1002,
    0x1000,
    0x1003,
    0x1004,
    0x1005,
  ]);
  assertEquals([s.cpl, s.v86, s.lo(4), s.segSel(Seg.GS)], [0, false, At.STACK0 - 40, 0]);
  for (const sel of [Sel.CODE1, Sel.CONFORMING]) {
    const d = protectedMachine(3);
    d.s.flags = 2 | Fl.VM;
    setGate(d, 13, sel, At.HANDLER, INT32);
    setGate(d, 8, Sel.CODE0, At.HANDLER, INT32);
    assertEquals(deliver(d, 13, 0, "fault"), "delivered");
    assertEquals(d.exceptions, [[13, 0], [8, 0]], "must be ring 0, not conforming");
  }
  const e = protectedMachine(3);
  e.s.flags = 2 | Fl.VM;
  setGate(e, 0x21, Sel.CODE0, At.HANDLER, INT32 | DPL3);
  assertFault(e.run("int_n", { imm: 0x21 }), 13, 0, "IOPL below 3");
  e.s.flags = 2 | Fl.VM | Fl.IOPL;
  assertEquals(e.run("int_n", { imm: 0x21 }), null);
});

/** The 64-bit frame: RIP, CS, RFLAGS, RSP, SS. */
function frame64(c: TestCore, count: number): number[] {
  return stackWords(c, count, 8);
}

Deno.test("64-bit gates align the stack, always push SS:RSP, and use IST and RSP0", () => {
  const c = longMachine(0);
  setGate(c, 14, Sel.CODE64, 0x23456, INT32);
  c.s.setReg(4, 0x9b3d, 0);
  c.s.flags = ALL & ~Fl.RF;
  c.s.setWords(L.FAULT_ADDR, 0x1234, 0xffff_8000);
  assertEquals(deliver(c, 14, 2, "fault"), "delivered");
  assertEquals(c.s.lo(4), 0x9b30 - 48);
  assertEquals(frame64(c, 6), [2, At.CODE, Sel.CODE64, ALL, 0x9b3d, Sel.DATA0]);
  assertEquals([c.s.word(L.CR2), c.s.word(L.CR2 + 4), c.s.flags], [0x1234, 0xffff_8000, AFTER]);
  assertEquals(c.s.segSel(Seg.SS), Sel.DATA0);

  const u = longMachine(3), sp = u.s.lo(4);
  setGate(u, 0x30, Sel.CODE64, At.HANDLER, TRAP32);
  u.s.flags = 2 | Fl.IF;
  deliver(u, 0x30, -1, "external");
  assertEquals(frame64(u, 5), [At.CODE, Sel.CODE64_3, 2 | Fl.IF, sp, Sel.DATA3]);
  assertEquals([u.s.lo(4), u.s.cpl, u.s.segSel(Seg.SS), u.s.flags], [At.STACK0 - 40, 0, 0, 2 | Fl.IF]);

  for (const cpl of [0, 3]) {
    const i = longMachine(cpl);
    setGate(i, 2, Sel.CODE64, At.HANDLER, INT32, 1);
    deliver(i, 2, -1, "external");
    assertEquals(i.s.lo(4), At.IST1 - 40);
    assertEquals(i.nmiBlocked, true);
  }
});

Deno.test("64-bit gates from compatibility mode, and their own faults", () => {
  const c = longMachine(3);
  c.s.setSeg(Seg.CS, Sel.CODE3, 0, 0xffff_ffff, 0xcfb);
  setGate(c, 0x30, Sel.CODE64, At.HANDLER, INT32);
  deliver(c, 0x30, -1, "external");
  assertEquals(frame64(c, 2), [At.CODE, Sel.CODE3]);
  const cases: [string, number, number, (c: TestCore) => void][] = [
    ["32-bit CS", 13, Sel.CODE0, (c) => setGate(c, 0x30, Sel.CODE0, 0, INT32 | DPL3)],
    ["16-bit gate", 13, 0x182, (c) => setGate(c, 0x30, Sel.CODE64, 0, INT16 | DPL3)],
    ["task gate", 13, 0x182, (c) => setGate(c, 0x30, Sel.TSS, 0, TASK | DPL3)],
    ["IDT limit", 13, 0x182, (c) => c.s.u32[(L.IDTR + 8) >> 2] = 0x30e],
    ["offset", 13, 0, (c) => c.mem.write32(At.IDT + 0x308, 0x8000)],
    ["TSS limit", 10, Sel.TSS, (c) => c.s.setSeg(Seg.TR, Sel.TSS, At.TSS, 10, 0x8b)],
    ["RSP0", 12, 0, (c) => c.mem.write32(At.TSS + 8, 0x8000)],
    ["CS not present", 11, Sel.SPARE, (c) => {
      c.gdt(Sel.SPARE, ...descriptor(0, 0xfffff, 0x1a, 0xa));
      setGate(c, 0x30, Sel.SPARE, 0, INT32 | DPL3);
    }],
  ];
  for (const [what, vector, error, spoil] of cases) {
    const d = longMachine(3), sp = d.s.lo(4);
    setGate(d, 0x30, Sel.CODE64, At.HANDLER, INT32 | DPL3);
    spoil(d);
    assertFault(faultOf(() => deliver(d, 0x30, -1, "software")), vector, error, what);
    assertEquals([d.s.lo(4), d.s.cpl, d.s.rip], [sp, 3, At.CODE], what);
  }
});

Deno.test("a page fault on the handler's stack becomes #DF on its IST stack, then shutdown without one", () => {
  const c = longMachine(0);
  setGate(c, 14, Sel.CODE64, At.HANDLER, INT32);
  setGate(c, 8, Sel.CODE64, At.HANDLER + 64, INT32, 1);
  c.s.setReg(4, 0x40_0010, 0);
  c.s.setNum(L.FAULT_ADDR, 0x1000);
  assertEquals(deliver(c, 14, 0, "fault"), "delivered");
  assertEquals(c.exceptions, [[14, 0], [8, 0]]);
  assertEquals([c.s.rip, c.s.lo(4), c.s.num(L.CR2)], [At.HANDLER + 64, At.IST1 - 48, 0x1000]);
  assertEquals(c.s.num(L.FAULT_ADDR), 0x40_0000);
  c.s.setReg(4, 0x40_0010, 0);
  setGate(c, 8, Sel.CODE64, At.HANDLER + 64, INT32);
  assertEquals(deliver(c, 14, 0, "fault"), "shutdown");
});

Deno.test("#DB sets its DR6 bits and clears DR7.GD", () => {
  const c = protectedMachine(0);
  setGate(c, 1, Sel.CODE0, At.HANDLER, INT32);
  c.s.u32[(L.DR + 56) >> 2] = 0x2402;
  c.s.u32[(L.DR + 48) >> 2] = 0xffff_0ff0;
  assertEquals(deliverDebug(c, 0x4001, "trap"), "delivered");
  assertEquals([c.s.u32[(L.DR + 48) >> 2], c.s.u32[(L.DR + 56) >> 2]], [0xffff_4ff1, 0x402]);
});
