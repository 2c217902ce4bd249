import { assert, assertEquals } from "@std/assert";
import { Vec } from "../core/cpu/hooks.ts";
import { Msr, PAT_RESET_LO, resetMsrs } from "../core/cpu/msr.ts";
import { MTRR_DEF_TYPE, presetMtrrs } from "../core/cpu/msr_mtrr.ts";
import { Cr0, Cr4, Efer, Fl, Gpr, Seg } from "../core/cpu/state.ts";
import { Reason } from "../core/exits.ts";
import * as L from "../core/layout.ts";
import {
  assertFault,
  At,
  enterRing,
  type Fault,
  LONG,
  longMachine,
  PAE,
  PAGED,
  PROTECTED,
  protectedMachine,
  TestCore,
} from "./system_fixture.ts";

/** MOV CRn, EAX with a value. */
function setCr(c: TestCore, n: number, lo: number, hi = 0) {
  c.s.setReg(Gpr.AX, lo, hi);
  return c.run("mov_to_cr", { reg: n });
}

/** WRMSR with the core's own registers only. */
function wrmsr(c: TestCore, msr: number, lo: number, hi = 0) {
  c.hooks.msrWrite = () => false;
  c.s.setReg(Gpr.CX, msr, 0);
  c.s.setReg(Gpr.AX, lo, 0);
  c.s.setReg(Gpr.DX, hi, 0);
  return c.run("wrmsr");
}

/** RDMSR; the value as [high, low], or the fault. */
function rdmsr(c: TestCore, msr: number) {
  c.hooks.msrRead = () => false;
  c.s.setReg(Gpr.CX, msr, 0);
  const fault = c.run("rdmsr");
  return fault ?? [c.s.lo(Gpr.DX), c.s.lo(Gpr.AX)];
}

Deno.test("MOV to CR raises #GP when not at CPL 0, #UD when the register does not exist", () => {
  const c = protectedMachine(3);
  assertFault(setCr(c, 0, PROTECTED), Vec.GP, 0);
  assertFault(c.run("mov_from_cr", { reg: 3 }), Vec.GP, 0);
  assertFault(setCr(c, 1, 0), Vec.UD, -1);
  assertEquals(c.intercepts, []);
});

Deno.test("MOV to CR0 raises #GP when the combination is not allowed", () => {
  const c = protectedMachine();
  assertFault(setCr(c, 0, Cr0.PG), Vec.GP, 0, "PG without PE");
  assertFault(setCr(c, 0, Cr0.PE | Cr0.NW), Vec.GP, 0, "NW without CD");
  assertEquals(setCr(c, 0, 0xffff_ffff & ~Cr0.PG), null, "unknown bits are ignored");
  assertEquals(c.s.cr0, 0x6005_003f);
  assertEquals(c.intercepts, [Reason.CR0_WRITE, Reason.CR0_WRITE, Reason.CR0_WRITE]);
});

Deno.test("MOV to CR0 enters and leaves long mode when EFER.LME is set", () => {
  const c = protectedMachine();
  c.control(PROTECTED, 0, Efer.LME, 0x1000);
  assertFault(setCr(c, 0, PAGED), Vec.GP, 0, "PG with LME needs PAE");
  c.control(PROTECTED, PAE, Efer.LME, 0x1000);
  assertEquals(setCr(c, 0, PAGED), null);
  assertEquals(c.s.efer, LONG);
  assertFault(setCr(c, 4, 0), Vec.GP, 0, "PAE cannot go while LMA is set");
  assertFault(wrmsr(c, Msr.EFER, 0), Vec.GP, 0, "LME cannot change while paging");
  assertEquals(setCr(c, 0, PROTECTED), null, "from compatibility mode");
  assertEquals(c.s.efer, Efer.LME);
  const long = longMachine();
  assertFault(setCr(long, 0, PROTECTED), Vec.GP, 0, "not from 64-bit code");
});

