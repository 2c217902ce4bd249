/**
 * A machine without a processor: a scripted generator of exits, memory writes, output and halts that depends on every
 * input. Deterministic, and quick to make.
 */
import type { Machine } from "../core/api.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import { Col, COLS, ExitEvent, type Observer, Reason } from "../core/exits.ts";
import type { Inputs } from "../core/inputs.ts";
import { PhysMem } from "../core/mmu/physmem.ts";
import type { Outcome } from "../core/outcome.ts";

const PAGES = 64, REASONS = [Reason.CPUID, Reason.IOIO, Reason.MSR, Reason.NPF, Reason.CR0_WRITE, 0x777];
const FIELDS = ["icount", "skippedNs", "x", "exitCount", "hypercallCount", "halted", "heard"] as const;

export const FAKE_CONFIG: MachineConfig = {
  ...DEFAULT_CONFIG,
  name: "fake",
  memoryBytes: PAGES * 4096,
  cmdline: "end=200000",
};
export const FAKE_IMAGES: GuestImage[] = [
  { role: "kernel", name: "fake.elf", bytes: Uint8Array.from({ length: 3000 }, (_, i) => i * 7) },
  { role: "ramdisk", name: "empty", bytes: new Uint8Array() },
];

export class FakeMachine implements Machine {
  readonly mem = new PhysMem((PAGES + 8) * 4096);
  observer: Observer | null = null;
  outcome: Outcome | null = null;
  icount = 0;
  skippedNs = 0;
  x = 1;
  exitCount = 0;
  hypercallCount = 0;
  halted = 0;
  heard = 0;
  readonly #event = new ExitEvent();
  readonly #end: number;
  readonly #exitEvery: number;
  readonly #halts: boolean;
  #inputSeq = 0;

  constructor(readonly config: MachineConfig, readonly images: GuestImage[], readonly inputs: Inputs) {
    const number = (key: string, otherwise: number) => {
      const m = new RegExp(`${key}=(\\d+)`).exec(config.cmdline);
      return m ? Number(m[1]) : otherwise;
    };
    this.#end = number("end", 200_000);
    this.#exitEvery = number("every", 97);
    this.#halts = number("awake", 0) === 0;
    this.mem.map(0, PAGES * 4096);
    this.mem.map(PAGES * 4096, 4096, "rom");
    this.mem.write(PAGES * 4096, images[0].bytes, true);
    const clock = inputs.ask("rtc", "rtc", 8, 0, 0);
    this.x = (clock[0] | clock[1] << 8 | clock[2] << 16 | clock[3] << 24) >>> 0;
  }

  get timeNs(): number {
    return this.icount + this.skippedNs;
  }

