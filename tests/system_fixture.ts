/**
 * A processor core without generated code, for tests of the MMU and of system operations: real memory, state and MMU;
 * hooks that write down what they are told.
 */
import { assertEquals } from "@std/assert";
import type { Core } from "../core/cpu/core.ts";
import { type CpuidPolicy, parseCpuidSpec } from "../core/cpu/cpuid.ts";
import { type CpuHooks, GuestFault } from "../core/cpu/hooks.ts";
import { Insn, OPF_MEM, OPF_REP, REC } from "../core/cpu/insn.ts";
import { Attr, CpuState, Cr0, Cr4, Efer, Seg } from "../core/cpu/state.ts";
import { SYS_OPS, type SysOpName } from "../core/cpu/system/ops.ts";
import { SYSTEM_OPERATIONS } from "../core/cpu/system/mod.ts";
import * as L from "../core/layout.ts";
import { Mmu } from "../core/mmu/mmu.ts";
import { PhysMem } from "../core/mmu/physmem.ts";

/** Guest RAM of test machines. */
export const RAM_BYTES = 4 << 20;

export class TestCore implements Core {
  readonly mem = new PhysMem(RAM_BYTES + 0x10000);
  readonly s = new CpuState(this.mem);
  readonly mmu = new Mmu(this.s, this.mem);
  readonly insn = new Insn(this.s);
  readonly policy: CpuidPolicy;
  readonly exceptions: [number, number][] = [];
  readonly intercepts: number[] = [];
  readonly hooks: CpuHooks;
  halted = false;
  pendingDb = 0;
  nmiBlocked = false;
  msrLo = 0;
  msrHi = 0;
  modeUpdates = 0;

  constructor(spec = "default") {
    this.policy = parseCpuidSpec(spec);
    this.mem.map(0, RAM_BYTES);
    const refuse = (): never => {
      throw new Error("hook not expected here");
    };
    this.hooks = {
      portIn: refuse,
      portOut: refuse,
      mmioRead: refuse,
      mmioWrite: refuse,
      cpuid: refuse,
      msrRead: refuse,
      msrWrite: refuse,
      vmmcall: refuse,
      hlt: refuse,
      tsc: refuse,
      interruptBlocked: () => {},
      interruptAck: refuse,
      readTpr: refuse,
      writeTpr: refuse,
      unimplemented: refuse,
      intercept: (reason) => void this.intercepts.push(reason),
      exception: (vector, error) => void this.exceptions.push([vector, error]),
    };
    const { s } = this;
    s.u32[L.CR0 >> 2] = Cr0.ET;
    s.flags = 2;
    for (let seg = 0; seg < 6; seg++) s.setSeg(seg, 0, 0, 0xffff, 0x93);
    s.setSeg(Seg.LDTR, 0, 0, 0, Attr.UNUSABLE);
    s.u32[(L.GDTR + 8) >> 2] = 0xffff;
    s.u32[(L.IDTR + 8) >> 2] = 0xffff;
    this.updateMode();
  }

  updateMode(): void {
    this.modeUpdates++;
    this.mmu.selectSets();
  }

  /** Sets control registers as raw values and flushes. */
  control(cr0: number, cr4: number, efer: number, cr3 = 0): void {
    const { u32 } = this.s;
    u32[L.CR0 >> 2] = cr0;
    u32[L.CR4 >> 2] = cr4;
    u32[L.EFER >> 2] = efer;
    this.s.setWords(L.CR3, cr3, 0);
    this.mmu.flushAll();
    this.updateMode();
  }

  setCpl(cpl: number): void {
    this.s.i32[L.CPL >> 2] = cpl;
    this.updateMode();
  }

  /** Runs a system operation as the dispatcher does: RIP at the next instruction, put back by a fault. */
  run(name: SysOpName, o: Operands = {}): Fault | null {
    const at = L.CODE, { s } = this, rip = s.rip;
    s.u8.fill(0, at, at + 40);
    const flags = (o.mem === undefined ? 0 : OPF_MEM) | (o.rep ? OPF_REP : 0);
    s.view.setUint16(at + REC.OP, SYS_OPS.indexOf(name) | flags, true);
    s.u8[at + REC.OPSIZE] = o.size ?? 4;
    s.u8[at + REC.ADDRSIZE] = s.code64 ? 8 : 4;
    s.u8[at + REC.R0] = (o.reg ?? 0) * 8;
    s.u8[at + REC.R1] = (o.rm ?? 0) * 8;
    s.u8[at + REC.BASE] = s.u8[at + REC.INDEX] = L.ZERO;
    s.u8[at + REC.SEG] = (o.seg ?? Seg.DS) * L.SEG_SIZE;
    s.u8[at + REC.LEN] = 2;
    s.u32[(at + REC.RIP_LO) >> 2] = s.word(L.RIP);
    s.u32[(at + REC.RIP_HI) >> 2] = s.word(L.RIP + 4);
    s.setNum(at + REC.DISP, o.mem ?? 0);
    s.u32[(at + REC.IMM) >> 2] = o.imm ?? 0;
    s.u32[((at + REC.IMM) >> 2) + 1] = o.immHi ?? 0;
    this.insn.at = at;
    const op = SYSTEM_OPERATIONS[name];
    if (!op) throw new Error(`no operation ${name}`);
    s.rip = rip + 2;
    const fault = faultOf(() => op(this, this.insn));
    if (fault && !fault.keepRip) s.rip = rip;
    return fault;
  }