Deno.test("MOV to CR3 raises #GP when PDPTEs or reserved address bits are set", () => {
  const c = protectedMachine();
  c.mem.write32(0x1000, 0x2001);
  c.mem.write32(0x1008, 0x3001);
  c.control(PROTECTED, PAE, 0, 0x1000);
  assertEquals(setCr(c, 0, PAGED), null);
  assertEquals(c.s.word(L.PDPTE + 8), 0x3001);
  c.mem.write32(0x1028, 0x3007);
  assertFault(setCr(c, 3, 0x1020), Vec.GP, 0, "R/W and U/S are reserved in a PDPTE");
  assertEquals(c.s.word(L.CR3), 0x1000);
  const long = longMachine();
  assertFault(setCr(long, 3, 0x1000, 0x100), Vec.GP, 0, "bit 40 with 40 physical address bits");
});

Deno.test("CR4 and EFER bits are reserved when the CPUID policy denies their features", () => {
  const c = protectedMachine(0, "default,-pae,-pse,-syscall");
  for (const bit of [Cr4.PAE, Cr4.PSE, Cr4.VME, Cr4.PCIDE, Cr4.OSXSAVE, 1 << 13]) {
    assertFault(setCr(c, 4, bit), Vec.GP, 0, `CR4 bit 0x${bit.toString(16)}`);
  }
  assertEquals(setCr(c, 4, Cr4.PGE | Cr4.TSD | Cr4.OSFXSR), null);
  assertFault(wrmsr(c, Msr.EFER, Efer.LME), Vec.GP, 0);
  const full = protectedMachine();
  assertEquals(wrmsr(full, Msr.EFER, Efer.SCE | Efer.NXE | Efer.LMA), null);
  assertEquals(full.s.efer, Efer.SCE | Efer.NXE, "LMA is not the writer's");
});

Deno.test("LMSW sets PE but cannot clear it; CLTS and SMSW see CR0", () => {
  const c = new TestCore();
  c.s.setReg(Gpr.AX, 0xff, 0);
  assertEquals(c.run("lmsw"), null);
  assertEquals(c.s.cr0, 0x1f);
  c.s.setReg(Gpr.AX, 0, 0);
  c.run("lmsw");
  assertEquals(c.s.cr0, 0x11);
  c.s.u32[L.CR0 >> 2] |= Cr0.TS;
  c.run("clts");
  c.run("smsw", { rm: Gpr.BX });
  assertEquals(c.s.lo(Gpr.BX), 0x11);
});

Deno.test("debug registers keep their fixed bits; GD and CR4.DE fault", () => {
  const c = protectedMachine();
  const set = (n: number, v: number) => {
    c.s.setReg(Gpr.AX, v, 0);
    return c.run("mov_to_dr", { reg: n });
  };
  set(6, 0);
  set(7, 0xffff_dfff & ~0x2000);
  assertEquals(c.s.word(L.DR + 48), 0xffff_0ff0);
  assertEquals(c.s.word(L.DR + 56), 0xffff_07ff);
  assertEquals(set(5, 0), null, "DR5 is DR7 without CR4.DE");
  assertEquals(c.s.word(L.DR + 56), 0x400);
  c.s.u32[L.CR4 >> 2] = Cr4.DE;
  assertFault(set(4, 0), Vec.UD, -1);
  set(7, 0x2000);
  assertEquals(c.run("mov_from_dr", { reg: 0 })?.vector, Vec.DB);
  assertEquals(c.s.word(L.DR + 48) & 0x2000, 0x2000, "DR6.BD");
});

Deno.test("STI inhibits interrupts for one instruction only when IF was clear", () => {
  const c = protectedMachine();
  c.run("sti");
  assertEquals([c.s.flags & Fl.IF, c.s.word(L.INT_SHADOW)], [Fl.IF, 1]);
  c.s.u32[L.INT_SHADOW >> 2] = 0;
  c.run("sti");
  assertEquals(c.s.word(L.INT_SHADOW), 0);
  c.run("cli");
  assertEquals(c.s.flags & Fl.IF, 0);
  enterRing(c, 3);
  assertFault(c.run("cli"), Vec.GP, 0);
  c.s.flags |= Fl.IOPL;
  assertEquals(c.run("sti"), null);
});

