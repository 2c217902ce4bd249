/**
 * How a pending event reaches the processor: a per-vCPU vector through the local APIC, a domain-wide vector that
 * bypasses it, or an interrupt line.
 *
 * Source: Xen 4.17 hvm/params.h (HVM_PARAM_CALLBACK_IRQ), hvm/hvm_op.h (HVMOP_set_evtchn_upcall_vector).
 *
 * @module
 */
import type { Json } from "../bus.ts";
import type { XenHost } from "./host.ts";
import type { SharedInfo } from "./shared_info.ts";
import type { VcpuState } from "./vcpu.ts";

/** Interrupt lines that the machine has. */
const GSI_LINES = 24;

/** Delivery of event upcalls. */
export class Upcall {
  /** What the domain-wide callback is. */
  #type: "none" | "gsi" | "vector" = "none";
  #gsi = 0;
  #vector = 0;
  /** The line is held up because vCPU 0 has a pending upcall. */
  #asserted = false;

  constructor(readonly host: XenHost, readonly shared: SharedInfo, readonly vcpus: readonly VcpuState[]) {}

  /** HVM_PARAM_CALLBACK_IRQ was set; lines exist only on a platform with interrupt controllers. */
  setVia(lo: number, hi: number): void {
    const kind = hi >>> 24;
    const none = kind > 2 || (kind === 0 && lo === 0 && hi === 0);
    const vector = kind === 2;
    if (!vector && this.host.config.platform === "none") return;
    if (this.#asserted && this.#type === "gsi") this.host.irq(this.#gsi, false);
    this.#type = "none";
    if (vector) {
      this.#type = "vector";
      this.#vector = lo & 0xff;
    } else if (!none) {
      const gsi = kind === 0 ? lo & 0xff : intxGsi(lo >>> 11 & 31, lo & 3);
      if (gsi > 0 && gsi < GSI_LINES) {
        this.#type = "gsi";
        this.#gsi = gsi;
        if (this.#asserted) this.host.irq(gsi, true);
      }
    }
    for (const v of this.vcpus) if (v.up) this.assert(v);
  }

  /** The upcall flag of a vCPU was set, or how upcalls are delivered has changed. */
  assert(v: VcpuState): void {
    if (v.upcallVector !== 0) v.upcallRefused = !this.host.lapicInject(v.id, v.upcallVector);
    else if (this.#type === "vector") {
      this.host.wake(v.id);
      this.host.interruptsChanged();
    } else if (v.id === 0) this.#level();
  }

  /** Vector to deliver to a vCPU ahead of PIC and local APIC; -1: none. The guest clears the cause itself. */
  pendingVector(vcpu: number): number {
    if (this.#asserted && !this.shared.upcallPending(0)) this.#level();
    const v = this.vcpus[vcpu];
    if (v.upcallRefused && this.shared.upcallPending(vcpu)) this.assert(v);
    if (this.#type !== "vector") return -1;
    return this.shared.upcallPending(vcpu) ? this.#vector : -1;
  }

  save(): Json {
    return { type: this.#type, gsi: this.#gsi, vector: this.#vector, asserted: this.#asserted };
  }
  load(state: Json): void {
    const s = state as { type: "none" | "gsi" | "vector"; gsi: number; vector: number; asserted: boolean };
    this.#type = s.type;
    this.#gsi = s.gsi;
    this.#vector = s.vector;
    this.#asserted = s.asserted;
  }

  #level(): void {
    const level = this.shared.upcallPending(0);
    if (level === this.#asserted) return;
    this.#asserted = level;
    if (this.#type === "gsi") this.host.irq(this.#gsi, level);
  }
}

/** Line of a PCI INTx pin, as Xen wires it. */
function intxGsi(device: number, pin: number): number {
  return ((device << 2) + (device >> 3) + pin & 31) + 16;
}
