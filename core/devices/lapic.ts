/**
 * Local APIC of one vCPU: xAPIC registers (MMIO) and x2APIC registers (MSRs) over one state.
 *
 * Source: Intel SDM volume 3, chapter 11. Version 0x14, six local vector table entries, no EOI-broadcast suppression.
 * Differences from a physical part: the register page cannot be moved, SMI and ExtINT messages do nothing.
 *
 * @module
 */
import type { DeviceHost, Json, Snapshottable } from "../bus.ts";
import type { ApicBus } from "./apic_bus.ts";
import {
  APIC_BASE_BSP,
  APIC_BASE_ENABLE,
  APIC_BASE_X2APIC,
  type ApicMessage,
  Delivery,
  ESR_ILLEGAL_REGISTER,
  ESR_RECEIVE_ILLEGAL,
  ESR_SEND_ILLEGAL,
  type InterruptSource,
  LAPIC_BASE,
  LVT_MASKED,
  MSR_APIC_BASE,
  MSR_TSC_DEADLINE,
  MSR_X2APIC_FIRST,
  MSR_X2APIC_LAST,
  MsrAccess,
  Reg,
} from "./lapic_defs.ts";
import { LapicTimer, type TscClock } from "./lapic_timer.ts";
import { Rate } from "./rate.ts";
import { highestVector, isReadOnly, isX2Readable, isX2Writable, LapicState } from "./lapic_state.ts";
import { StateReader } from "./state.ts";

/** Frequency of the timer's input clock unless configured: 1 GHz, so that one tick is one nanosecond. */
export const LAPIC_TIMER_HZ = 1_000_000_000;

/** Configuration of one local APIC. */
export interface LapicOptions {
  vcpu: number;
  /** APIC ID after reset; default: the vCPU number. */
  id?: number;
  /** Timer input clock in Hz; default `LAPIC_TIMER_HZ`. CPUID leaf 0x15/0x16 or Xen's leaves must agree with it. */
  timerHz?: number;
  /** x2APIC mode may be entered; default true. CPUID.1:ECX[21] must agree. */
  x2apic?: boolean;
  /** TSC-deadline mode; null: not offered. CPUID.1:ECX[24] must agree. */
  tsc?: TscClock | null;
  /** After reset LINT0 is ExtINT and LINT1 NMI, as firmware leaves them; default true for vCPU 0. */
  virtualWire?: boolean;
}

/** Writable bits of the local vector table entries, from LVT_TIMER on. */
const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff];

/** Local APIC of one vCPU. */
export class LocalApic implements Snapshottable {
  readonly name: string;
  readonly vcpu: number;
  /** Result of the last successful `msrRead`. */
  resultLo = 0;
  resultHi = 0;
  readonly timer: LapicTimer;

  readonly #host: DeviceHost;
  readonly #bus: ApicBus;
  readonly #resetId: number;
  readonly #x2apicOffered: boolean;
  readonly #deadlineOffered: boolean;
  readonly #virtualWire: boolean;
  readonly #s = new LapicState();
  /** Deliverable vector, or -1; kept current by `#update`. */
  #out = -1;

  constructor(host: DeviceHost, bus: ApicBus, options: LapicOptions) {
    this.#host = host;
    this.#bus = bus;
    this.vcpu = options.vcpu;
    this.name = `lapic${options.vcpu}`;
    this.#resetId = options.id ?? options.vcpu;
    this.#x2apicOffered = options.x2apic ?? true;
    this.#deadlineOffered = (options.tsc ?? null) !== null;
    this.#virtualWire = options.virtualWire ?? options.vcpu === 0;
    const rate = new Rate(options.timerHz ?? LAPIC_TIMER_HZ);
    this.timer = new LapicTimer(
      host.clock,
      rate,
      options.vcpu,
      options.tsc ?? null,
      () => this.#local(0, "lapic-timer"),
    );
    this.#s.base = (LAPIC_BASE | APIC_BASE_ENABLE | (options.vcpu === 0 ? APIC_BASE_BSP : 0)) >>> 0;
    this.reset(false);
    bus.lapics[options.vcpu] = this;
    host.snapshot(this);
  }

  /** Registers as after power-up (`init` false) or INIT, which keeps the ID and IA32_APIC_BASE. */
  reset(init: boolean): void {
    if (!init) this.#s.id = this.#resetId;
    this.#s.reset(this.#virtualWire);
    this.timer.reset();
    this.#update();
  }