Deno.test("POPF changes only what CPL and IOPL allow", () => {
  const popf = (cpl: number, iopl: number, word: number, size = 4) => {
    const c = protectedMachine(cpl);
    c.s.flags = 2 | iopl << 12;
    c.mem.write32(c.s.lo(Gpr.SP), word);
    assertEquals(c.run("popf", { size }), null);
    return c.s.flags;
  };
  const all = 0xffff_ffff & ~(Fl.VIF | Fl.VIP);
  assertEquals(popf(0, 0, all), 0x24_7fd7);
  assertEquals(popf(3, 0, all), 0x24_4dd7, "neither IF nor IOPL");
  assertEquals(popf(3, 3, all), 0x24_7fd7);
  assertEquals(popf(0, 0, all, 2), 0x7fd7);
  const c = protectedMachine();
  c.s.flags |= Fl.VM;
  assertFault(c.run("popf"), Vec.GP, 0, "virtual-8086 with IOPL 0");
});

Deno.test("PUSHF leaves VM and RF out of the image", () => {
  const c = protectedMachine();
  c.s.flags = Fl.RF | Fl.ID | Fl.CF | 2;
  c.run("pushf");
  assertEquals(c.mem.read32(c.s.lo(Gpr.SP)), Fl.ID | Fl.CF | 2);
});

/** A ring-3 machine whose TSS has an I/O bitmap at 0x68 that allows only `port`. */
function bitmapMachine(port: number): TestCore {
  const c = protectedMachine(3);
  c.s.setSeg(Seg.TR, 0x28, At.TSS, 0x68 + 0x20, 0x8b);
  c.mem.write16(At.TSS + 0x66, 0x68);
  c.mem.write(At.TSS + 0x68, new Uint8Array(0x21).fill(0xff));
  c.mem.write8(At.TSS + 0x68 + (port >> 3), 0xff & ~(1 << (port & 7)));
  c.hooks.portIn = (p, size) => p * 0x100 + size;
  return c;
}

Deno.test("IN obeys the I/O permission bitmap when CPL is above IOPL", () => {
  const c = bitmapMachine(0x61);
  assertEquals(c.run("in_imm", { imm: 0x61, size: 1 }), null);
  assertEquals(c.s.lo(Gpr.AX) & 0xff, 1);
  assertFault(c.run("in_imm", { imm: 0x60, size: 1 }), Vec.GP, 0);
  assertFault(c.run("in_imm", { imm: 0x61, size: 2 }), Vec.GP, 0, "the second port is not allowed");
  c.s.setReg(Gpr.DX, 0x100, 0);
  assertFault(c.run("in_dx", { size: 1 }), Vec.GP, 0, "beyond the TSS limit");
  assertEquals(c.intercepts, [Reason.IOIO]);
  c.s.flags |= Fl.IOPL;
  assertEquals(c.run("in_dx", { size: 4 }), null);
  assertEquals(c.s.lo(Gpr.AX), 0x1_0004);
});

Deno.test("IN tells EXITINFO1 before the port is read", () => {
  const c = protectedMachine();
  const seen: (number | string)[] = [];
  c.hooks.intercept = (reason, info1, info2) => seen.push(reason, info1, info2);
  c.hooks.portIn = () => seen.push("read");
  c.s.setReg(Gpr.DX, 0x3f8, 0);
  c.run("in_dx", { size: 1 });
  assertEquals(seen, [Reason.IOIO, 0x03f8_0111, At.CODE + 2, "read"]);
});

Deno.test("REP INS goes back to itself until the count is used up, and faults before it reads", () => {
  const c = protectedMachine();
  let next = 0x41;
  c.hooks.portIn = () => next++;
  c.s.setReg(Gpr.CX, 3, 0);
  c.s.setReg(Gpr.DI, 0x5000, 0);
  const rips: number[] = [];
  for (let i = 0; i < 3; i++) {
    c.run("ins", { size: 1, rep: true });
    rips.push(c.s.rip - At.CODE);
  }
  assertEquals(rips, [0, 0, 2]);
  assertEquals([...c.mem.read(0x5000, 3)], [0x41, 0x42, 0x43]);
  assertEquals([c.s.lo(Gpr.CX), c.s.lo(Gpr.DI)], [0, 0x5003]);
  c.run("ins", { size: 1, rep: true });
  assertEquals(next, 0x44, "nothing when the count is zero");
  c.s.setSeg(Seg.ES, 0x10, 0, 0x4fff, 0x493);
  c.s.setReg(Gpr.CX, 1, 0);
  assertFault(c.run("ins", { size: 1, rep: true }), Vec.GP, 0);
  assertEquals(next, 0x44);
});

