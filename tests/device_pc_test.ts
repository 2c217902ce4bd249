import { assert, assertEquals } from "@std/assert";
import { IOAPIC_BASE } from "../core/devices/ioapic.ts";
import { LAPIC_BASE } from "../core/devices/lapic_defs.ts";
import { createLapicPlatform, createPcPlatform, type PcPlatform } from "../core/devices/pc.ts";
import { FakeHost } from "./device_fake_host.ts";

const signals = { nmi() {}, init() {}, startup() {} };

interface Pc {
  host: FakeHost;
  pc: PcPlatform;
}
function machine(vcpus = 1): Pc {
  const host = new FakeHost();
  const pc = createPcPlatform(host, {
    vcpus,
    memoryBytes: 64 << 20,
    currentVcpu: () => 0,
    signals,
    serialPorts: [0, 1, 2],
  });
  return { host, pc };
}
/** Initialises the 8259 pair: vectors 0x20 and 0x28, nothing masked. */
function initPics(host: FakeHost): void {
  for (const [port, base] of [[0x20, 0x20], [0xa0, 0x28]]) {
    for (const [p, v] of [[port, 0x11], [port + 1, base], [port + 1, 4], [port + 1, 1], [port + 1, 0]]) {
      host.out(p, v);
    }
  }
}
const rte = (host: FakeHost, pin: number, low: number, dest = 0) => {
  for (const [r, v] of [[0x11 + pin * 2, dest << 24], [0x10 + pin * 2, low]]) {
    host.store(IOAPIC_BASE, r);
    host.store(IOAPIC_BASE + 0x10, v);
  }
};

Deno.test("PC: the 8259 reaches the boot processor through LINT0 without any set-up", () => {
  const { host, pc } = machine(2);
  initPics(host);
  pc.setIrqLine(5, true);
  assertEquals([pc.interruptPending(0), pc.interruptPending(1)], [true, false]);
  assert(host.changes > 0);
  host.clock.icount += 50;
  const a = pc.interruptAck(0);
  assertEquals([a.vector, a.source, a.raisedIcount], [0x25, "pic", 0]);
  assertEquals(pc.interruptAck(0).vector, -1);
  assert(pc.interruptAck(0) === a, "the answer is not allocated");
});

Deno.test("PC: masking LINT0 closes the 8259's way, disabling the local APIC opens it", () => {
  const { host, pc } = machine();
  initPics(host);
  pc.setIrqLine(5, true);
  host.store(LAPIC_BASE + 0x350, 0x10700);
  assert(!pc.interruptPending(0));
  assertEquals(pc.interruptAck(0).vector, -1);
  pc.lapic(0).msrWrite(0x1b, 0xfee00100, 0);
  assert(pc.interruptPending(0));
});

Deno.test("PC: an ExtINT entry at I/O APIC pin 0 brings the 8259 to its destination", () => {
  const { host, pc } = machine(2);
  initPics(host);
  host.store(LAPIC_BASE + 0x350, 0x10700);
  rte(host, 0, 0x700, 1);
  pc.setIrqLine(5, true);
  assertEquals([pc.interruptPending(0), pc.interruptPending(1)], [false, true]);
  assertEquals(pc.interruptAck(1).vector, 0x25);
});

Deno.test("PC: ISA interrupts go to I/O APIC pins of the same number, the timer to pin 2", () => {
  const { host, pc } = machine();
  host.store(LAPIC_BASE + 0xf0, 0x1ff);
  host.store(LAPIC_BASE + 0x350, 0x10000);
  rte(host, 2, 0x30);
  rte(host, 4, 0x34);
  host.out(0x43, 0x34);
  host.out(0x40, 0);
  host.out(0x40, 4);
  while (pc.lapic(0).pending() < 0 && host.clock.now() < 1e9) host.runTo(host.clock.nextNs());
  const a = pc.interruptAck(0);
  assertEquals([a.vector, a.source, a.raisedIcount], [0x30, "ioapic", host.clock.icount]);
  pc.lapic(0).eoi();
  pc.setIrqLine(4, true);
  assertEquals(pc.interruptAck(0).vector, 0x34);
});

Deno.test("PC: serial ports that share an interrupt line keep it asserted until both let go", () => {
  const { host, pc } = machine();
  initPics(host);
  for (const port of [0x3f8, 0x3e8]) {
    host.out(port + 4, 8);
    host.out(port + 1, 2);
  }
  host.out(0x4d0, 0x10); // IRQ 4 level-triggered shows the level
  host.out(0x3f9, 0);
  assert(pc.interruptPending(0));
  host.out(0x3e9, 0);
  assert(!pc.interruptPending(0));
});

