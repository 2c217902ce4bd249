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
import { StateReader, wordsToHex } from "./state.ts";

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

function highest(words: Uint32Array): number {
  for (let i = 7; i >= 0; i--) if (words[i] !== 0) return i * 32 + 31 - Math.clz32(words[i]);
  return -1;
}

/** Local APIC of one vCPU. */
export class LocalApic implements Snapshottable {
  readonly name: string;
  readonly vcpu: number;
  /** Result of the last successful `msrRead`. */
  resultLo = 0;
  resultHi = 0;
  /** Who raised the pending or in-service interrupt of each vector, and at which icount. */
  readonly sources: InterruptSource[] = new Array(256).fill("device");
  readonly raisedIcount = new Float64Array(256);
  readonly timer: LapicTimer;

  readonly #host: DeviceHost;
  readonly #bus: ApicBus;
  readonly #resetId: number;
  readonly #x2apicOffered: boolean;
  readonly #deadlineOffered: boolean;
  readonly #virtualWire: boolean;
  readonly #irr = new Uint32Array(8);
  readonly #isr = new Uint32Array(8);
  readonly #tmr = new Uint32Array(8);
  readonly #lvt = new Uint32Array(6);
  /** Low word of IA32_APIC_BASE. */
  #base = 0;
  #id = 0;
  #tpr = 0;
  #ldr = 0;
  #dfr = 0xffff_ffff;
  #svr = 0xff;
  #icrLo = 0;
  #icrHi = 0;
  #divide = 0;
  #esr = 0;
  #errors = 0;
  /** Levels of the LINT0 and LINT1 pins. */
  #lint = 0;
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
    this.#base = (LAPIC_BASE | APIC_BASE_ENABLE | (options.vcpu === 0 ? APIC_BASE_BSP : 0)) >>> 0;
    this.reset(false);
    bus.lapics[options.vcpu] = this;
    host.snapshot(this);
  }

  /** Registers as after power-up (`init` false) or INIT, which keeps the ID and IA32_APIC_BASE. */
  reset(init: boolean): void {
    if (!init) this.#id = this.#resetId;
    this.#irr.fill(0);
    this.#isr.fill(0);
    this.#tmr.fill(0);
    this.#lvt.fill(LVT_MASKED);
    if (this.#virtualWire) {
      this.#lvt[3] = Delivery.EXTINT << 8;
      this.#lvt[4] = Delivery.NMI << 8;
    }
    this.#tpr =
      this.#ldr =
      this.#icrLo =
      this.#icrHi =
      this.#divide =
      this.#esr =
      this.#errors =
        0;
    this.#dfr = 0xffff_ffff;
    this.#svr = 0xff;
    this.timer.reset();
    this.#update();
  }

  /** IA32_APIC_BASE enables the local APIC. */
  get enabled(): boolean {
    return (this.#base & APIC_BASE_ENABLE) !== 0;
  }

  /** Enabled by IA32_APIC_BASE and by the spurious-interrupt vector register. */
  get softwareEnabled(): boolean {
    return this.enabled && (this.#svr & 0x100) !== 0;
  }

  /** In x2APIC mode. */
  get x2apic(): boolean {
    return (this.#base & APIC_BASE_X2APIC) !== 0;
  }

  /** APIC ID. */
  get id(): number {
    return this.#id;
  }

  /** The external (8259) interrupt line reaches this vCPU: LAPIC disabled, or LINT0 unmasked in ExtINT mode. */
  get extIntEnabled(): boolean {
    return !this.enabled || (this.#lvt[3] & (LVT_MASKED | 0x700)) === 0x700;
  }

  /** Task priority register, 8 bits. CR8 is its upper half: `tpr >> 4`, `tpr = cr8 << 4`. */
  get tpr(): number {
    return this.#tpr;
  }
  set tpr(value: number) {
    this.#tpr = value & 0xff;
    this.#update();
  }

  /** Processor priority register. */
  get ppr(): number {
    const isrv = Math.max(0, highest(this.#isr));
    return this.#tpr >> 4 >= isrv >> 4 ? this.#tpr : isrv & 0xf0;
  }

  #update(): void {
    let out = -1;
    if (this.enabled) {
      const irrv = highest(this.#irr);
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
    if (v < 0) return this.#svr & 0xff;
    this.#irr[v >> 5] &= ~(1 << (v & 31));
    this.#isr[v >> 5] |= 1 << (v & 31);
    this.#update();
    return v;
  }

  /** Requests a vector regardless of the software-enable bit (hypervisor-injected interrupts). Edge unless `level`. */
  setIrr(vector: number, level = false, source: InterruptSource = "device"): void {
    const w = vector >> 5, bit = 1 << (vector & 31);
    if ((this.#irr[w] & bit) === 0) {
      this.sources[vector] = source;
      this.raisedIcount[vector] = this.#host.clock.icount;
    }
    this.#irr[w] |= bit;
    if (level) this.#tmr[w] |= bit;
    else this.#tmr[w] &= ~bit;
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
    this.#errors |= bit;
    // A bad error vector must not raise the next error.
    if ((this.#lvt[5] & 0xff) >= 16) this.#local(5, "lapic-error");
  }

  /** Fires a local vector table entry (0 timer ... 5 error). */
  #local(entry: number, source: InterruptSource): void {
    const lvt = this.#lvt[entry];
    if ((lvt & LVT_MASKED) !== 0) return;
    const hasMode = entry !== 0 && entry !== 5;
    const mode = hasMode ? lvt >> 8 & 7 : Delivery.FIXED;
    if (mode === Delivery.FIXED) this.accept(lvt & 0xff, entry === 3 && (lvt & 0x8000) !== 0, source);
    else if (mode === Delivery.NMI) this.#bus.signals.nmi(this.vcpu);
  }

  /** Level of the LINT0 (0) or LINT1 (1) pin; rising edges fire the entry. ExtINT is the machine's `extIntEnabled`. */
  setLint(pin: number, level: boolean): void {
    const was = (this.#lint & 1 << pin) !== 0;
    this.#lint = level ? this.#lint | 1 << pin : this.#lint & ~(1 << pin);
    if (level && !was && this.enabled) this.#local(3 + pin, "lapic-lint");
  }

  /** End of interrupt. */
  eoi(): void {
    const v = highest(this.#isr);
    if (v < 0) return;
    const w = v >> 5, bit = 1 << (v & 31);
    this.#isr[w] &= ~bit;
    if ((this.#tmr[w] & bit) !== 0) this.#bus.eoi(v);
    this.#update();
  }

  /** True when the message's destination includes this local APIC. */
  matches(m: ApicMessage): boolean {
    if (!this.enabled) return false;
    const everybody = m.dest8 ? 0xff : 0xffff_ffff;
    if (m.dest === everybody) return true;
    if (!m.logical) return m.dest === this.#id;
    if (this.x2apic) {
      const ldr = this.#x2Ldr();
      return m.dest >>> 16 === ldr >>> 16 && (m.dest & ldr & 0xffff) !== 0;
    }
    const mine = this.#ldr >>> 24;
    if (this.#dfr >>> 28 === 0xf) return (mine & m.dest & 0xff) !== 0;
    return mine >> 4 === (m.dest >> 4 & 15) && (mine & m.dest & 15) !== 0;
  }

  #x2Ldr(): number {
    return (this.#id >>> 4 << 16 | 1 << (this.#id & 15)) >>> 0;
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
    if (reg === Reg.ID) this.#id = value >>> 24;
    else if (reg === Reg.LDR) this.#ldr = value & 0xff00_0000;
    else if (reg === Reg.DFR) this.#dfr = (value | 0x0fff_ffff) >>> 0;
    else if (reg === Reg.ICR_HIGH) this.#icrHi = value & 0xff00_0000;
    else if (reg === Reg.ICR) this.#sendIpi(value, this.#icrHi);
    else this.#write(reg, value);
  }

  #read(reg: number): number {
    if (reg >= Reg.LVT_TIMER && reg <= Reg.LVT_ERROR) return this.#lvt[reg - Reg.LVT_TIMER];
    if (reg >= Reg.ISR && reg < Reg.ESR) {
      const set = reg < Reg.TMR ? this.#isr : reg < Reg.IRR ? this.#tmr : this.#irr;
      return set[reg & 7];
    }
    switch (reg) {
      case Reg.ID:
        return this.x2apic ? this.#id : this.#id << 24 >>> 0;
      case Reg.VERSION:
        return 0x0005_0014;
      case Reg.TPR:
        return this.#tpr;
      case Reg.PPR:
      case Reg.APR:
        return this.ppr;
      case Reg.LDR:
        return this.x2apic ? this.#x2Ldr() : this.#ldr >>> 0;
      case Reg.DFR:
        return this.#dfr;
      case Reg.SVR:
        return this.#svr;
      case Reg.ESR:
        return this.#esr;
      case Reg.ICR:
        return this.#icrLo;
      case Reg.ICR_HIGH:
        return this.#icrHi >>> 0;
      case Reg.TIMER_INITIAL:
        return this.timer.initial;
      case Reg.TIMER_CURRENT:
        return this.timer.current();
      case Reg.TIMER_DIVIDE:
        return this.#divide;
      case Reg.EOI:
      case Reg.RRD:
        return 0;
      default:
        this.#error(ESR_ILLEGAL_REGISTER);
        return 0;
    }
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
        this.#svr = value & 0x3ff;
        if ((value & 0x100) === 0) { for (let i = 0; i < 6; i++) this.#writeLvt(i, this.#lvt[i]); }
        break;
      case Reg.ESR:
        this.#esr = this.#errors;
        this.#errors = 0;
        break;
      case Reg.TIMER_INITIAL:
        this.timer.setInitial(value);
        break;
      case Reg.TIMER_DIVIDE:
        this.#divide = value & 0xb;
        this.timer.setDivide(this.#divide);
        break;
      default: // read-only registers ignore writes, reserved ones are an error
        if (!isReadOnly(reg)) this.#error(ESR_ILLEGAL_REGISTER);
    }
  }

  #writeLvt(entry: number, value: number): void {
    const allowed = this.#deadlineOffered || entry !== 0 ? value : value & ~0x40000;
    const masked = (this.#svr & 0x100) === 0 ? LVT_MASKED : 0;
    this.#lvt[entry] = (allowed & LVT_WRITABLE[entry] | masked) >>> 0;
    if (entry === 0) this.timer.setLvt(this.#lvt[0] >> 17 & 3, (this.#lvt[0] & LVT_MASKED) !== 0);
    if (entry === 3) this.#host.interruptsChanged(); // the 8259's way in may have opened
  }

  #sendIpi(lo: number, hi: number): void {
    this.#icrLo = lo & 0x000c_cfff;
    const mode = lo >> 8 & 7, vector = lo & 0xff, shorthand = lo >> 18 & 3;
    if ((mode === Delivery.FIXED || mode === Delivery.LOWEST) && vector < 16) {
      return this.#error(ESR_SEND_ILLEGAL);
    }
    if (mode === Delivery.INIT && (lo & 0xc000) === 0x8000) return; // INIT level de-assert: nothing since the P6
    const m: ApicMessage = {
      mode,
      vector,
      level: false,
      logical: (lo & 0x800) !== 0,
      dest: this.x2apic ? hi >>> 0 : hi >>> 24,
      dest8: !this.x2apic,
      source: "ipi",
    };
    if (shorthand === 0) this.#bus.deliver(m);
    else if (shorthand === 1) this.#bus.signal(this, m);
    else {
      for (const a of this.#bus.lapics) {
        if (a.enabled && (shorthand === 2 || a !== this)) this.#bus.signal(a, m);
      }
    }
  }

  /** RDMSR of IA32_APIC_BASE, IA32_TSC_DEADLINE or an x2APIC register; the value is in `resultLo`, `resultHi`. */
  msrRead(msr: number): MsrAccess {
    this.resultHi = 0;
    if (msr === MSR_APIC_BASE) this.resultLo = this.#base;
    else if (msr === MSR_TSC_DEADLINE && this.#deadlineOffered) {
      this.resultLo = this.timer.deadlineLo;
      this.resultHi = this.timer.deadlineHi;
    } else if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST && this.#x2apicOffered) {
      const reg = msr - MSR_X2APIC_FIRST;
      if (!this.x2apic || !isX2Readable(reg)) return MsrAccess.FAULT;
      this.resultLo = this.#read(reg);
      if (reg === Reg.ICR) this.resultHi = this.#icrHi >>> 0;
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
      this.#icrHi = hi;
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
    if (x2 && !this.x2apic) this.#id = this.#resetId;
    if (!enable && this.enabled) this.reset(false);
    this.#base = lo;
    this.#update();
    this.#host.interruptsChanged();
    return MsrAccess.DONE;
  }

  save(): Json {
    return {
      irr: wordsToHex(this.#irr),
      isr: wordsToHex(this.#isr),
      tmr: wordsToHex(this.#tmr),
      lvt: wordsToHex(this.#lvt),
      regs: [
        this.#base,
        this.#id,
        this.#tpr,
        this.#ldr >>> 0,
        this.#dfr,
        this.#svr,
        this.#icrLo,
        this.#icrHi >>> 0,
        this.#divide,
        this.#esr,
        this.#errors,
        this.#lint,
      ],
      timer: this.timer.save(),
      pending: this.#savePending(),
    };
  }

  /** Source and icount of each requested or in-service vector. */
  #savePending(): Json {
    const out: Json[] = [];
    for (let v = 0; v < 256; v++) {
      if (((this.#irr[v >> 5] | this.#isr[v >> 5]) >>> (v & 31) & 1) !== 0) {
        out.push([v, this.sources[v], this.raisedIcount[v]]);
      }
    }
    return out;
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    r.words("irr", this.#irr);
    r.words("isr", this.#isr);
    r.words("tmr", this.#tmr);
    r.words("lvt", this.#lvt);
    const regs = new Uint32Array(r.list("regs", 12).map((x) => Number(x)));
    [this.#base, this.#id, this.#tpr, this.#ldr, this.#dfr, this.#svr] = regs;
    [this.#icrLo, this.#icrHi, this.#divide, this.#esr, this.#errors, this.#lint] = regs.subarray(6);
    this.timer.load(r.get("timer"));
    const pending = r.get("pending");
    for (const p of Array.isArray(pending) ? pending : []) {
      if (!Array.isArray(p) || typeof p[0] !== "number" || !(p[0] in this.raisedIcount)) continue;
      this.sources[p[0]] = String(p[1]) as InterruptSource;
      this.raisedIcount[p[0]] = Number(p[2]);
    }
    this.#update();
  }
}

function isReadOnly(reg: number): boolean {
  return reg === Reg.ID || reg === Reg.VERSION || reg === Reg.PPR || reg === Reg.APR || reg === Reg.RRD ||
    reg === Reg.TIMER_CURRENT || reg === Reg.LDR || (reg >= Reg.ISR && reg < Reg.ESR);
}

/** x2APIC registers that RDMSR knows (SDM table 11-6). */
function isX2Readable(reg: number): boolean {
  return isX2Known(reg) && reg !== Reg.EOI && reg !== Reg.SELF_IPI;
}

/** x2APIC registers that WRMSR knows. */
function isX2Writable(reg: number): boolean {
  return isX2Known(reg) && !isReadOnly(reg);
}

function isX2Known(reg: number): boolean {
  if (reg >= Reg.ISR && reg <= Reg.ICR) return reg <= Reg.ESR || reg === Reg.ICR;
  if (reg >= Reg.LVT_TIMER && reg <= Reg.TIMER_CURRENT) return true;
  return reg === Reg.ID || reg === Reg.VERSION || reg === Reg.TPR || reg === Reg.PPR || reg === Reg.EOI ||
    reg === Reg.LDR || reg === Reg.SVR || reg === Reg.TIMER_DIVIDE || reg === Reg.SELF_IPI;
}
