/** A machine with nothing but memory, a clock and Xen, for the tests of Xen's parts. */
import { Clock } from "../core/clock.ts";
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import type { HypercallEvent, Observer } from "../core/exits.ts";
import { PhysMem } from "../core/mmu/physmem.ts";
import type { Outcome } from "../core/outcome.ts";
import type { VcpuContext, XenHost, XenVcpu } from "../core/xen/host.ts";
import { Xen } from "../core/xen/xen.ts";

/** Registers that hold hypercall arguments, by width. */
const ARGS = { 64: [7, 6, 2, 10, 8, 9], 32: [3, 1, 2, 6, 7, 5] };

/** Linear address = guest-physical address in the lower half; 64-bit kernels' upper half is an alias at -2^31. */
export const HIGH_BASE = -0x8000_0000;

export class FakeVcpu implements XenVcpu {
  readonly words = new Uint32Array(32);
  cpl = 0;
  is64 = true;
  constructor(readonly id: number, readonly mem: PhysMem) {}
  reg(n: number): number {
    return this.words[n * 2];
  }
  regHi(n: number): number {
    return this.words[n * 2 + 1];
  }
  setReg(n: number, lo: number, hi: number): void {
    this.words[n * 2] = lo;
    this.words[n * 2 + 1] = hi;
  }
  copyFromGuest(addr: number, len: number): Uint8Array | null {
    const gpa = this.#gpa(addr);
    return this.mem.isBacked(gpa, len) ? this.mem.read(gpa, len) : null;
  }
  copyToGuest(addr: number, bytes: Uint8Array): boolean {
    const gpa = this.#gpa(addr);
    if (!this.mem.isBacked(gpa, bytes.length)) return false;
    this.mem.write(gpa, bytes);
    return true;
  }
  #gpa(addr: number): number {
    return addr < 0 ? addr - HIGH_BASE : addr;
  }
}

export class FakeHost implements XenHost {
  readonly clock: Clock;
  readonly mem: PhysMem;
  readonly config: MachineConfig;
  readonly vcpus: FakeVcpu[];
  readonly vendor = "amd";
  observer: Observer | null = null;
  exitSeq = 0;
  /** What Xen asked of the machine, in order. */
  readonly log: string[] = [];
  readonly output: [device: string, text: string][] = [];
  readonly hypercalls: HypercallEvent[] = [];
  outcome: Outcome | null = null;
  initialised: VcpuContext | null = null;
  /** Answer of `block`: false when an interrupt is deliverable. */
  blocks = true;

  constructor(config: Partial<MachineConfig>) {
    this.config = { ...DEFAULT_CONFIG, memoryBytes: 4 * 1024 * 1024, ...config };
    this.clock = new Clock(1);
    this.mem = new PhysMem(this.config.memoryBytes + 4 * 1024 * 1024);
    this.mem.map(0, this.config.memoryBytes);
    this.vcpus = Array.from({ length: this.config.vcpus }, (_, i) => new FakeVcpu(i, this.mem));
  }
  /** Attaches an observer that keeps hypercall events. */
  observe(): void {
    this.observer = {
      onExit() {},
      onHypercall: (h) => this.hypercalls.push({ ...h }),
      onInterrupt() {},
      onConsole() {},
      onInput() {},
    };
  }
  ports(): void {}
  mmio(): void {}
  irq(gsi: number, level: boolean): void {
    this.log.push(`irq ${gsi} ${level ? 1 : 0}`);
  }
  console(device: string, bytes: Uint8Array): void {
    this.output.push([device, new TextDecoder("latin1").decode(bytes)]);
  }
  snapshot(): void {}
  ask(): Uint8Array {
    return new Uint8Array(8);
  }
  stop(outcome: Outcome): void {
    this.outcome ??= outcome;
  }
  interruptsChanged(): void {
    this.log.push("interrupts");
  }
  tscNow(): number {
    return this.clock.now() * (this.config.tscKhz / 1_000_000);
  }
  wallclock(): number {
    return 0x1_2345_6789;
  }
  memoryMap() {
    return [{ addr: 0, size: this.config.memoryBytes, type: 1 }, { addr: 0xfeff8000, size: 0x8000, type: 2 }];
  }
  /** Answer of `lapicInject`: false while local APICs are disabled. */
  lapicOn = true;
  lapicInject(vcpu: number, vector: number): boolean {
    this.log.push(`lapic ${vcpu} ${vector}`);
    return this.lapicOn;
  }
  nmi(vcpu: number): void {
    this.log.push(`nmi ${vcpu}`);
  }
  yield(vcpu: number): void {
    this.log.push(`yield ${vcpu}`);
  }
  block(vcpu: number): boolean {
    this.log.push(`block ${vcpu}`);
    return this.blocks;
  }
  wake(vcpu: number): void {
    this.log.push(`wake ${vcpu}`);
  }
  initialise(_vcpu: number, context: VcpuContext): boolean {
    this.initialised = context;
    return true;
  }
  up(vcpu: number): void {
    this.log.push(`up ${vcpu}`);
  }
  down(vcpu: number): void {
    this.log.push(`down ${vcpu}`);
  }
  flushTlbs(): void {
    this.log.push("flush");
  }
}

/** Host and Xen, with hypercalls as one function. */
export class Guest {
  readonly host: FakeHost;
  readonly xen: Xen;
  constructor(config: Partial<MachineConfig> = {}) {
    this.host = new FakeHost(config);
    this.xen = new Xen(this.host);
  }
  get mem(): PhysMem {
    return this.host.mem;
  }

  /** One hypercall in the vCPU's current width; the result as the guest sees it (signed). */
  call(nr: number, ...args: number[]): number {
    return this.callOn(0, nr, ...args);
  }

  callOn(vcpu: number, nr: number, ...args: number[]): number {
    const v = this.host.vcpus[vcpu];
    v.setReg(0, nr >>> 0, 0);
    ARGS[v.is64 ? 64 : 32].forEach((reg, i) => {
      const value = args[i] ?? 0;
      v.setReg(reg, value >>> 0, v.is64 ? Math.floor(value / 2 ** 32) >>> 0 : 0);
    });
    this.xen.hypercall(v);
    return v.reg(0) | 0;
  }

  /** Writes 32-bit words at an address and gives the address back. */
  put(addr: number, ...words: number[]): number {
    words.forEach((w, i) => this.mem.write32(addr + i * 4, w >>> 0));
    return addr;
  }

  /** Reads 32-bit words. */
  get(addr: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.mem.read32(addr + i * 4));
  }

  text(addr: number, text: string): number {
    this.mem.write(addr, new TextEncoder().encode(text));
    return addr;
  }

  /** XENMEM_add_to_physmap. */
  place(space: number, idx: number, gfn: number): number {
    const words = this.host.vcpus[0].is64 ? [0x7ff0, space, idx, 0, gfn, 0] : [0x7ff0, space, idx, gfn];
    return this.call(12, 7, this.put(0x100, ...words));
  }

  /** Advances time and fires what is due. */
  advance(ns: number): void {
    this.host.clock.icount += ns;
    this.host.clock.fireDue();
  }
}

/** Hypercall numbers, for readable tests. */
export const HC = {
  memory: 12,
  multicall: 13,
  setTimer: 15,
  version: 17,
  console: 18,
  grant: 20,
  assist: 21,
  vcpu: 24,
  sched: 29,
  evtchn: 32,
  hvm: 34,
};