  /** Writes an 8-byte descriptor into the GDT at GDTR.base. */
  gdt(sel: number, lo: number, hi: number): void {
    const at = this.s.num(L.GDTR) + (sel & ~7);
    this.mem.write32(at, lo);
    this.mem.write32(at + 4, hi);
  }
}

export interface Operands {
  size?: number;
  reg?: number;
  rm?: number;
  seg?: number;
  /** Displacement: the operand is memory there. */
  mem?: number;
  imm?: number;
  immHi?: number;
  /** REP prefix. */
  rep?: boolean;
}

export interface Fault {
  vector: number;
  error: number;
  keepRip: boolean;
}

/** The fault that a function raises, or null. */
export function faultOf(f: () => void): Fault | null {
  try {
    f();
    return null;
  } catch (e) {
    if (!(e instanceof GuestFault)) throw e;
    return { vector: e.vector, error: e.error, keepRip: e.keepRip };
  }
}

/** Asserts that a fault is a vector with an error code. */
export function assertFault(f: Fault | null, vector: number, error: number, what?: string): void {
  assertEquals(f && [f.vector, f.error], [vector, error], what);
}

/** Descriptor words, put together from the SDM's figure 3-8. */
export function descriptor(base: number, limit: number, access: number, flags = 0): [number, number] {
  const lo = (limit & 0xffff) | (base & 0xffff) << 16;
  const hi = (base >>> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000);
  return [lo >>> 0, hi >>> 0];
}

/** Gate words, from the SDM's figure 6-2. */
export function gateWords(sel: number, offset: number, access: number, count = 0): [number, number] {
  return [((offset & 0xffff) | sel << 16) >>> 0, ((offset & 0xffff0000) | access << 8 | count) >>> 0];
}

/** CR0 for protected mode with and without paging; EFER for long mode. */
export const PROTECTED = Cr0.PE | Cr0.ET, PAGED = (Cr0.PE | Cr0.ET | Cr0.PG) >>> 0;
export const LONG = Efer.LME | Efer.LMA, PAE = Cr4.PAE;

/** Selectors of the protected-mode test machine. */
export const Sel = {
  CODE0: 0x08,
  DATA0: 0x10,
  CODE3: 0x1b,
  DATA3: 0x23,
  TSS: 0x28,
  CONFORMING: 0x38,
  LDT: 0x40,
  CODE1: 0x48,
  DATA1: 0x50,
  CODE16: 0x58,
  DATA16: 0x60,
  TSS2: 0x68,
  SPARE: 0x70,
  CODE64: 0x80,
  CODE64_3: 0x8b,
  SPARE2: 0x90,
} as const;

/** Where the test machine keeps its tables and stacks. */
export const At = {
  GDT: 0x6000,
  IDT: 0x7000,
  TSS: 0x8000,
  TSS2: 0x8800,
  LDT: 0x8c00,
  STACK0: 0x9f00,
  STACK1: 0xaf00,
  STACK3: 0xbf00,
  IST1: 0xcf00,
  CODE: 0x1_0000,
  HANDLER: 0x2_0000,
} as const;

