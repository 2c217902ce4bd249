/**
 * The machine's answers to its processor: ports, MMIO, CPUID, MSRs, hypercalls, interrupts. Every exit passes here.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { Cpu } from "./cpu/cpu.ts";
import type { CpuidPolicy } from "./cpu/cpuid.ts";
import { type CpuHooks, type CpuidResult, GuestFault, raise, Vec } from "./cpu/hooks.ts";
import { readMsr, writeMsr } from "./cpu/msr.ts";
import { Fl, Gpr } from "./cpu/state.ts";
import { MsrAccess } from "./devices/lapic_defs.ts";
import type { Platform } from "./devices/pc.ts";
import type { ExitDoor } from "./exit_door.ts";
import { Col, Reason } from "./exits.ts";
import type { IoSpace } from "./io.ts";
import * as L from "./layout.ts";
import type { Outcome } from "./outcome.ts";
import type { VcpuSet } from "./vcpus.ts";
import type { XenVcpu } from "./xen/host.ts";
import type { Xen } from "./xen/xen.ts";

/** EXITINFO1 of a nested page fault (APM volume 2, 15.25.6): user bit always set, write bit, and bit 32: final translation. */
const NPF_USER = 4, NPF_WRITE = 2, NPF_FINAL = 0x1_0000_0000;

/** The machine as the hooks need it. */
export interface HookedMachine {
  readonly cpu: Cpu;
  readonly clock: Clock;
  readonly door: ExitDoor;
  readonly io: IoSpace;
  readonly vcpus: VcpuSet;
  readonly platform: Platform;
  readonly xen: Xen | null;
  readonly policy: CpuidPolicy;
  tscNow(): number;
  /** CPUID of the running vCPU without Xen's leaves. */
  baseCpuid(leaf: number, sub: number): CpuidResult;
  stop(outcome: Outcome): void;
  countHypercall(): void;
  /** The running vCPU as Xen sees it. */
  xenVcpu(): XenVcpu;
  location(): string;
}

/** Implements the processor's hooks on a machine. */
export class MachineHooks implements CpuHooks {
  constructor(readonly m: HookedMachine) {}

  portIn(port: number, size: number): number {
    const { door } = this.m;
    const value = this.m.io.portRead(port, size);
    if (door.active) door.event.setNumber(Col.result, value);
    door.close();
    return value;
  }

  portOut(port: number, size: number, value: number): void {
    const { door } = this.m;
    if (door.active) door.event.setNumber(Col.arg0, value);
    this.m.io.portWrite(port, size, value);
    door.close();
  }

  mmioRead(gpa: number, size: number, linear: number): number {
    const { door } = this.m;
    door.open(Reason.NPF, NPF_FINAL + NPF_USER, gpa);
    const value = this.m.io.mmioRead(gpa, size);
    if (door.active) this.#mmio(gpa, size, linear).setNumber(Col.result, value);
    door.close();
    return value;
  }

  mmioWrite(gpa: number, size: number, value: number, linear: number): void {
    const { door } = this.m;
    door.open(Reason.NPF, NPF_FINAL + NPF_USER + NPF_WRITE, gpa);
    if (door.active) this.#mmio(gpa, size, linear).setNumber(Col.arg0, value);
    this.m.io.mmioWrite(gpa, size, value);
    door.close();
  }