Deno.test("PC: input goes to the device it names, output waits for flush", () => {
  const { host, pc } = machine();
  assertEquals(pc.receive("uart1", Uint8Array.of(1, 2)), 2);
  assertEquals(pc.receive("keyboard", Uint8Array.of(0x1e)), 1);
  assertEquals(pc.receive("uart3", Uint8Array.of(1)), -1);
  host.runTo(1e6);
  assertEquals([host.in(0x2f8), host.in(0x60), host.in(0x3f8)], [1, 0x1e, 0]);
  for (const port of [0x3f8, 0xe9, 0x402]) host.out(port, 65);
  assertEquals(host.output, []);
  pc.flush();
  assertEquals(host.output.map((o) => o.device).sort(), ["debugcon", "port-e9", "uart0"]);
});

Deno.test("PC: wide accesses to 8-bit devices are split into bytes", () => {
  const { host } = machine();
  host.out(0x70, 0x7f40, 2); // index 0x40, data 0x7f
  host.out(0x70, 0x40);
  assertEquals(host.in(0x71), 0x7f);
  assertEquals(host.in(0x71, 2), 0xff7f);
  assertEquals(host.in(0x3fc, 4) >>> 8 & 0xff, 0x60, "LSR in byte 1");
});

/** Deterministic pseudo-random numbers (xorshift32), so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

Deno.test("PC: hostile port and MMIO traffic never throws, and checkpoints repeat it exactly", () => {
  for (const seed of [1, 2, 3]) {
    const a = machine(2), next = random(seed);
    const ports = [...a.host.handlers.keys()];
    // Ports whose writes end the run are not the subject.
    const step = ({ host, pc }: Pc, action: number[]): number => {
      const [kind, where, size, value, ns] = action;
      if (kind < 4) {
        host.out(ports[where % ports.length], value & (size === 4 ? -1 : (1 << size * 8) - 1), size);
      } else if (kind < 7) return host.in(ports[where % ports.length], size);
      else if (kind === 7) host.store(LAPIC_BASE + (where % 64) * 16, value);
      else if (kind === 8) {
        host.store(IOAPIC_BASE, where % 0x40);
        host.store(IOAPIC_BASE + 0x10, value);
      } else if (kind === 9) {
        pc.setIrqLine(where % 24, (value & 1) !== 0);
      } else if (kind === 10) return pc.interruptPending(0) ? pc.interruptAck(0).vector : -1;
      else host.jumpTo(host.clock.now() + ns);
      return 0;
    };
    const actions = Array.from({ length: 6000 }, () => [
      next(12),
      next(1 << 20),
      [1, 1, 2, 4][next(4)],
      next(2) ? next(256) : next(0x7fffffff) * 2,
      next(3) ? next(5000) : next(1e7),
    ]);
    for (const action of actions.slice(0, 3000)) step(a, action);
    const b = machine(2);
    const saved = a.host.save();
    b.host.restore(saved);
    assertEquals(b.host.save(), saved, `seed ${seed}`);
    actions.slice(3000).forEach((action, i) =>
      assertEquals(step(b, action), step(a, action), `seed ${seed} step ${i}`)
    );
    assertEquals(b.host.save(), a.host.save(), `seed ${seed}`);
    assert(saved.length < 100_000, "checkpoints stay small");
  }
});

Deno.test("LAPIC-only platform: no ports, no lines, Xen's APIC IDs", () => {
  const host = new FakeHost();
  const p = createLapicPlatform(host, { vcpus: 2, currentVcpu: () => 1, signals, apicId: (v) => v * 2 });
  assertEquals(host.handlers.size, 0);
  assertEquals(host.load(LAPIC_BASE + 0x20), 2 << 24);
  p.setIrqLine(4, true);
  assertEquals([p.interruptPending(0), p.receive("uart0", Uint8Array.of(1))], [false, -1]);
  p.lapic(1).setIrr(0xf3, false, "evtchn");
  const a = p.interruptAck(1);
  assertEquals([a.vector, a.source], [0xf3, "evtchn"]);
});

Deno.test("PC: a port access takes a microsecond, and the machine plans its timers anew", () => {
  const { host } = machine();
  let planned = 0;
  host.clock.onRearm = () => planned++;
  host.out(0x43, 0x34);
  host.out(0x40, 0);
  host.out(0x40, 0x80);
  const start = host.clock.now();
  planned = 0;
  // 100 latched counts, a write and two reads each.
  let first = -1, last = -1;
  for (let i = 0; i < 100; i++) {
    host.out(0x43, 0);
    last = host.in(0x40) | host.in(0x40) << 8;
    if (i === 0) first = last;
  }
  assertEquals(host.clock.now() - start, 300_000);
  assertEquals(planned, 300);
  // 297 µs are 354.4 clocks; which edges they hold depends on where they start.
  assert(first - last === 354 || first - last === 355, `${first - last} clocks`);
});
