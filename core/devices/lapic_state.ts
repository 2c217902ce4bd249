/**
 * Registers of a local APIC as plain fields, what follows from them alone, and their checkpoint form.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { Delivery, type InterruptSource, LVT_MASKED, Reg } from "./lapic_defs.ts";
import { StateReader, wordsToHex } from "./state.ts";

/** Highest set bit of a 256-bit register, or -1. */
export function highestVector(words: Uint32Array): number {
  for (let i = 7; i >= 0; i--) if (words[i] !== 0) return i * 32 + 31 - Math.clz32(words[i]);
  return -1;
}

/** Register state of one local APIC. */
export class LapicState {
  /** Requested, in service, level-triggered: 256 bits each. */
  readonly irr = new Uint32Array(8);
  readonly isr = new Uint32Array(8);
  readonly tmr = new Uint32Array(8);
  /** Local vector table: timer, thermal, performance, LINT0, LINT1, error. */
  readonly lvt = new Uint32Array(6);
  /** Low word of IA32_APIC_BASE. */
  base = 0;
  id = 0;
  tpr = 0;
  /** Logical destination (xAPIC) and destination format registers. */
  ldr = 0;
  dfr = 0xffff_ffff;
  /** Spurious-interrupt vector register. */
  svr = 0xff;
  icrLo = 0;
  icrHi = 0;
  divide = 0;
  /** Error status as last latched, and errors since then. */
  esr = 0;
  errors = 0;
  /** Levels of the LINT0 and LINT1 pins. */
  lint = 0;
  /** Who raised the pending or in-service interrupt of each vector, and at which icount. */
  readonly sources: InterruptSource[] = new Array(256).fill("device");
  readonly raisedIcount = new Float64Array(256);

  /** Registers as after INIT: ID and IA32_APIC_BASE stay. @param virtualWire LINT0 is ExtINT and LINT1 NMI */
  reset(virtualWire: boolean): void {
    this.irr.fill(0);
    this.isr.fill(0);
    this.tmr.fill(0);
    this.lvt.fill(LVT_MASKED);
    if (virtualWire) {
      this.lvt[3] = Delivery.EXTINT << 8;
      this.lvt[4] = Delivery.NMI << 8;
    }
    this.tpr =
      this.ldr =
      this.icrLo =
      this.icrHi =
      this.divide =
      this.esr =
      this.errors =
        0;
    this.dfr = 0xffff_ffff;
    this.svr = 0xff;
  }

  /** Processor priority register: the higher of task priority and the class in service. */
  get ppr(): number {
    const isrv = Math.max(0, highestVector(this.isr));
    return this.tpr >> 4 >= isrv >> 4 ? this.tpr : isrv & 0xf0;
  }

  /** Logical destination register in x2APIC mode, derived from the ID. */
  get x2Ldr(): number {
    return (this.id >>> 4 << 16 | 1 << (this.id & 15)) >>> 0;
  }

  /** Value of a register as the guest reads it, -1 for a reserved one. The timer's counts are not here. */
  read(reg: number, x2apic: boolean): number {
    if (reg >= Reg.LVT_TIMER && reg <= Reg.LVT_ERROR) return this.lvt[reg - Reg.LVT_TIMER];
    if (reg >= Reg.ISR && reg < Reg.ESR) {
      return (reg < Reg.TMR ? this.isr : reg < Reg.IRR ? this.tmr : this.irr)[reg & 7];
    }
    switch (reg) {
      case Reg.ID:
        return x2apic ? this.id : this.id << 24 >>> 0;
      case Reg.VERSION: // 0x14, highest LVT entry 5
        return 0x0005_0014;
      case Reg.TPR:
        return this.tpr;
      case Reg.PPR:
      case Reg.APR:
        return this.ppr;
      case Reg.LDR:
        return x2apic ? this.x2Ldr : this.ldr >>> 0;
      case Reg.DFR:
        return this.dfr;
      case Reg.SVR:
        return this.svr;
      case Reg.ESR:
        return this.esr;
      case Reg.ICR:
        return this.icrLo;
      case Reg.ICR_HIGH:
        return this.icrHi >>> 0;
      case Reg.TIMER_DIVIDE:
        return this.divide;
      default:
        return reg === Reg.EOI || reg === Reg.RRD ? 0 : -1;
    }
  }

  /** State for checkpoints. */
  save(): { [key: string]: Json } {
    const pending: Json[] = [];
    for (let v = 0; v < 256; v++) {
      if (((this.irr[v >> 5] | this.isr[v >> 5]) >>> (v & 31) & 1) !== 0) {
        pending.push([v, this.sources[v], this.raisedIcount[v]]);
      }
    }
    const regs = [this.base, this.id, this.tpr, this.ldr, this.dfr, this.svr];
    regs.push(this.icrLo, this.icrHi, this.divide, this.esr, this.errors, this.lint);
    return {
      irr: wordsToHex(this.irr),
      isr: wordsToHex(this.isr),
      tmr: wordsToHex(this.tmr),
      lvt: wordsToHex(this.lvt),
      regs: regs.map((x) => x >>> 0),
      pending,
    };
  }

  /** Restores what `save` gave. */
  load(r: StateReader): void {
    r.words("irr", this.irr);
    r.words("isr", this.isr);
    r.words("tmr", this.tmr);
    r.words("lvt", this.lvt);
    const regs = new Uint32Array(r.list("regs", 12).map((x) => Number(x)));
    [this.base, this.id, this.tpr, this.ldr, this.dfr, this.svr] = regs;
    [this.icrLo, this.icrHi, this.divide, this.esr, this.errors, this.lint] = regs.subarray(6);
    const pending = r.get("pending");
    for (const p of Array.isArray(pending) ? pending : []) {
      if (!Array.isArray(p) || typeof p[0] !== "number" || !(p[0] in this.raisedIcount)) continue;
      this.sources[p[0]] = String(p[1]) as InterruptSource;
      this.raisedIcount[p[0]] = Number(p[2]);
    }
  }
}

/** Registers that ignore writes in xAPIC mode and fault on them in x2APIC mode. */
export function isReadOnly(reg: number): boolean {
  return reg === Reg.ID || reg === Reg.VERSION || reg === Reg.PPR || reg === Reg.APR || reg === Reg.RRD ||
    reg === Reg.TIMER_CURRENT || reg === Reg.LDR || (reg >= Reg.ISR && reg < Reg.ESR);
}

/** x2APIC registers that RDMSR knows (SDM table 11-6). */
export function isX2Readable(reg: number): boolean {
  return isX2Known(reg) && reg !== Reg.EOI && reg !== Reg.SELF_IPI;
}

/** x2APIC registers that WRMSR knows. */
export function isX2Writable(reg: number): boolean {
  return isX2Known(reg) && !isReadOnly(reg);
}

function isX2Known(reg: number): boolean {
  if (reg >= Reg.ISR && reg <= Reg.ICR) return reg <= Reg.ESR || reg === Reg.ICR;
  if (reg >= Reg.LVT_TIMER && reg <= Reg.TIMER_CURRENT) return true;
  return reg === Reg.ID || reg === Reg.VERSION || reg === Reg.TPR || reg === Reg.PPR || reg === Reg.EOI ||
    reg === Reg.LDR || reg === Reg.SVR || reg === Reg.TIMER_DIVIDE || reg === Reg.SELF_IPI;
}
