/**
 * Processor state after reset, INIT or SIPI, and at the guest's first instruction.
 *
 * Source: Intel SDM volume 3, table 10-1 (IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT).
 *
 * @module
 */
import type { BootEntry, EntrySegment } from "./boot/types.ts";
import { Direct } from "./cpu/core.ts";
import { resetMsrs } from "./cpu/msr.ts";
import { Attr, type CpuState, Cr0, Seg } from "./cpu/state.ts";
import { Reason } from "./exits.ts";
import * as L from "./layout.ts";
import type { RetrovisorMachine } from "./machine.ts";

const CODE = Attr.S | Attr.P | Attr.CODE | Attr.READABLE | Attr.ACCESSED;
const DATA = Attr.S | Attr.P | Attr.WRITABLE | Attr.ACCESSED;

/** Gives a vCPU the state after INIT (or, with a vector, after the SIPI that follows). It need not be the active one. */
export function resetVcpu(m: RetrovisorMachine, id: number, sipiVector = -1): void {
  const { vcpus, cpu } = m, active = vcpus.active;
  vcpus.park();
  if (id !== active) vcpus.unpark(id);
  fill(cpu.s, m.policy.cpuid(1, 0, { apicId: 0, vcpus: 1, cr4: 0, xcr0: 0 }).eax);
  if (sipiVector >= 0) {
    cpu.s.setSeg(Seg.CS, sipiVector << 8, sipiVector << 12, 0xffff, CODE);
    cpu.s.rip = 0;
  }
  resetMsrs(cpu);
  cpu.s.u32[L.PUSHF_EXITS >> 2] = m.door.intercepts.has(Reason.PUSHF) ? 1 : 0;
  prepareDirect(m);
  cpu.halted = false;
  cpu.pendingDb = 0;
  cpu.nmiPending = cpu.nmiBlocked = false;
  const v = vcpus.all[id];
  if (sipiVector < 0) {
    v.waitForSipi = id !== 0 || m.icount > 0;
    v.online = v.waitForSipi ? v.online : true;
  }
  cpu.updateMode();
  cpu.mmu.flushAll();
  vcpus.park();
  if (id !== active) vcpus.unpark(active);
}

/** Tells generated code what it may do by itself, and what the clock is. */
function prepareDirect(m: RetrovisorMachine): void {
  const { s } = m.cpu, { intercepts } = m.door, { config } = m;
  const bit = (reason: number, b: number): number => intercepts.has(reason) ? 0 : b;
  const tsc = m.policy.has("tsc") ? bit(Reason.RDTSC, Direct.RDTSC) : 0;
  s.i32[L.DIRECT >> 2] = tsc | bit(Reason.PAUSE, Direct.PAUSE) | bit(Reason.IRET, Direct.IRET) |
    bit(Reason.SWINT, Direct.SWINT) | (m.policy.amd ? Direct.SYSRET : 0);
  s.f64[L.CLOCK_NS >> 3] = config.nsPerInstruction;
  s.f64[L.CLOCK_TSC >> 3] = config.tscKhz / 1e6;
}

function fill(s: CpuState, signature: number): void {
  s.u8.fill(0, 0, L.STATE_SIZE);
  s.setNum(L.CR0, Cr0.CD + Cr0.NW + Cr0.ET);
  for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) s.setSeg(seg, 0, 0, 0xffff, DATA);
  s.setSeg(Seg.CS, 0xf000, 0xffff_0000, 0xffff, CODE);
  s.setSeg(Seg.LDTR, 0, 0, 0xffff, Attr.P | 2);
  s.setSeg(Seg.TR, 0, 0, 0xffff, Attr.P | 11);
  s.u32[(L.GDTR + 8) >> 2] = 0xffff;
  s.u32[(L.IDTR + 8) >> 2] = 0xffff;
  s.rip = 0xfff0;
  s.flags = 2;
  s.setReg(2, signature, 0);
  s.setNum(L.DR + 48, 0xffff_0ff0);
  s.setNum(L.DR + 56, 0x400);
  s.u32[L.XCR0 >> 2] = 1;
  // x87 and SSE as after INIT in a hypervisor: FNINIT's control and tag words, MXCSR's reset value.
  s.u32[L.FCW >> 2] = 0x37f;
  s.u32[L.FTW >> 2] = 0xffff;
  s.u32[L.MXCSR >> 2] = 0x1f80;
}

/** Puts vCPU 0 at the guest's entry. */
export function enterGuest(m: RetrovisorMachine, e: BootEntry): void {
  const { s } = m.cpu;
  const put = (seg: number, d: EntrySegment) => s.setSeg(seg, d.selector, d.base, d.limit, d.attr);
  put(Seg.CS, e.cs);
  for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) put(seg, e.data);
  put(Seg.TR, e.tr);
  const { regs } = e;
  const values = [regs.eax, regs.ecx, regs.edx, regs.ebx, regs.esp, regs.ebp, regs.esi, regs.edi];
  values.forEach((v, r) => v !== undefined && s.setReg(r, v, 0));
  s.setNum(L.CR0, e.cr0 >>> 0);
  s.setNum(L.CR3, e.cr3);
  s.setNum(L.CR4, e.cr4);
  s.setNum(L.EFER, e.efer);
  s.setNum(L.GDTR, e.gdtr.base);
  s.u32[(L.GDTR + 8) >> 2] = e.gdtr.limit;
  s.setNum(L.IDTR, e.idtr.base);
  s.u32[(L.IDTR + 8) >> 2] = e.idtr.limit;
  s.rip = e.rip;
  m.cpu.updateMode();
  m.vcpus.all[0].online = true;
  m.vcpus.all[0].waitForSipi = false;
  m.vcpus.park();
}
