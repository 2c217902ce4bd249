/**
 * The machine as its devices and Xen see it.
 *
 * @module
 */
import type { MmioHandler, PortHandler, Snapshottable } from "./bus.ts";
import type { Clock } from "./clock.ts";
import type { MachineConfig } from "./config.ts";
import { Access } from "./mmu/mmu.ts";
import { Attr, Efer, Seg } from "./cpu/state.ts";
import { cr4Valid, eferValid } from "./cpu/system/crs.ts";
import type { Observer } from "./exits.ts";
import type { InputKind } from "./inputs.ts";
import * as L from "./layout.ts";
import type { RetrovisorMachine } from "./machine.ts";
import type { PhysMem } from "./mmu/physmem.ts";
import type { Outcome } from "./outcome.ts";
import { resetVcpu } from "./start.ts";
import type { SegmentContext, VcpuContext, XenHost, XenVcpu } from "./xen/host.ts";

const PAGE = 4096;

/** A vCPU's registers and address space, for hypercalls. Register access needs the vCPU to be the active one. */
class VcpuView implements XenVcpu {
  constructor(readonly m: RetrovisorMachine, readonly id: number) {}

  reg(n: number): number {
    return this.m.cpu.s.lo(n);
  }
  regHi(n: number): number {
    return this.m.cpu.s.hi(n);
  }
  setReg(n: number, lo: number, hi: number): void {
    this.m.cpu.s.setReg(n, lo, hi);
  }
  get cpl(): number {
    return this.m.cpu.s.v86 ? 3 : this.m.cpu.s.cpl;
  }
  get is64(): boolean {
    return this.m.cpu.s.code64;
  }

  copyFromGuest(addr: number, len: number): Uint8Array | null {
    const out = new Uint8Array(len);
    const ok = this.#pages(
      addr,
      len,
      false,
      (host, at, n) => out.set(this.m.mem.u8.subarray(host, host + n), at),
    );
    return ok ? out : null;
  }

  copyToGuest(addr: number, bytes: Uint8Array): boolean {
    return this.#pages(addr, bytes.length, true, (host, at, n, gpa) => {
      this.m.mem.touch(Math.floor(gpa / PAGE), gpa % PAGE, n);
      this.m.mem.u8.set(bytes.subarray(at, at + n), host);
    });
  }

  /** Visits a linear range page by page with host offsets, supervisor rights; false at the first page that has none. */
  #pages(
    addr: number,
    len: number,
    write: boolean,
    visit: (host: number, at: number, n: number, gpa: number) => void,
  ): boolean {
    const { mmu } = this.m.cpu, { mem } = this.m;
    for (let done = 0; done < len;) {
      const la = this.is64 ? addr + done : (addr + done) % 0x1_0000_0000;
      const offset = ((la % PAGE) + PAGE) % PAGE, n = Math.min(len - done, PAGE - offset);
      const gpa = mmu.tryAccess(la, write ? Access.WRITE : Access.READ), host = gpa < 0 ? -1 : mem.host(gpa);
      if (host < 0 || (write && mem.rom[Math.floor(gpa / PAGE)])) return false;
      visit(host, done, n, gpa);
      done += n;
    }
    return true;
  }
}

/** Implements what devices and Xen need on a machine. */
export class MachineHost implements XenHost {
  readonly vcpus: readonly XenVcpu[];
  #wallclock: number | null = null;

  constructor(readonly m: RetrovisorMachine) {
    this.vcpus = m.vcpus.all.map((v) => new VcpuView(m, v.id));
  }

  get clock(): Clock {
    return this.m.clock;
  }
  get mem(): PhysMem {
    return this.m.mem;
  }
  get config(): MachineConfig {
    return this.m.config;
  }
  get observer(): Observer | null {
    return this.m.door.observer;
  }
  get exitSeq(): number {
    return this.m.door.count;
  }
  get vendor(): "amd" | "intel" {
    return this.m.policy.amd ? "amd" : "intel";
  }

  ports(first: number, last: number, handler: PortHandler): void {
    this.m.io.claimPorts(first, last, handler);
  }
  mmio(gpa: number, bytes: number, handler: MmioHandler): void {
    this.m.io.claimMmio(gpa, bytes, handler);
  }
  irq(gsi: number, level: boolean): void {
    this.m.platform.setIrqLine(gsi, level);
  }
  console(device: string, bytes: Uint8Array): void {
    const { icount } = this.m, at = this.m.timeNs;
    const copy = bytes.slice();
    this.m.tell((o) => o.onConsole(icount, at, device, copy));
  }
  snapshot(s: Snapshottable): void {
    this.m.snapshots.push(s);
  }
  ask(kind: InputKind, target: string, bytes: number): Uint8Array {
    const answer = this.m.inputs.ask(kind, target, bytes, this.m.icount, this.m.timeNs);
    this.m.noteInput(kind, target, answer);
    return answer;
  }
  stop(outcome: Outcome): void {
    this.m.stop({ ...outcome, message: `${outcome.message} (${this.m.location()}).` });
  }
  interruptsChanged(): void {
    this.m.vcpus.interruptsChanged();
  }