/** A protected-mode machine without paging: GDT, IDT, 32-bit TSS with stacks for rings 0 and 1, running at `cpl`. */
export function protectedMachine(cpl = 0, spec = "default"): TestCore {
  const c = new TestCore(spec), { s } = c;
  s.setNum(L.GDTR, At.GDT);
  s.setNum(L.IDTR, At.IDT);
  s.u32[(L.IDTR + 8) >> 2] = 0x7ff;
  s.u32[(L.GDTR + 8) >> 2] = 0xff;
  const flat = (access: number, flags = 0xc) => descriptor(0, 0xfffff, access, flags);
  c.gdt(Sel.CODE0, ...flat(0x9a));
  c.gdt(Sel.DATA0, ...flat(0x92));
  c.gdt(Sel.CODE3, ...flat(0xfa));
  c.gdt(Sel.DATA3, ...flat(0xf2));
  c.gdt(Sel.TSS, ...descriptor(At.TSS, 0x67, 0x8b));
  c.gdt(Sel.CONFORMING, ...flat(0x9e));
  c.gdt(Sel.LDT, ...descriptor(At.LDT, 0xff, 0x82));
  c.gdt(Sel.CODE1, ...flat(0xba));
  c.gdt(Sel.DATA1, ...flat(0xb2));
  c.gdt(Sel.CODE16, ...descriptor(0, 0xffff, 0x9a));
  c.gdt(Sel.DATA16, ...descriptor(0, 0xffff, 0x92));
  c.gdt(Sel.CODE64, ...flat(0x9a, 0xa));
  c.gdt(Sel.CODE64_3, ...flat(0xfa, 0xa));
  c.mem.write32(At.TSS + 4, At.STACK0);
  c.mem.write32(At.TSS + 8, Sel.DATA0);
  c.mem.write32(At.TSS + 12, At.STACK1);
  c.mem.write32(At.TSS + 16, Sel.DATA1 | 1);
  s.setSeg(Seg.TR, Sel.TSS, At.TSS, 0x67, 0x8b);
  c.control(PROTECTED, 0, 0);
  enterRing(c, cpl);
  return c;
}

/** Puts the machine into flat 32-bit code of a ring, its stack at the ring's place. */
export function enterRing(c: TestCore, cpl: number): void {
  const { s } = c, dpl = cpl << 5;
  const [cs, ss] = cpl === 0
    ? [Sel.CODE0, Sel.DATA0]
    : cpl === 1
    ? [Sel.CODE1 | 1, Sel.DATA1 | 1]
    : [Sel.CODE3, Sel.DATA3];
  s.setSeg(Seg.CS, cs, 0, 0xffff_ffff, 0xc9b | dpl);
  for (const seg of [Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS]) s.setSeg(seg, ss, 0, 0xffff_ffff, 0xc93 | dpl);
  s.setReg(4, [At.STACK0, At.STACK1, 0, At.STACK3][cpl] - 0x400, 0);
  s.rip = At.CODE;
  c.setCpl(cpl);
}

/** A long-mode machine: identity map of the first 2 MiB pages (user too), GDT, 64-bit TSS, running 64-bit code. */
export function longMachine(cpl = 0, spec = "default"): TestCore {
  const c = protectedMachine(0, spec), { s } = c;
  c.mem.write32(0x1000, 0x2007);
  c.mem.write32(0x2000, 0x3007);
  c.mem.write32(0x3000, 0x87);
  c.mem.write32(0x3008, 0x20_0087);
  c.mem.write(At.TSS, new Uint8Array(0x68));
  c.mem.write32(At.TSS + 4, At.STACK0);
  c.mem.write32(At.TSS + 12, At.STACK1);
  c.mem.write32(At.TSS + 36, At.IST1);
  c.gdt(Sel.TSS + 8, 0, 0);
  c.control((PAGED | Cr0.WP) >>> 0, PAE, LONG | Efer.SCE, 0x1000);
  const dpl = cpl << 5;
  s.setSeg(Seg.CS, cpl ? Sel.CODE64_3 : Sel.CODE64, 0, 0xffff_ffff, 0xa9b | dpl);
  for (const seg of [Seg.SS, Seg.DS, Seg.ES, Seg.FS, Seg.GS]) {
    s.setSeg(seg, cpl ? Sel.DATA3 : Sel.DATA0, 0, 0xffff_ffff, 0xc93 | dpl);
  }
  s.setReg(4, (cpl ? At.STACK3 : At.STACK0) - 0x400, 0);
  s.rip = At.CODE;
  c.setCpl(cpl);
  return c;
}

/** Writes a gate into the IDT; 16-byte ones in long mode. */
export function setGate(
  c: TestCore,
  vector: number,
  sel: number,
  offset: number,
  access: number,
  ist = 0,
): void {
  const at = At.IDT + vector * (c.s.longMode ? 16 : 8), [lo, hi] = gateWords(sel, offset, access, ist);
  c.mem.write32(at, lo);
  c.mem.write32(at + 4, hi);
  if (c.s.longMode) c.mem.write(at + 8, new Uint8Array(8));
}

/** Words on the stack from the stack pointer up, `size` bytes each. */
export function stackWords(c: TestCore, count: number, size = 4): number[] {
  const sp = c.s.lo(4);
  return Array.from(
    { length: count },
    (_, n) => size === 2 ? c.mem.read16(sp + n * 2) : c.mem.read32(sp + n * size),
  );
}