  #exit(reason: number): void {
    const e = this.#event;
    e.reset();
    e.seq = this.exitCount++;
    e.icount = this.icount;
    e.timeNs = this.timeNs;
    e.reason = reason;
    e.cs = 8;
    e.mode = this.x % 5;
    e.cpl = this.x % 4;
    e.setNumber(Col.rip, 0xffff_8000_0000 + this.icount);
    for (let c = 0; c < COLS; c++) {
      if (this.x >>> (c + 3) & 1) e.set(c, Math.imul(this.x, c + 1) >>> 0, this.x & 0xff);
    }
    if (this.x & 4) e.injectedVector = this.x >>> 8 & 0xff;
    if (this.x & 8) e.errorCode = this.x >>> 3;
    this.observer?.onExit?.(e);
  }

  #hypercall(): void {
    this.hypercallCount++;
    this.observer?.onHypercall({
      seq: this.exitCount,
      parentSeq: this.x & 16 ? 5 : -1,
      icount: this.icount,
      vcpu: 0,
      nr: this.x % 40,
      name: `call_${this.x % 300}`,
      subop: this.x & 32 ? 3 : -1,
      subopName: this.x & 32 ? "sub" : null,
      args: Array.from({ length: this.x % 7 }, (_, i) => BigInt(this.x) << BigInt(i * 5)),
      result: this.x & 64 ? -22n : 0n,
      errnoName: this.x & 64 ? "EINVAL" : null,
      buffer: this.x & 128 ? new Uint8Array(this.x % 300).fill(this.x) : null,
    });
    this.#exit(Reason.VMMCALL);
  }

  #rare(x: number): void {
    const { icount, timeNs, observer } = this;
    if (x % 397 === 0) this.#hypercall();
    if (x % 101 === 1) this.mem.write((x >>> 8) % (PAGES * 4096), Uint8Array.of(x, x >>> 8));
    if (x % 5003 === 0) {
      observer?.onConsole(icount, timeNs, "xen", new TextEncoder().encode(`at ${icount} é\n`));
    }
    if (x % 2003 === 0) {
      const rip = { ripLo: icount, ripHi: 7 };
      const port = x & 1 ? 4 : -1;
      observer?.onInterrupt({
        icount,
        timeNs,
        vcpu: 0,
        vector: x & 255,
        source: "evtchn",
        port,
        raisedIcount: icount,
        ...rip,
      });
    }
    if (x % 4001 === 0) {
      observer?.onSample?.({
        icount,
        vcpu: 0,
        ripLo: x,
        ripHi: 1,
        cr3: 4096,
        cpl: 3,
        stack: [1n, BigInt(x)],
      });
    }
    if (x % 9001 === 0) this.skippedNs += 5000;
    if (x % 30011 === 0 && this.#halts) this.halted = 1;
    if (x % 40009 === 0) this.mem.unmap((x >>> 8) % PAGES * 4096);
    if (x % 40009 === 1) this.mem.map((x >>> 8) % PAGES * 4096, 4096);
  }

  #poll(): void {
    for (;;) {
      const i = this.inputs.poll(this.icount, this.timeNs);
      if (i === null) return;
      this.halted = 0;
      this.heard++;
      for (const b of i.payload) this.x = Math.imul(this.x ^ b, 0x0100_0193) >>> 0;
      this.observer?.onInput({ seq: this.#inputSeq++, icount: this.icount, timeNs: this.timeNs, ...i });
    }
  }

  runUntil(limit: number): "limit" | "ended" | "waiting" {
    while (this.outcome === null) {
      const due = this.inputs.nextDue();
      if (due === null ? this.icount % 1000 === 0 || this.halted : this.icount >= due.icount) this.#poll();
      if (this.icount >= limit) return "limit";
      if (this.halted) {
        const next = this.inputs.nextDue();
        if (next === null || next.icount > this.icount) return "waiting";
        this.skippedNs += Math.max(0, next.timeNs - this.timeNs);
        continue;
      }
      this.x = (Math.imul(this.x, 1664525) + 1013904223) >>> 0;
      const x = this.x >>> 4;
      if (x % this.#exitEvery === 0) this.#exit(REASONS[x % REASONS.length]);
      this.#rare(x);
      this.icount++;
      if (this.icount >= this.#end) {
        this.#exit(Reason.SHUTDOWN);
        this.outcome = { kind: "poweroff", message: "The guest powered off." };
      }
    }
    return "ended";
  }

  requestStop(outcome: Outcome): void {
    this.#exit(Reason.HOST_STOP);
    this.outcome ??= outcome;
  }

  saveState(): Uint8Array {
    return new Uint8Array(Float64Array.from(FIELDS, (f) => this[f]).buffer);
  }

  loadState(state: Uint8Array): void {
    const values = new Float64Array(state.slice().buffer);
    FIELDS.forEach((f, i) => this[f] = values[i]);
    this.outcome = null;
  }

  takeDirtyPages(): number[] {
    const out: number[] = [];
    this.mem.dirty.forEach((d, i) => d && out.push(i));
    this.mem.dirty.fill(0);
    return out;
  }

  where(): { vcpu: number; rip: bigint; cr3: bigint; cpl: number } {
    return { vcpu: 0, rip: BigInt(0xffff_8000_0000 + this.icount), cr3: 0n, cpl: 0 };
  }
}

export function createFake(config: MachineConfig, images: GuestImage[], inputs: Inputs): FakeMachine {
  return new FakeMachine(config, images, inputs);
}
