/**
 * The vCPUs of a machine: one is active (its state in the WebAssembly memory), the others are set aside.
 *
 * @module
 */
import { hex, unhex } from "./hex.ts";
import type { Json } from "./bus.ts";
import type { Cpu } from "./cpu/cpu.ts";
import { Fl } from "./cpu/state.ts";
import * as L from "./layout.ts";

/** What a vCPU is beyond its architectural state. */
export class Vcpu {
  /** Runs at all: started, not taken down. */
  online = false;
  /** Waits for a SIPI after INIT. */
  waitForSipi = false;
  /** HLT executed, nothing has woken it. */
  halted = false;
  /** Waits in SCHEDOP_block or SCHEDOP_poll. */
  blocked = false;
  nmiPending = false;
  nmiBlocked = false;
  /** An interrupt controller changed since this vCPU last looked. */
  interruptCheck = false;
  /** @see Cpu.interruptNoted */
  interruptNoted = false;
  /** An interrupt was pending while the guest could not take it. */
  windowWanted = false;
  /** Architectural state while another vCPU is active. */
  readonly state: Uint8Array = new Uint8Array(L.STATE_SIZE);

  constructor(readonly id: number) {}

  save(): Json {
    return {
      online: this.online,
      waitForSipi: this.waitForSipi,
      halted: this.halted,
      blocked: this.blocked,
      nmiPending: this.nmiPending,
      nmiBlocked: this.nmiBlocked,
      interruptCheck: this.interruptCheck,
      interruptNoted: this.interruptNoted,
      windowWanted: this.windowWanted,
      state: hex(this.state),
    };
  }

  load(j: { [key: string]: Json }): void {
    this.online = j.online === true;
    this.waitForSipi = j.waitForSipi === true;
    this.halted = j.halted === true;
    this.blocked = j.blocked === true;
    this.nmiPending = j.nmiPending === true;
    this.nmiBlocked = j.nmiBlocked === true;
    this.interruptCheck = j.interruptCheck === true;
    this.interruptNoted = j.interruptNoted === true;
    this.windowWanted = j.windowWanted === true;
    this.state.set(unhex(String(j.state), L.STATE_SIZE));
  }
}

/** Words of the state that depend on where generated code stopped, not on the guest: cleared before they are kept. */
const VOLATILE: readonly [number, number][] = [[L.LEAVE, L.TLB_BASE], [L.SLOW_ADDR, L.JC_BASE + 8], [
  L.LINK_SLOT,
  L.LINK_SLOT + 4,
], [L.SLOW_DATA, L.SLOW_DATA + 64]];

/** All vCPUs, and which one is active. */
export class VcpuSet {
  readonly all: readonly Vcpu[];
  active = 0;

  constructor(readonly cpu: Cpu, count: number) {
    this.all = Array.from({ length: count }, (_, i) => new Vcpu(i));
  }

  get current(): Vcpu {
    return this.all[this.active];
  }

  /** Copies the active vCPU's state out of the processor. */
  park(): void {
    const { cpu, current: v } = this;
    v.state.set(cpu.s.u8.subarray(0, L.STATE_SIZE));
    for (const [from, to] of VOLATILE) v.state.fill(0, from, to);
    v.halted = cpu.halted;
    v.nmiPending = cpu.nmiPending;
    v.nmiBlocked = cpu.nmiBlocked;
    v.interruptCheck = cpu.interruptCheck;
    v.interruptNoted = cpu.interruptNoted;
  }

  /** Copies a parked vCPU's state into the processor. */
  unpark(id: number): void {
    const { cpu } = this, v = this.all[id];
    this.active = id;
    cpu.s.u8.set(v.state, 0);
    cpu.halted = v.halted;
    cpu.nmiPending = v.nmiPending;
    cpu.nmiBlocked = v.nmiBlocked;
    cpu.interruptCheck = v.interruptCheck;
    cpu.interruptNoted = v.interruptNoted;
    cpu.pendingDb = 0;
    cpu.updateMode();
  }

  /** Makes another vCPU active. Translations are per processor: they go. */
  switchTo(id: number): void {
    if (id === this.active) return;
    this.park();
    this.unpark(id);
    this.cpu.mmu.flushAll();
  }

  /** An interrupt controller's output may have changed: every vCPU looks before its next instruction. */
  interruptsChanged(): void {
    for (const v of this.all) {
      v.interruptCheck = true;
      v.interruptNoted = false;
    }
    this.cpu.interruptCheck = true;
    this.cpu.interruptNoted = false;
  }

  /** True when a vCPU has something to do. A halted one does when it may be woken. */
  runnable(v: Vcpu): boolean {
    if (!v.online || v.waitForSipi || v.blocked) return false;
    if (v.id === this.active) {
      return !this.cpu.halted || (this.cpu.interruptCheck && this.canWake(v)) ||
        (this.cpu.nmiPending && !this.cpu.nmiBlocked);
    }
    return !v.halted || (v.interruptCheck && this.canWake(v)) || (v.nmiPending && !v.nmiBlocked);
  }

  /** True when an external interrupt could wake a vCPU: IF is set. */
  canWake(v: Vcpu): boolean {
    if (v.blocked) return true;
    const at = L.FLAGS >> 2;
    const flags = v.id === this.active
      ? this.cpu.s.u32[at]
      : new DataView(v.state.buffer).getUint32(L.FLAGS, true);
    return (flags & Fl.IF) !== 0;
  }

  save(): Json {
    this.park();
    return { active: this.active, vcpus: this.all.map((v) => v.save()) };
  }

  load(j: Json): void {
    const o = j as { active: number; vcpus: { [key: string]: Json }[] };
    this.all.forEach((v, i) => v.load(o.vcpus[i]));
    this.unpark(o.active);
  }
}