  tscNow(): number {
    return this.m.tscNow();
  }
  wallclock(): number {
    if (this.#wallclock === null) {
      const v = new DataView(this.ask("rtc", "rtc", 8).buffer);
      this.#wallclock = v.getUint32(0, true) + v.getUint32(4, true) * 0x1_0000_0000;
    }
    return this.#wallclock;
  }
  memoryMap(): { addr: number; size: number; type: number }[] {
    return this.m.boot.memoryMap;
  }

  lapicInject(vcpu: number, vector: number): boolean {
    const accepted = this.m.platform.lapic(vcpu).accept(vector, false, "evtchn");
    if (accepted) this.wake(vcpu);
    return accepted;
  }
  nmi(vcpu: number): void {
    this.m.vcpus.all[vcpu].nmiPending = true;
    if (vcpu === this.m.vcpus.active) this.m.cpu.nmiPending = true;
    this.wake(vcpu);
    this.m.cpu.halted &&= vcpu !== this.m.vcpus.active;
    this.m.vcpus.all[vcpu].halted = false;
  }
  yield(vcpu: number): void {
    if (vcpu !== this.m.vcpus.active) return;
    this.m.scheduler.giveUp();
    if (this.m.vcpus.all.length > 1) this.m.cpu.requestReturn();
  }
  block(vcpu: number): boolean {
    const { m } = this;
    const pending = m.platform.interruptPending(vcpu) || (m.xen?.pendingVector(vcpu) ?? -1) >= 0;
    if (pending && m.cpu.interruptible) return false;
    m.vcpus.all[vcpu].blocked = true;
    m.door.debugArmed = true;
    m.scheduler.giveUp();
    m.cpu.requestReturn();
    return true;
  }
  wake(vcpu: number): void {
    const v = this.m.vcpus.all[vcpu];
    if (!v.blocked) return;
    v.blocked = false;
    this.m.xen?.unblocked(vcpu);
  }

  initialise(vcpu: number, c: VcpuContext): boolean {
    const { m } = this, { vcpus, cpu } = m;
    if (c.cr4[1] !== 0 || c.efer[1] !== 0) return false;
    if (c.cr4[0] & ~cr4Valid(m.policy) || c.efer[0] & ~(eferValid(m.policy) | Efer.LMA)) return false;
    resetVcpu(m, vcpu);
    const active = vcpus.active;
    vcpus.park();
    vcpus.unpark(vcpu);
    const { s } = cpu;
    c.gpr.forEach(([lo, hi], r) => s.setReg(r, lo, hi));
    s.setWords(L.RIP, c.rip[0], c.rip[1]);
    s.flags = c.rflags[0] | 2;
    s.setWords(L.CR0, c.cr0[0], 0);
    s.setWords(L.CR3, c.cr3[0], c.cr3[1]);
    s.setWords(L.CR4, c.cr4[0], 0);
    s.setWords(L.EFER, c.efer[0], 0);
    const put = (seg: number, d: SegmentContext) =>
      s.setSeg(seg, 0, d.base, d.limit, d.attributes | (d.attributes & Attr.P ? 0 : Attr.UNUSABLE));
    put(Seg.CS, c.cs);
    put(Seg.DS, c.ds);
    put(Seg.ES, c.es);
    put(Seg.SS, c.ss);
    put(Seg.TR, c.tr);
    cpu.updateMode();
    vcpus.all[vcpu].online = false;
    vcpus.all[vcpu].waitForSipi = false;
    vcpus.park();
    vcpus.unpark(active);
    cpu.mmu.flushAll();
    return true;
  }
  up(vcpu: number): void {
    const v = this.m.vcpus.all[vcpu];
    v.online = true;
    v.waitForSipi = false;
    v.halted = v.blocked = false;
  }
  down(vcpu: number): void {
    this.m.vcpus.all[vcpu].online = false;
    if (vcpu === this.m.vcpus.active) {
      this.m.scheduler.giveUp();
      this.m.cpu.requestReturn();
    }
  }
  flushTlbs(): void {
    this.m.cpu.mmu.flushAll();
  }
}