  /** Who raised the pending or in-service interrupt of a vector. */
  source(vector: number): InterruptSource {
    return this.#s.sources[vector];
  }

  /** icount at which that interrupt was requested. */
  raisedIcount(vector: number): number {
    return this.#s.raisedIcount[vector];
  }

  /** IA32_APIC_BASE enables the local APIC. */
  get enabled(): boolean {
    return (this.#s.base & APIC_BASE_ENABLE) !== 0;
  }

  /** Enabled by IA32_APIC_BASE and by the spurious-interrupt vector register. */
  get softwareEnabled(): boolean {
    return this.enabled && (this.#s.svr & 0x100) !== 0;
  }

  /** In x2APIC mode. */
  get x2apic(): boolean {
    return (this.#s.base & APIC_BASE_X2APIC) !== 0;
  }

  /** APIC ID. */
  get id(): number {
    return this.#s.id;
  }

  /** The external (8259) interrupt line reaches this vCPU: LAPIC disabled, or LINT0 unmasked in ExtINT mode. */
  get extIntEnabled(): boolean {
    return !this.enabled || (this.#s.lvt[3] & (LVT_MASKED | 0x700)) === 0x700;
  }

  /** LINT0, where the 8259s' output arrives, is an unmasked NMI. */
  get lint0IsNmi(): boolean {
    return this.enabled && (this.#s.lvt[3] & (LVT_MASKED | 0x700)) === 0x400;
  }

  /** Task priority register, 8 bits. CR8 is its upper half: `tpr >> 4`, `tpr = cr8 << 4`. */
  get tpr(): number {
    return this.#s.tpr;
  }
  set tpr(value: number) {
    this.#s.tpr = value & 0xff;
    this.#update();
  }

  /** Processor priority register. */
  get ppr(): number {
    return this.#s.ppr;
  }

  #update(): void {
    let out = -1;
    if (this.enabled) {
      const irrv = highestVector(this.#s.irr);
      if (irrv >= 0 && irrv >> 4 > this.ppr >> 4) out = irrv;
    }
    if (out === this.#out) return;
    this.#out = out;
    this.#host.interruptsChanged();
  }

  /** Vector that may be delivered now, or -1. */
  pending(): number {
    return this.#out;
  }

  /** The processor takes the pending interrupt: the vector (the spurious one when none is pending). */
  ack(): number {
    const v = this.#out;
    if (v < 0) return this.#s.svr & 0xff;
    this.#s.irr[v >> 5] &= ~(1 << (v & 31));
    this.#s.isr[v >> 5] |= 1 << (v & 31);
    this.#update();
    return v;
  }

  /** Requests a vector regardless of the software-enable bit (hypervisor-injected interrupts). Edge unless `level`. */
  setIrr(vector: number, level = false, source: InterruptSource = "device"): void {
    const w = vector >> 5, bit = 1 << (vector & 31);
    if ((this.#s.irr[w] & bit) === 0) {
      this.#s.sources[vector] = source;
      this.#s.raisedIcount[vector] = this.#host.clock.icount;
    }
    this.#s.irr[w] |= bit;
    if (level) this.#s.tmr[w] |= bit;
    else this.#s.tmr[w] &= ~bit;
    this.#update();
  }

  /** A fixed interrupt message. @returns false when it was refused (disabled, or an illegal vector). */
  accept(vector: number, level: boolean, source: InterruptSource): boolean {
    if (!this.softwareEnabled) return false;
    if (vector < 16) {
      this.#error(ESR_RECEIVE_ILLEGAL);
      return false;
    }
    this.setIrr(vector, level, source);
    return true;
  }

  #error(bit: number): void {
    this.#s.errors |= bit;
    if (this.#s.lvt[5] & LVT_MASKED) return;
    if ((this.#s.lvt[5] & 0xff) >= 16) this.#local(5, "lapic-error");
    else this.#s.errors |= ESR_RECEIVE_ILLEGAL; // a bad error vector is noted, not raised again
  }

  /** Fires a local vector table entry (0 timer ... 5 error). */
  #local(entry: number, source: InterruptSource): void {
    const lvt = this.#s.lvt[entry];
    if ((lvt & LVT_MASKED) !== 0) return;
    const hasMode = entry !== 0 && entry !== 5;
    const mode = hasMode ? lvt >> 8 & 7 : Delivery.FIXED;
    if (mode === Delivery.FIXED) this.accept(lvt & 0xff, entry === 3 && (lvt & 0x8000) !== 0, source);
    else if (mode === Delivery.NMI) this.#bus.signals.nmi(this.vcpu);
  }

  /** Level of the LINT0 (0) or LINT1 (1) pin; rising edges fire the entry. ExtINT is the machine's `extIntEnabled`. */
  setLint(pin: number, level: boolean): void {
    const was = (this.#s.lint & 1 << pin) !== 0;
    this.#s.lint = level ? this.#s.lint | 1 << pin : this.#s.lint & ~(1 << pin);
    if (level && !was && this.enabled) this.#local(3 + pin, "lapic-lint");
  }

  /** End of interrupt. */
  eoi(): void {
    const v = highestVector(this.#s.isr);
    if (v < 0) return;
    const w = v >> 5, bit = 1 << (v & 31);
    this.#s.isr[w] &= ~bit;
    if ((this.#s.tmr[w] & bit) !== 0) this.#bus.eoi(v);
    this.#update();
  }

  /** True when the message's destination includes this local APIC. */
  matches(m: ApicMessage): boolean {
    if (!this.enabled) return false;
    const everybody = m.dest8 ? 0xff : 0xffff_ffff;
    if (m.dest === everybody) return true;
    if (!m.logical) return m.dest === this.#s.id;
    if (this.x2apic) {
      const ldr = this.#s.x2Ldr;
      return m.dest >>> 16 === ldr >>> 16 && (m.dest & ldr & 0xffff) !== 0;
    }
    const mine = this.#s.ldr >>> 24;
    if (this.#s.dfr >>> 28 === 0xf) return (mine & m.dest & 0xff) !== 0;
    return mine >> 4 === (m.dest >> 4 & 15) && (mine & m.dest & 15) !== 0;
  }

  /** xAPIC register read at a byte offset (multiple of 4) in the page; all ones when the page is not there. */
  mmioRead(offset: number): number {
    if (!this.enabled || this.x2apic) return 0xffff_ffff;
    if ((offset & 15) !== 0) return 0;
    return this.#read(offset >> 4);
  }

  /** xAPIC register write at a 16-byte-aligned offset. */
  mmioWrite(offset: number, value: number): void {
    if (!this.enabled || this.x2apic) return;
    const reg = offset >> 4;
    if (reg === Reg.ID) this.#s.id = value >>> 24;
    else if (reg === Reg.LDR) this.#s.ldr = value & 0xff00_0000;
    else if (reg === Reg.DFR) this.#s.dfr = (value | 0x0fff_ffff) >>> 0;
    else if (reg === Reg.ICR_HIGH) this.#s.icrHi = value & 0xff00_0000;
    else if (reg === Reg.ICR) this.#sendIpi(value, this.#s.icrHi);
    else this.#write(reg, value);
  }

  #read(reg: number): number {
    if (reg === Reg.TIMER_INITIAL) return this.timer.initial;
    if (reg === Reg.TIMER_CURRENT) return this.timer.current();
    const v = this.#s.read(reg, this.x2apic);
    if (v < 0) this.#error(ESR_ILLEGAL_REGISTER);
    return Math.max(v, 0);
  }

  #write(reg: number, value: number): void {
    if (reg >= Reg.LVT_TIMER && reg <= Reg.LVT_ERROR) return this.#writeLvt(reg - Reg.LVT_TIMER, value);
    switch (reg) {
      case Reg.TPR:
        this.tpr = value;
        break;
      case Reg.EOI:
        this.eoi();
        break;
      case Reg.SVR:
        this.#s.svr = value & 0x3ff;
        if ((value & 0x100) === 0) { for (let i = 0; i < 6; i++) this.#writeLvt(i, this.#s.lvt[i]); }
        // What was refused while it was off may be offered again (Xen's event upcall).
        this.#host.interruptsChanged();
        break;
      case Reg.ESR:
        this.#s.esr = this.#s.errors;
        this.#s.errors = 0;
        break;
      case Reg.TIMER_INITIAL:
        this.timer.setInitial(value);
        break;
      case Reg.TIMER_DIVIDE:
        this.#s.divide = value & 0xb;
        this.timer.setDivide(this.#s.divide);
        break;
      default: // read-only registers ignore writes, reserved ones are an error
        if (!isReadOnly(reg)) this.#error(ESR_ILLEGAL_REGISTER);
    }
  }

  #writeLvt(entry: number, value: number): void {
    const allowed = this.#deadlineOffered || entry !== 0 ? value : value & ~0x40000;
    const masked = (this.#s.svr & 0x100) === 0 ? LVT_MASKED : 0;
    this.#s.lvt[entry] = (allowed & LVT_WRITABLE[entry] | masked) >>> 0;
    if (entry === 0) this.timer.setLvt(this.#s.lvt[0] >> 17 & 3, (this.#s.lvt[0] & LVT_MASKED) !== 0);
    if (entry === 3) this.#host.interruptsChanged(); // the 8259's way in may have opened
  }

  #sendIpi(lo: number, hi: number): void {
    this.#s.icrLo = lo & 0x000c_cfff;
    if (!this.#bus.sendIpi(this, lo, hi)) this.#error(ESR_SEND_ILLEGAL);
  }

  /** RDMSR of IA32_APIC_BASE, IA32_TSC_DEADLINE or an x2APIC register; the value is in `resultLo`, `resultHi`. */
  msrRead(msr: number): MsrAccess {
    this.resultHi = 0;
    if (msr === MSR_APIC_BASE) this.resultLo = this.#s.base;
    else if (msr === MSR_TSC_DEADLINE && this.#deadlineOffered) {
      this.resultLo = this.timer.deadlineLo;
      this.resultHi = this.timer.deadlineHi;
    } else if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST && this.#x2apicOffered) {
      const reg = msr - MSR_X2APIC_FIRST;
      if (!this.x2apic || !isX2Readable(reg)) return MsrAccess.FAULT;
      this.resultLo = this.#read(reg);
      if (reg === Reg.ICR) this.resultHi = this.#s.icrHi >>> 0;
    } else return MsrAccess.NOT_MINE;
    return MsrAccess.DONE;
  }

  /** WRMSR of the same registers. */
  msrWrite(msr: number, lo: number, hi: number): MsrAccess {
    lo >>>= 0;
    if (msr === MSR_APIC_BASE) return this.#writeBase(lo, hi);
    if (msr === MSR_TSC_DEADLINE && this.#deadlineOffered) {
      this.timer.setDeadline(lo, hi);
      return MsrAccess.DONE;
    }
    if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !this.#x2apicOffered) return MsrAccess.NOT_MINE;
    const reg = msr - MSR_X2APIC_FIRST;
    if (!this.x2apic) return MsrAccess.FAULT;
    if (reg === Reg.ICR) {
      if ((lo & 0xfff3_3000) !== 0) return MsrAccess.FAULT;
      this.#s.icrHi = hi;
      this.#sendIpi(lo, hi);
      return MsrAccess.DONE;
    }
    if (hi !== 0 || !isX2Writable(reg)) return MsrAccess.FAULT;
    if ((reg === Reg.EOI || reg === Reg.ESR) && lo !== 0) return MsrAccess.FAULT;
    if ((reg === Reg.TPR || reg === Reg.SELF_IPI) && lo > 0xff) return MsrAccess.FAULT;
    if (reg === Reg.SELF_IPI) this.#sendIpi(lo | 0x40000, 0);
    else this.#write(reg, lo);
    return MsrAccess.DONE;
  }

  /** IA32_APIC_BASE: figure 11-27 (state transitions of the x2APIC); other transitions and other addresses are #GP. */
  #writeBase(lo: number, hi: number): MsrAccess {
    const enable = (lo & APIC_BASE_ENABLE) !== 0, x2 = (lo & APIC_BASE_X2APIC) !== 0;
    if (hi !== 0 || (lo & 0xfffff000) >>> 0 !== LAPIC_BASE || (lo & 0x2ff) !== 0) return MsrAccess.FAULT;
    if (x2 && (!enable || !this.#x2apicOffered)) return MsrAccess.FAULT;
    if (x2 && !this.enabled) return MsrAccess.FAULT;
    if (!x2 && enable && this.x2apic) return MsrAccess.FAULT;
    if (x2 && !this.x2apic) this.#s.id = this.#resetId;
    if (!enable && this.enabled) this.reset(false);
    this.#s.base = lo;
    this.#update();
    this.#host.interruptsChanged();
    return MsrAccess.DONE;
  }

  save(): Json {
    return { ...this.#s.save(), timer: this.timer.save() };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#s.load(r);
    this.timer.load(r.get("timer"));
    this.#update();
  }
}