Deno.test("OUTS walks down when DF is set", () => {
  const c = protectedMachine(), written: number[] = [];
  c.hooks.portOut = (port, size, value) => written.push(port, size, value);
  c.mem.write32(0x5000, 0x1234_5678);
  c.s.setReg(Gpr.SI, 0x5002, 0);
  c.s.setReg(Gpr.DX, 0x80, 0);
  c.s.flags |= Fl.DF;
  c.run("outs", { size: 2 });
  assertEquals(written, [0x80, 2, 0x1234]);
  assertEquals(c.s.lo(Gpr.SI), 0x5000);
});

Deno.test("RDTSC honours CR4.TSD, and WRMSR moves the counter together with TSC_ADJUST", () => {
  const c = protectedMachine(), { s } = c;
  resetMsrs(c);
  let now = 1000;
  c.hooks.tsc = () => now;
  c.run("rdtsc");
  assertEquals([s.lo(Gpr.DX), s.lo(Gpr.AX)], [0, 1000]);
  assertEquals(wrmsr(c, Msr.TSC, 0xffff_fff0, 1), null);
  now += 0x20;
  c.run("rdtsc");
  assertEquals([s.lo(Gpr.DX), s.lo(Gpr.AX)], [2, 0x10]);
  assertEquals(rdmsr(c, Msr.TSC_ADJUST), [1, 0xffff_fff0 - 1000]);
  assertEquals(wrmsr(c, Msr.TSC_ADJUST, 5), null);
  c.run("rdtsc");
  assertEquals([s.lo(Gpr.DX), s.lo(Gpr.AX)], [0, 1000 + 0x20 + 5]);
  enterRing(c, 3);
  s.u32[L.CR4 >> 2] = Cr4.TSD;
  assertFault(c.run("rdtsc"), Vec.GP, 0);
});

Deno.test("MSRs raise #GP when unknown, not canonical, or of a forbidden type", () => {
  const c = longMachine();
  resetMsrs(c);
  assertFault(wrmsr(c, 0x1234_5678, 0), Vec.GP, 0);
  assertFault(rdmsr(c, 0x1234_5678) as Fault, Vec.GP, 0);
  assertFault(wrmsr(c, Msr.LSTAR, 0, 0x8000), Vec.GP, 0);
  assertEquals(wrmsr(c, Msr.FS_BASE, 0x1000, 0xffff_8000), null);
  assertEquals(c.s.segBase(Seg.FS), -0x8000_0000_0000 + 0x1000);
  assertEquals(rdmsr(c, Msr.PAT), [0x0007_0406, PAT_RESET_LO]);
  assertFault(wrmsr(c, Msr.PAT, 2), Vec.GP, 0, "type 2 does not exist");
  assertEquals(wrmsr(c, Msr.PAT, 0x0605_0400), null);
  presetMtrrs(c);
  assertEquals(rdmsr(c, MTRR_DEF_TYPE), [0, 0x806]);
  assertFault(wrmsr(c, 0x201, 0, 0x100), Vec.GP, 0, "mask beyond the physical address size");
  assertEquals(wrmsr(c, 0x201, 0xf000_0800, 0xff), null);
  assertEquals(rdmsr(c, 0x201), [0xff, 0xf000_0800]);
  assertFault(wrmsr(c, 0xfe, 0), Vec.GP, 0, "MTRRcap is read-only");
  assertEquals(rdmsr(c, 0x400), [0xffff_ffff, 0xffff_ffff]);
  assertFault(wrmsr(c, 0x401, 1), Vec.GP, 0);
});

