/**
 * A machine reduced to what devices see: ports, MMIO, a clock that the test moves, recorded lines and output.
 *
 * @module
 */
import type { DeviceHost, Json, MmioHandler, PortHandler, Snapshottable } from "../core/bus.ts";
import { Clock } from "../core/clock.ts";
import { PhysMem } from "../core/mmu/physmem.ts";
import type { Outcome } from "../core/outcome.ts";

/** Device host for tests. One instruction is one nanosecond. */
export class FakeHost implements DeviceHost {
  readonly clock = new Clock(1);
  readonly mem = new PhysMem(1 << 20);
  readonly handlers = new Map<number, PortHandler>();
  readonly devices: Snapshottable[] = [];
  /** Line levels by GSI, and how often each rose. */
  readonly lines: boolean[] = [];
  readonly rises: number[] = [];
  readonly output: { device: string; text: string }[] = [];
  readonly asked: string[] = [];
  outcome: Outcome | null = null;
  changes = 0;
  /** Seconds since 1970 that `ask` answers. */
  epoch = 0;
  readonly #mmio: { gpa: number; bytes: number; handler: MmioHandler }[] = [];

  ports(first: number, last: number, handler: PortHandler): void {
    for (let p = first; p <= last; p++) this.handlers.set(p, handler);
  }
  mmio(gpa: number, bytes: number, handler: MmioHandler): void {
    this.#mmio.push({ gpa, bytes, handler });
  }
  irq(gsi: number, level: boolean): void {
    if (level && !this.lines[gsi]) this.rises[gsi] = (this.rises[gsi] ?? 0) + 1;
    this.lines[gsi] = level;
  }
  console(device: string, bytes: Uint8Array): void {
    this.output.push({ device, text: new TextDecoder().decode(bytes) });
  }
  snapshot(s: Snapshottable): void {
    this.devices.push(s);
  }
  ask(kind: string, target: string, bytes: number): Uint8Array {
    this.asked.push(`${kind}/${target}`);
    const out = new Uint8Array(bytes);
    new DataView(out.buffer).setBigUint64(0, BigInt(this.epoch), true);
    return out;
  }
  stop(outcome: Outcome): void {
    this.outcome ??= outcome;
  }
  interruptsChanged(): void {
    this.changes++;
  }

  /** Port input and output as the guest does them; unclaimed ports read as all ones. */
  in(port: number, size = 1): number {
    return this.handlers.get(port)?.read(port, size) ?? 0xffff_ffff;
  }
  out(port: number, value: number, size = 1): void {
    this.handlers.get(port)?.write(port, size, value);
  }
  /** MMIO as the guest does it. */
  load(gpa: number, size = 4): number {
    return this.#at(gpa).read(gpa, size);
  }
  store(gpa: number, value: number, size = 4): void {
    this.#at(gpa).write(gpa, size, value);
  }
  #at(gpa: number): MmioHandler {
    const m = this.#mmio.find((m) => gpa >= m.gpa && gpa < m.gpa + m.bytes);
    if (!m) throw new Error(`nothing at 0x${gpa.toString(16)}`);
    return m.handler;
  }

  /** Lets virtual time pass to `ns`, stopping at every timer on the way, as a machine does. */
  runTo(ns: number): void {
    while (this.clock.nextNs() <= ns) {
      this.clock.icount = Math.max(this.clock.icount, this.clock.nextNs());
      this.clock.fireDue();
    }
    this.clock.icount = ns;
  }
  /** Lets virtual time pass to `ns` in one step: timers that were due fire late. */
  jumpTo(ns: number): void {
    this.clock.icount = ns;
    this.clock.fireDue();
  }

  /** Everything that a checkpoint carries, as text: equal states give equal text. */
  save(): string {
    const devices: [string, Json][] = this.devices.map((d) => [d.name, d.save()]);
    return JSON.stringify({ devices, clock: this.clock.save() });
  }
  /** Restores what `save` gave on a host with the same devices. */
  restore(text: string): void {
    const s = JSON.parse(text);
    this.clock.load(s.clock);
    s.devices.forEach(([name, state]: [string, Json], i: number) => {
      if (this.devices[i].name !== name) throw new Error(`device ${i} is not ${name}`);
      this.devices[i].load(state);
    });
    this.clock.load(s.clock);
  }
}
