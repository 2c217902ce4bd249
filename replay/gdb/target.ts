/**
 * What a debugger reads of a machine: registers of any vCPU, memory by virtual and physical address. Reading changes
 * nothing.
 *
 * @module
 */
import * as L from "../../core/layout.ts";
import type { RetrovisorMachine } from "../../core/machine.ts";
import { PAGE_SIZE } from "../../core/mmu/physmem.ts";
import { type Architecture, describeTarget, type Register } from "./registers.ts";

/** One machine as a target. */
export class Target {
  readonly registers: Register[];
  readonly xml: string;
  /** Memory is read by physical address. */
  physical = false;

  /** @param symbols an ELF file for clients that have none */
  constructor(
    readonly machine: RetrovisorMachine,
    readonly arch: Architecture,
    readonly symbols: Uint8Array | null = null,
  ) {
    ({ registers: this.registers, xml: this.xml } = describeTarget(arch));
  }

  /** Number of vCPUs. */
  get vcpus(): number {
    return this.machine.vcpus.all.length;
  }

  /** Runs a function while a vCPU's state lies where the active one's does. */
  #as<T>(vcpu: number, look: () => T): T {
    const { vcpus, cpu } = this.machine;
    if (vcpu === vcpus.active || vcpus.all[vcpu] === undefined) return look();
    const { u8 } = cpu.s, active = u8.slice(0, L.STATE_SIZE);
    u8.set(vcpus.all[vcpu].state, 0);
    try {
      return look();
    } finally {
      u8.set(active, 0);
    }
  }

  /** A register's bytes. */
  register(vcpu: number, r: Register): Uint8Array {
    const out = new Uint8Array(r.bits / 8);
    this.#as(vcpu, () => r.read(this.machine.cpu.s, out));
    return out;
  }

  /** An address as gdb writes it, as a linear address; null when it is none. */
  linear(hex: string): number | null {
    if (!/^[0-9a-f]{1,16}$/i.test(hex)) return null;
    const n = Number(BigInt.asIntN(64, BigInt(`0x${hex}`)));
    return n >= -(2 ** 47) && n < 2 ** 47 ? n : null;
  }

  /** Reads up to the first byte that is not there. */
  read(vcpu: number, address: number, length: number, physical = this.physical): Uint8Array {
    const { mem, cpu } = this.machine, out = new Uint8Array(length);
    return this.#as(vcpu, () => {
      let done = 0;
      while (done < length) {
        const at = address + done, inPage = ((at % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE;
        const n = Math.min(length - done, PAGE_SIZE - inPage);
        const gpa = physical ? at : cpu.mmu.tryTranslate(at), h = gpa < 0 ? -1 : mem.host(gpa);
        if (h < 0) break;
        out.set(mem.u8.subarray(h, h + n), done);
        done += n;
      }
      return out.subarray(0, done);
    });
  }

  /** One line about a vCPU. */
  describe(vcpu: number): string {
    const { vcpus, cpu } = this.machine, v = vcpus.all[vcpu];
    if (!v.online) return `vCPU ${vcpu} (offline)`;
    const halted = vcpu === vcpus.active ? cpu.halted : v.halted;
    return `vCPU ${vcpu} (${halted ? "halted" : v.blocked ? "blocked" : "running"})`;
  }
}