Deno.test("an AMD guest finds as many MSRs in XTF's ranges as real Xen shows it", () => {
  // XTF's msr test prints one line for each readable one: 229 lines, four of them its own. The hooks have these two.
  const c = longMachine(0, "default");
  resetMsrs(c);
  c.hooks.tsc = () => 0;
  let readable = 0;
  const hooks = new Set([0x1b, 0x4000_0000]);
  for (const [first, last] of [[0, 0x1fff], [0x4000_0000, 0x4000_00ff], [0xc000_0000, 0xc000_1fff]]) {
    for (let msr = first; msr <= last; msr++) if (hooks.has(msr) || Array.isArray(rdmsr(c, msr))) readable++;
  }
  assertEquals(readable, 229 - 4);
});

Deno.test("the hooks see an MSR first, and their answer counts", () => {
  const c = protectedMachine();
  c.hooks.msrRead = (msr) => {
    c.msrLo = msr + 1;
    c.msrHi = 7;
    return true;
  };
  c.s.setReg(Gpr.CX, 0x1b, 0);
  c.run("rdmsr");
  assertEquals([c.s.lo(Gpr.DX), c.s.lo(Gpr.AX)], [7, 0x1c]);
});

Deno.test("DIV and IDIV divide 128 bits, and raise #DE when the quotient does not fit", () => {
  const c = longMachine(), { s } = c;
  s.setReg(Gpr.DX, 3, 0);
  s.setReg(Gpr.AX, 5, 0);
  s.setReg(Gpr.BX, 16, 0);
  assertEquals(c.run("div64", { rm: Gpr.BX, size: 8 }), null);
  assertEquals([s.hi(Gpr.AX), s.lo(Gpr.AX), s.lo(Gpr.DX)], [0x3000_0000, 0, 5]);
  s.setReg(Gpr.DX, 16, 0);
  assertFault(c.run("div64", { rm: Gpr.BX, size: 8 }), Vec.DE, -1);
  s.setReg(Gpr.BX, 0, 0);
  assertFault(c.run("idiv64", { rm: Gpr.BX, size: 8 }), Vec.DE, -1);
  s.setReg(Gpr.DX, 0xffff_ffff, 0xffff_ffff);
  s.setReg(Gpr.AX, 0xffff_fff9, 0xffff_ffff); // -7
  s.setReg(Gpr.BX, 2, 0);
  assertEquals(c.run("idiv64", { rm: Gpr.BX, size: 8 }), null);
  assertEquals([s.lo(Gpr.AX) | 0, s.lo(Gpr.DX) | 0], [-3, -1]);
});

Deno.test("CMPXCHG16B needs alignment, and tells by ZF whether it stored", () => {
  const c = longMachine(), { s } = c;
  assertFault(c.run("cmpxchg16b", { mem: 0x5008, size: 8 }), Vec.GP, 0);
  c.mem.write32(0x5000, 0x11);
  c.mem.write32(0x500c, 0x44);
  s.setReg(Gpr.BX, 0xb0, 0xb1);
  s.setReg(Gpr.CX, 0xc0, 0xc1);
  c.run("cmpxchg16b", { mem: 0x5000, size: 8 });
  assertEquals(s.flags & Fl.ZF, 0);
  assertEquals([s.lo(Gpr.AX), s.hi(Gpr.DX)], [0x11, 0x44]);
  c.run("cmpxchg16b", { mem: 0x5000, size: 8 });
  assertEquals(s.flags & Fl.ZF, Fl.ZF);
  assertEquals([c.mem.read32(0x5000), c.mem.read32(0x500c)], [0xb0, 0xc1]);
});

Deno.test("ENTER copies the display of outer frames, and leaves registers alone when it faults", () => {
  const c = protectedMachine(), { s } = c, sp = s.lo(Gpr.SP);
  s.setReg(Gpr.BP, 0x5010, 0);
  c.mem.write32(0x500c, 0xaaaa);
  assertEquals(c.run("enter", { imm: 0x20, immHi: 2 }), null);
  assertEquals([s.lo(Gpr.BP), s.lo(Gpr.SP)], [sp - 4, sp - 12 - 0x20]);
  assertEquals([c.mem.read32(sp - 4), c.mem.read32(sp - 8), c.mem.read32(sp - 12)], [0x5010, 0xaaaa, sp - 4]);
  s.setSeg(Seg.SS, 0x10, 0, 0xfff, 0x493);
  assertEquals(c.run("enter", { imm: 0x20, immHi: 0 })?.vector, Vec.SS);
  assertEquals(s.lo(Gpr.BP), sp - 4);
});

