/**
 * A processor core without generated code, for tests of the MMU and of system operations: real memory, state and MMU;
 * hooks that write down what they are told.
 */
import { assertEquals } from "@std/assert";
import type { Core } from "../core/cpu/core.ts";
import { type CpuidPolicy, parseCpuidSpec } from "../core/cpu/cpuid.ts";
import { type CpuHooks, GuestFault } from "../core/cpu/hooks.ts";
import { Insn, OPF_MEM, REC } from "../core/cpu/insn.ts";
import { Attr, CpuState, Cr0, Cr4, Efer, Seg } from "../core/cpu/state.ts";
import { SYS_OPS, type SysOpName } from "../core/cpu/system/ops.ts";
import { segmentOps } from "../core/cpu/system/segment_ops.ts";
import { transferOps } from "../core/cpu/system/transfer.ts";
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
    s.view.setUint16(at + REC.OP, SYS_OPS.indexOf(name) | (o.mem === undefined ? 0 : OPF_MEM), true);
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
    const op = segmentOps[name] ?? transferOps[name];
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
