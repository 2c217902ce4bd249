import { assert, assertEquals } from "@std/assert";
import { ApicBus } from "../core/devices/apic_bus.ts";
import { IoApic, IOAPIC_BASE } from "../core/devices/ioapic.ts";
import { LocalApic } from "../core/devices/lapic.ts";
import { FakeHost } from "./device_fake_host.ts";

const LEVEL = 0x8000, MASKED = 0x10000, REMOTE_IRR = 0x4000;

/** An I/O APIC and two software-enabled local APICs. */
class Rig {
  readonly host = new FakeHost();
  readonly log: string[] = [];
  readonly bus = new ApicBus({ nmi: (v) => this.log.push(`nmi ${v}`), init() {}, startup() {} });
  readonly apics = [0, 1].map((vcpu) => new LocalApic(this.host, this.bus, { vcpu }));
  readonly io = new IoApic(this.host, this.bus);

  constructor() {
    for (const a of this.apics) a.mmioWrite(0xf0, 0x1ff);
  }
  get(reg: number): number {
    this.host.store(IOAPIC_BASE, reg);
    return this.host.load(IOAPIC_BASE + 0x10);
  }
  set(reg: number, value: number): void {
    this.host.store(IOAPIC_BASE, reg);
    this.host.store(IOAPIC_BASE + 0x10, value);
  }
  entry(pin: number, low: number, dest = 0): void {
    this.set(0x11 + pin * 2, dest << 24);
    this.set(0x10 + pin * 2, low);
  }
  /** Takes everything pending without ending it. */
  taken(vcpu = 0): number[] {
    const out: number[] = [], a = this.apics[vcpu];
    while (a.pending() >= 0) out.push(a.ack());
    return out;
  }
}

Deno.test("IO-APIC registers: version, 24 masked entries, read-only bits, ID", () => {
  const r = new Rig();
  assertEquals(r.get(1), 0x170020);
  for (let pin = 0; pin < 24; pin++) assertEquals(r.get(0x10 + pin * 2), MASKED);
  assertEquals(r.get(0x40), 0);
  r.entry(5, 0xffffffff, 0xff);
  assertEquals(
    [r.get(0x1a), r.get(0x1b)],
    [0x1afff, 0xff000000],
    "delivery status and remote IRR are read-only",
  );
  r.set(0, 0xff000000);
  assertEquals(r.get(0), 0x0f000000);
  assertEquals(r.host.load(IOAPIC_BASE, 1), 0);
});

Deno.test("IO-APIC edge: one message per rising edge, none while masked", () => {
  const r = new Rig();
  r.entry(4, 0x44);
  r.io.setPin(4, true);
  r.io.setPin(4, true);
  assertEquals(r.taken(), [0x44]);
  r.apics[0].eoi();
  r.io.setPin(4, false);
  r.entry(4, MASKED | 0x44);
  r.io.setPin(4, true);
  r.entry(4, 0x44);
  assertEquals(r.taken(), [], "the edge was lost");
  r.io.setPin(4, false);
  r.io.setPin(4, true);
  assertEquals(r.taken(), [0x44]);
  assertEquals(r.apics[0].source(0x44), "ioapic");
});

Deno.test("IO-APIC level: remote IRR until EOI, then again while the line is asserted", () => {
  const r = new Rig();
  r.entry(9, LEVEL | 0x51);
  r.io.setPin(9, true);
  assertEquals(r.get(0x22), LEVEL | REMOTE_IRR | 0x51);
  assertEquals(r.taken(), [0x51]);
  r.io.setPin(9, false);
  r.io.setPin(9, true);
  assertEquals(r.taken(), [], "remote IRR holds further messages");
  r.apics[0].eoi();
  assertEquals(r.taken(), [0x51], "still asserted");
  r.io.setPin(9, false);
  r.apics[0].eoi();
  assertEquals(r.get(0x22), LEVEL | 0x51);
  assertEquals(r.taken(), []);
});

Deno.test("IO-APIC level: an asserted line waits behind the mask", () => {
  const r = new Rig();
  r.entry(9, MASKED | LEVEL | 0x51);
  r.io.setPin(9, true);
  assertEquals(r.taken(), []);
  r.entry(9, LEVEL | 0x51);
  assertEquals(r.taken(), [0x51]);
});

Deno.test("IO-APIC EOI register and edge switch clear remote IRR", () => {
  const r = new Rig();
  r.entry(9, LEVEL | 0x51);
  r.io.setPin(9, true);
  r.io.setPin(9, false);
  r.host.store(IOAPIC_BASE + 0x40, 0x52);
  assertEquals(r.get(0x22) & REMOTE_IRR, REMOTE_IRR, "another vector");
  r.host.store(IOAPIC_BASE + 0x40, 0x51);
  assertEquals(r.get(0x22) & REMOTE_IRR, 0);
  r.io.setPin(9, true);
  r.io.setPin(9, false);
  r.entry(9, MASKED | 0x51);
  r.entry(9, LEVEL | 0x51);
  assertEquals(r.get(0x22) & REMOTE_IRR, 0);
});

Deno.test("IO-APIC keeps no remote IRR when no local APIC accepts the message", () => {
  const r = new Rig();
  r.entry(9, LEVEL | 0x51, 7);
  r.io.setPin(9, true);
  assertEquals(r.get(0x22) & REMOTE_IRR, 0);
});

Deno.test("IO-APIC delivery: physical, logical, lowest priority, NMI, ExtINT", () => {
  const r = new Rig();
  r.apics[0].mmioWrite(0xd0, 1 << 24);
  r.apics[1].mmioWrite(0xd0, 2 << 24);
  r.entry(3, 0x33, 1);
  r.io.setPin(3, true);
  assertEquals([r.taken(0), r.taken(1)], [[], [0x33]]);
  r.entry(5, 0x800 | 0x45, 3);
  r.io.setPin(5, true);
  assertEquals([r.taken(0), r.taken(1)], [[0x45], [0x45]]);
  r.apics[0].tpr = 0x50;
  r.apics[1].eoi();
  r.apics[1].eoi();
  r.entry(6, 0x900 | 0x66, 3);
  r.io.setPin(6, true);
  assertEquals([r.taken(0), r.taken(1)], [[], [0x66]]);
  r.entry(7, LEVEL | 0x400, 1);
  r.io.setPin(7, true);
  assertEquals(r.log, ["nmi 1"]);
  assertEquals(r.get(0x1e) & REMOTE_IRR, 0, "NMIs are edges");
  assertEquals(r.io.extIntDestination(0), -1);
  r.entry(0, 0x700, 1);
  assertEquals(r.io.extIntDestination(0), 1);
  r.entry(0, 0x700 | MASKED, 1);
  assertEquals(r.io.extIntDestination(0), -1);
});

Deno.test("IO-APIC carries on from a checkpoint", () => {
  const r = new Rig(), copy = new Rig();
  r.entry(9, LEVEL | 0x51);
  r.io.setPin(9, true);
  copy.host.restore(r.host.save());
  assertEquals(copy.host.save(), r.host.save());
  assertEquals(copy.taken(), [0x51]);
  copy.apics[0].eoi();
  assertEquals(copy.taken(), [0x51]);
  assert(copy.get(0x22) & REMOTE_IRR);
});

Deno.test("IO-APIC destination 0xff is everybody, x2APIC local APICs included", () => {
  const r = new Rig();
  assertEquals(r.apics[1].msrWrite(0x1b, 0xfee00c00, 0), 1);
  r.entry(3, 0x33, 0xff);
  r.io.setPin(3, true);
  assertEquals([r.taken(0), r.taken(1)], [[0x33], [0x33]]);
});