Deno.test("BOUND raises #BR outside signed limits", () => {
  const c = protectedMachine();
  c.mem.write32(0x5000, -5 >>> 0);
  c.mem.write32(0x5004, 5);
  const at = (v: number) => {
    c.s.setReg(Gpr.CX, v, 0);
    return c.run("bound", { reg: Gpr.CX, mem: 0x5000 })?.vector ?? null;
  };
  assertEquals([at(-6), at(-5), at(5), at(6)], [Vec.BR, null, null, Vec.BR]);
});

Deno.test("XSETBV refuses what the policy does not offer, and is #UD when CR4.OSXSAVE is clear", () => {
  const c = protectedMachine(0, "default,+xsave"), { s } = c;
  assertFault(c.run("xsetbv"), Vec.UD, -1);
  assertEquals(setCr(c, 4, Cr4.OSXSAVE), null);
  const set = (lo: number, index = 0) => {
    s.setReg(Gpr.AX, lo, 0);
    s.setReg(Gpr.DX, 0, 0);
    s.setReg(Gpr.CX, index, 0);
    return c.run("xsetbv");
  };
  assertEquals(set(3), null);
  assertFault(set(2), Vec.GP, 0, "x87 cannot be off");
  assertFault(set(7), Vec.GP, 0, "no AVX");
  assertFault(set(1, 1), Vec.GP, 0);
  s.setReg(Gpr.CX, 0, 0);
  c.run("xgetbv");
  assertEquals(s.lo(Gpr.AX), 3);
});

Deno.test("CLAC and STAC are #UD when SMAP is denied or in user code", () => {
  assertFault(protectedMachine(0, "default,-smap").run("stac"), Vec.UD, -1);
  assertFault(protectedMachine(3).run("clac"), Vec.UD, -1);
  const c = protectedMachine();
  c.run("stac");
  assert(c.s.flags & Fl.AC);
});

Deno.test("HLT halts at CPL 0 only, and VMMCALL is #UD when the machine does not take it", () => {
  const c = protectedMachine();
  let told = 0;
  c.hooks.hlt = () => void told++;
  assertEquals(c.run("hlt"), null);
  assert(c.halted && told === 1);
  assertFault(protectedMachine(3).run("hlt"), Vec.GP, 0);
  c.hooks.vmmcall = (vmcall) => !vmcall;
  assertEquals(c.run("vmmcall"), null);
  assertFault(c.run("vmcall"), Vec.UD, -1);
});

Deno.test("RDTSCP and RDPMC give time and nothing, and obey CR4.TSD and CR4.PCE; SVM's instructions are undefined", () => {
  const c = protectedMachine(0, "default,+rdtscp"), { s } = c;
  resetMsrs(c);
  c.hooks.tsc = () => 77;
  s.u32[L.MSR_TSC_AUX >> 2] = 5;
  assertEquals(c.run("rdtscp"), null);
  assertEquals([s.lo(Gpr.DX), s.lo(Gpr.AX), s.lo(Gpr.CX)], [0, 77, 5]);
  s.setReg(Gpr.CX, 0, 0);
  assertEquals(c.run("rdpmc"), null);
  assertEquals([s.lo(Gpr.DX), s.lo(Gpr.AX)], [0, 0]);
  s.setReg(Gpr.CX, 9, 0);
  assertFault(c.run("rdpmc"), Vec.GP, 0, "no such counter");
  assertFault(c.run("svm_op"), Vec.UD, -1);
  enterRing(c, 3);
  s.setReg(Gpr.CX, 0, 0);
  assertFault(c.run("rdpmc"), Vec.GP, 0, "CR4.PCE is clear");
  s.u32[L.CR4 >> 2] = Cr4.TSD;
  assertFault(c.run("rdtscp"), Vec.GP, 0);
  assertFault(protectedMachine(0, "default,-rdtscp").run("rdtscp"), Vec.UD, -1);
});
