/**
 * Interrupt messages between IO-APICs, inter-processor interrupts, and local APICs: who a destination means.
 *
 * Source: Intel SDM volume 3, section 11.6.2 "Determining IPI Destination" and 11.12.10 "Logical Destination in
 * x2APIC Mode".
 *
 * @module
 */
import type { DeviceHost } from "../bus.ts";
import type { LocalApic } from "./lapic.ts";
import { type ApicMessage, type ApicSignals, Delivery, LAPIC_BASE } from "./lapic_defs.ts";

/** All local APICs of a machine and the paths between them. */
export class ApicBus {
  /** By vCPU number; each `LocalApic` adds itself. */
  readonly lapics: LocalApic[] = [];
  /** Told of each EOI of a level-triggered vector (IO-APICs). */
  readonly onEoi: ((vector: number) => void)[] = [];

  constructor(readonly signals: ApicSignals) {}

  /**
   * Delivers a message.
   * @returns true when at least one local APIC accepted it.
   */
  deliver(m: ApicMessage): boolean {
    if (m.mode === Delivery.LOWEST) {
      const target = this.#lowestPriority(m);
      return target !== null && target.accept(m.vector, m.level, m.source);
    }
    let accepted = false;
    for (const apic of this.lapics) if (apic.matches(m)) accepted = this.signal(apic, m) || accepted;
    return accepted;
  }

  /** Among the enabled destinations, the one with the lowest processor priority; the first of equals. */
  #lowestPriority(m: ApicMessage): LocalApic | null {
    let best: LocalApic | null = null;
    for (const apic of this.lapics) {
      if (apic.softwareEnabled && apic.matches(m) && (best === null || apic.ppr < best.ppr)) best = apic;
    }
    return best;
  }

  /** Gives one local APIC a message that is addressed to it. */
  signal(apic: LocalApic, m: ApicMessage): boolean {
    switch (m.mode) {
      case Delivery.FIXED:
      case Delivery.LOWEST:
        return apic.accept(m.vector, m.level, m.source);
      case Delivery.NMI:
        this.signals.nmi(apic.vcpu);
        return true;
      case Delivery.INIT:
        apic.reset(true);
        this.signals.init(apic.vcpu);
        return true;
      case Delivery.STARTUP:
        this.signals.startup(apic.vcpu, m.vector);
        return true;
      default: // SMI: there is no system management mode; ExtINT has its own path
        return false;
    }
  }

  /**
   * Sends what a local APIC's interrupt command register says (SDM figure 11-12).
   * @returns false for an illegal vector, of which the sender's ESR tells
   */
  sendIpi(from: LocalApic, lo: number, hi: number): boolean {
    const mode = lo >> 8 & 7, vector = lo & 0xff, shorthand = lo >> 18 & 3;
    if ((mode === Delivery.FIXED || mode === Delivery.LOWEST) && vector < 16) return false;
    if (mode === Delivery.INIT && (lo & 0xc000) === 0x8000) return true; // level de-assert: nothing since the P6
    const m: ApicMessage = {
      mode,
      vector,
      level: false,
      logical: (lo & 0x800) !== 0,
      dest: from.x2apic ? hi >>> 0 : hi >>> 24,
      dest8: !from.x2apic,
      source: "ipi",
    };
    if (shorthand === 0) this.deliver(m);
    else if (shorthand === 1) this.signal(from, m);
    else {
      for (const a of this.lapics) if (a.enabled && (shorthand === 2 || a !== from)) this.signal(a, m);
    }
    return true;
  }

  /** A local APIC ended a level-triggered interrupt. */
  eoi(vector: number): void {
    for (const f of this.onEoi) f(vector);
  }

  /**
   * Claims the register page for xAPIC mode: each vCPU sees its own local APIC there.
   * @param currentVcpu the vCPU that executes now.
   */
  mapRegisters(host: DeviceHost, currentVcpu: () => number): void {
    host.mmio(LAPIC_BASE, 4096, {
      read: (gpa, size) => {
        const shift = (gpa & 3) * 8, v = this.lapics[currentVcpu()].mmioRead(gpa & 0xffc) >>> shift;
        return size === 4 ? v : size === 2 ? v & 0xffff : v & 0xff;
      },
      // Only aligned 32-bit writes are defined; narrower ones are dropped.
      write: (gpa, size, value) => {
        if (size === 4 && (gpa & 15) === 0) this.lapics[currentVcpu()].mmioWrite(gpa & 0xff0, value >>> 0);
      },
    });
  }
}
