/**
 * What a debugger reads of a machine: registers of any vCPU, memory by virtual and physical address. Reading changes
 * nothing.
 *
 * @module
 */
import { Seg } from "../../core/cpu/state.ts";
import { DEBUGGER_REGISTERS } from "../../core/debugger_input.ts";
import * as L from "../../core/layout.ts";
import type { RetrovisorMachine } from "../../core/machine.ts";
import { PAGE_SIZE } from "../../core/mmu/physmem.ts";
import type { Surroundings } from "./agent_expression.ts";
import type { LiveDebuggee } from "./live.ts";
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

  /** What a breakpoint's condition can look at: the vCPU that runs. */
  surroundings(): Surroundings {
    const vcpu = this.machine.vcpus.active, bits = this.arch === "x86-64" ? 64 : 32;
    return {
      register: (n) => {
        const r = this.registers[n];
        if (r === undefined || r.bits > 64) return null;
        return this.register(vcpu, r).reduceRight((value, b) => value << 8n | BigInt(b), 0n);
      },
      memory: (address, length) => {
        const linear = this.linear(BigInt.asUintN(bits, address).toString(16));
        const bytes = linear === null ? null : this.read(vcpu, linear, length, false);
        return bytes?.length === length ? bytes : null;
      },
    };
  }

  /** Writes a register. @returns false when this one cannot be written */
  writeRegister(to: LiveDebuggee, vcpu: number, r: Register, value: Uint8Array): boolean {
    if (r.name === "eip" && vcpu === this.machine.vcpus.active) {
      // gdb's program counter is linear.
      const v = new DataView(value.slice().buffer), { s } = this.machine.cpu;
      v.setUint32(0, v.getUint32(0, true) - s.segBase(Seg.CS) >>> 0, true);
      value = new Uint8Array(v.buffer);
    }
    const name = r.name.replace(/^e(?!flags)/, "r");
    if (!DEBUGGER_REGISTERS.has(name)) return false;
    to.writeRegister(vcpu, name, value);
    return true;
  }

  /** Writes memory. @returns false when some of it is not there: then nothing is written */
  write(to: LiveDebuggee, vcpu: number, address: number, bytes: Uint8Array): boolean {
    const { mem, cpu } = this.machine, parts: [number, Uint8Array][] = [];
    const whole = this.#as(vcpu, () => {
      for (let done = 0; done < bytes.length;) {
        const at = address + done, inPage = ((at % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE;
        const n = Math.min(bytes.length - done, PAGE_SIZE - inPage);
        const gpa = this.physical ? at : cpu.mmu.tryTranslate(at);
        if (gpa < 0 || mem.host(gpa) < 0) return false;
        parts.push([gpa, bytes.subarray(done, done + n)]);
        done += n;
      }
      return true;
    });
    if (whole) { for (const [gpa, part] of parts) to.writePhysical(gpa, part); }
    return whole;
  }

  /** One line about a vCPU. */
  describe(vcpu: number): string {
    const { vcpus, cpu } = this.machine, v = vcpus.all[vcpu];
    if (!v.online) return `vCPU ${vcpu} (offline)`;
    const halted = vcpu === vcpus.active ? cpu.halted : v.halted;
    return `vCPU ${vcpu} (${halted ? "halted" : v.blocked ? "blocked" : "running"})`;
  }
}