  #mmio(gpa: number, size: number, linear: number) {
    const e = this.m.door.event;
    e.setNumber(Col.gpa, gpa);
    e.setNumber(Col.gla, linear);
    e.setNumber(Col.arg1, size);
    return e;
  }

  cpuid(leaf: number, subleaf: number): CpuidResult {
    const { door, xen } = this.m;
    door.open(Reason.CPUID);
    const r = xen?.cpuid(leaf, subleaf, this.m.vcpus.active) ?? this.m.baseCpuid(leaf, subleaf);
    if (door.active) {
      const e = door.event;
      e.set(Col.arg0, leaf, 0);
      e.set(Col.arg1, subleaf, 0);
      e.set(Col.arg2, r.ecx, r.edx);
      e.set(Col.result, r.eax, r.ebx);
    }
    door.close();
    return r;
  }

  msrRead(msr: number): boolean {
    const { door, cpu } = this.m;
    if (this.m.door.intercepts.hasMsr(msr)) door.open(Reason.MSR, 0);
    if (door.active) door.event.set(Col.arg0, msr, 0);
    try {
      this.#readAny(msr);
    } catch (e) {
      this.#injected(e);
    }
    if (door.active) door.event.set(Col.result, cpu.msrLo, cpu.msrHi);
    door.close();
    return true;
  }

  #readAny(msr: number): void {
    const { cpu } = this.m, apic = this.m.platform.lapic(this.m.vcpus.active);
    const a = apic.msrRead(msr);
    if (a === MsrAccess.FAULT) raise(Vec.GP, 0);
    if (a === MsrAccess.DONE) {
      cpu.msrLo = apic.resultLo >>> 0;
      cpu.msrHi = apic.resultHi >>> 0;
    } else if (this.m.xen !== null && msr === this.m.xen.hypercallMsr) {
      cpu.msrLo = cpu.msrHi = 0; // written to set up the hypercall page; Xen reads it as zero
    } else readMsr(cpu, msr);
  }

  msrWrite(msr: number, lo: number, hi: number): boolean {
    const { door } = this.m;
    if (this.m.door.intercepts.hasMsr(msr)) door.open(Reason.MSR, 1);
    if (door.active) {
      door.event.set(Col.arg0, msr, 0);
      door.event.set(Col.arg1, lo, hi);
    }
    try {
      this.#writeAny(msr, lo, hi);
    } catch (e) {
      this.#injected(e);
    }
    door.close();
    return true;
  }

  #writeAny(msr: number, lo: number, hi: number): void {
    const { cpu, xen } = this.m;
    const a = this.m.platform.lapic(this.m.vcpus.active).msrWrite(msr, lo, hi);
    if (a === MsrAccess.FAULT) raise(Vec.GP, 0);
    if (a === MsrAccess.DONE) return;
    if (xen !== null && msr === xen.hypercallMsr) {
      if (!xen.writeHypercallMsr(lo, hi, cpu.s.code64)) raise(Vec.GP, 0);
    } else writeMsr(cpu, msr, lo, hi);
  }

  /** Notes a fault that the exit injects, hands the exit over, and lets the fault go on. */
  #injected(e: unknown): never {
    const { door } = this.m;
    if (e instanceof GuestFault && door.active) {
      door.event.injectedVector = e.vector;
      door.event.errorCode = e.error;
    }
    door.close();
    throw e;
  }

  vmmcall(vmcall: boolean): boolean {
    const { door, xen, cpu, policy } = this.m;
    // The other vendor's instruction is undefined on this processor; hypervisors that do not care pass both.
    door.open(Reason.VMMCALL);
    if (xen === null || vmcall === policy.amd) {
      if (door.active) door.event.injectedVector = Vec.UD;
      door.close();
      return false;
    }
    const { s } = cpu, long = s.code64;
    if (door.active) {
      const e = door.event, [a, b] = long ? [Gpr.DI, Gpr.SI] : [Gpr.BX, Gpr.CX];
      e.set(Col.arg0, s.lo(Gpr.AX), 0);
      e.set(Col.arg1, s.lo(a), long ? s.hi(a) : 0);
      e.set(Col.arg2, s.lo(b), long ? s.hi(b) : 0);
    }
    this.m.countHypercall();
    xen.hypercall(this.m.xenVcpu());
    if (door.active) door.event.set(Col.result, s.lo(Gpr.AX), s.hi(Gpr.AX));
    door.close();
    return true;
  }

  hlt(): void {
    this.m.door.debugArmed = true;
    this.m.door.pass(Reason.HLT);
    if (!interruptsOn(this.m.cpu)) this.m.xen?.haltedForGood(this.m.vcpus.active);
  }

  tsc(): number {
    return this.m.tscNow();
  }

  intercept(reason: number, info1: number, info2: number): void {
    const { door, cpu } = this.m;
    if (!door.open(reason, info1, info2)) return;
    // Ports close the exit themselves, once the value is known.
    if (reason === Reason.IOIO) {
      if (door.active) door.event.setNumber(Col.arg1, cpu.s.lo(Gpr.CX));
      return;
    }
    const write = (reason & ~0xf) === Reason.CR0_WRITE || (reason & ~0xf) === Reason.DR0_WRITE;
    if (door.active && write) door.event.set(Col.arg0, cpu.s.lo(info1), cpu.s.hi(info1));
    if (door.active && reason === Reason.XSETBV) {
      door.event.set(Col.arg0, cpu.s.lo(Gpr.CX), 0);
      door.event.set(Col.arg1, cpu.s.lo(Gpr.AX), cpu.s.lo(Gpr.DX));
    }
    door.close();
  }

  exception(vector: number, error: number): void {
    const { door, cpu } = this.m, reason = Reason.EXCEPTION_0 + vector;
    if (!door.open(reason, error >= 0 ? error : 0, vector === Vec.PF ? cpu.s.num(L.FAULT_ADDR) : -1)) return;
    if (door.active) {
      const e = door.event;
      if (vector === Vec.PF) e.set(Col.gla, cpu.s.word(L.FAULT_ADDR), cpu.s.word(L.FAULT_ADDR + 4));
      e.injectedVector = vector;
      e.errorCode = error;
    }
    door.close();
  }

  interruptBlocked(): void {
    const { vcpus, platform, xen } = this.m, v = vcpus.active;
    if ((xen?.pendingVector(v) ?? -1) >= 0 || platform.interruptPending(v)) vcpus.current.windowWanted = true;
  }

  interruptAck(): number {
    const { vcpus, platform, xen, door, cpu, clock } = this.m, v = vcpus.active;
    let vector = xen === null ? -1 : xen.pendingVector(v);
    let source = "evtchn", raised = clock.icount, port = -1;
    if (vector < 0) {
      const a = platform.interruptAck(v);
      vector = a.vector;
      source = a.source;
      raised = a.raisedIcount;
    }
    if (vector < 0) return -1;
    if (source === "evtchn" && xen !== null) ({ port, icount: raised } = xen.raised(v));
    cpu.currentRip = cpu.s.rip;
    if (vcpus.current.windowWanted) {
      vcpus.current.windowWanted = false;
      door.pass(Reason.VINTR);
    }
    door.observer?.onInterrupt({
      icount: clock.icount,
      timeNs: clock.now(),
      vcpu: v,
      vector,
      source,
      port,
      raisedIcount: raised,
      ripLo: cpu.s.word(L.RIP),
      ripHi: cpu.s.word(L.RIP + 4),
    });
    return vector;
  }

  readTpr(): number {
    return this.m.platform.lapic(this.m.vcpus.active).tpr >> 4;
  }
  writeTpr(value: number): void {
    this.m.platform.lapic(this.m.vcpus.active).tpr = (value & 15) << 4;
    this.m.vcpus.interruptsChanged();
  }

  unimplemented(what: string): void {
    this.m.door.pass(Reason.UNIMPLEMENTED);
    this.m.stop({
      kind: "unimplemented",
      message: `The guest reached ${what}, which is not implemented (${this.m.location()}).`,
    });
  }
}

/** True when IF is set in the running vCPU. */
export const interruptsOn = (cpu: Cpu): boolean => (cpu.s.u32[L.FLAGS >> 2] & Fl.IF) !== 0;
