import { assert, assertEquals } from "@std/assert";
import { PicPair } from "../core/devices/pic.ts";
import { FakeHost } from "./device_fake_host.ts";

interface Setup {
  host: FakeHost;
  pic: PicPair;
}

/** A pair initialised as PC software does: vectors 0x20 and 0x28, everything unmasked. */
function pair(icw4 = 1): Setup {
  const host = new FakeHost(), pic = new PicPair(host, () => host.interruptsChanged());
  for (const [port, base, wiring] of [[0x20, 0x20, 4], [0xa0, 0x28, 2]]) {
    host.out(port, 0x11);
    host.out(port + 1, base);
    host.out(port + 1, wiring);
    host.out(port + 1, icw4);
    host.out(port + 1, 0);
  }
  return { host, pic };
}

const isr = (host: FakeHost, port = 0x20): number => {
  host.out(port, 0x0b);
  return host.in(port);
};
const irr = (host: FakeHost, port = 0x20): number => {
  host.out(port, 0x0a);
  return host.in(port);
};

Deno.test("8259 serves the highest priority first and nests only higher ones", () => {
  const { host, pic } = pair();
  pic.setLine(5, true);
  pic.setLine(3, true);
  assert(pic.output);
  assertEquals(pic.ack(), 0x23);
  assertEquals([isr(host), irr(host)], [0x08, 0x20]);
  assert(!pic.output, "IR5 is below IR3 in service");
  pic.setLine(1, true);
  assertEquals(pic.ack(), 0x21);
  host.out(0x20, 0x20);
  assertEquals(isr(host), 0x08, "a non-specific EOI ends the highest in service");
  host.out(0x20, 0x20);
  assertEquals(pic.ack(), 0x25);
});

Deno.test("8259 needs an edge: a line that stays high asks once; ELCR makes it ask again after EOI", () => {
  const { host, pic } = pair();
  pic.setLine(5, true);
  assertEquals(pic.ack(), 0x25);
  host.out(0x20, 0x20);
  assert(!pic.output);
  pic.setLine(5, false);
  pic.setLine(5, true);
  assert(pic.output);
  pic.ack();
  host.out(0x4d0, 0xff);
  assertEquals(host.in(0x4d0), 0xf8, "IRQ 0-2 cannot be level-triggered");
  host.out(0x4d1, 0xff);
  assertEquals(host.in(0x4d1), 0xde, "nor can 8 and 13");
  host.out(0x20, 0x65); // specific EOI
  assert(pic.output, "the level is still there");
  pic.setLine(5, false);
  assert(!pic.output);
});

Deno.test("8259 gives IR7 without setting its ISR when the request has gone: spurious interrupt", () => {
  const { host, pic } = pair();
  pic.setLine(4, true);
  pic.setLine(4, false);
  assert(!pic.output);
  assertEquals(pic.ack(), 0x27);
  assertEquals(isr(host), 0);
});

Deno.test("8259 slave: its interrupts have the priority of IR2 and need an EOI on both chips", () => {
  const { host, pic } = pair();
  pic.setLine(12, true);
  pic.setLine(3, true);
  assertEquals(pic.ack(), 0x2c);
  assertEquals([isr(host), isr(host, 0xa0)], [0x04, 0x10]);
  host.out(0xa0, 0x20);
  assert(!pic.output, "IR2 is still in service on the master");
  host.out(0x20, 0x20);
  assertEquals(pic.ack(), 0x23);
});

Deno.test("8259 slave: a request masked before the acknowledge does not reach the processor", () => {
  const { host, pic } = pair();
  host.out(0x4d1, 0x02);
  pic.setLine(9, true);
  assert(pic.output);
  host.out(0xa1, 0x02);
  assert(!pic.output);
  host.out(0xa1, 0);
  assertEquals(pic.ack(), 0x29);
});

Deno.test("8259 master sees a further slave interrupt as a new edge", () => {
  const { host, pic } = pair();
  pic.setLine(8, true);
  pic.setLine(14, true);
  assertEquals(pic.ack(), 0x28);
  host.out(0xa0, 0x20);
  host.out(0x20, 0x20);
  assert(pic.output);
  assertEquals(pic.ack(), 0x2e);
});

Deno.test("8259 fully nested slave: a higher slave input interrupts a lower one only in special fully nested mode", () => {
  for (const icw4 of [0x01, 0x11]) {
    const { pic } = pair(icw4);
    pic.setLine(12, true);
    assertEquals(pic.ack(), 0x2c);
    pic.setLine(9, true);
    assertEquals(pic.output, icw4 === 0x11);
    if (pic.output) assertEquals(pic.ack(), 0x29);
  }
});

Deno.test("8259 automatic EOI leaves nothing in service, and rotates when told to", () => {
  const { host, pic } = pair(3);
  host.out(0x20, 0x80); // rotate in automatic EOI mode
  pic.setLine(0, true);
  pic.setLine(1, true);
  assertEquals(pic.ack(), 0x20);
  assertEquals(isr(host), 0);
  pic.setLine(0, false);
  pic.setLine(0, true);
  assertEquals(pic.ack(), 0x21, "IR0 has the lowest priority now");
});

Deno.test("8259 rotation: set priority, rotate on non-specific and on specific EOI", () => {
  const { host, pic } = pair();
  host.out(0x20, 0xc0 | 4); // IR4 lowest: IR5 is first
  pic.setLine(3, true);
  pic.setLine(5, true);
  assertEquals(pic.ack(), 0x25);
  host.out(0x20, 0xa0); // EOI, and IR5 becomes the lowest
  pic.setLine(6, true);
  assertEquals(pic.ack(), 0x26, "IR6 is first after IR5");
  host.out(0x20, 0xe0 | 6); // EOI of IR6, which becomes the lowest
  assertEquals(pic.ack(), 0x23);
});

Deno.test("8259 special mask mode lets lower priorities in while a level is masked in service", () => {
  const { host, pic } = pair();
  pic.setLine(2 + 1, true);
  pic.setLine(6, true);
  assertEquals(pic.ack(), 0x23);
  host.out(0x21, 1 << 3);
  assert(!pic.output);
  host.out(0x20, 0x68); // set special mask mode
  assert(pic.output);
  assertEquals(pic.ack(), 0x26);
  host.out(0x20, 0x20);
  assertEquals(isr(host), 0x08, "a non-specific EOI leaves the masked level in service");
});

Deno.test("8259 poll acknowledges through a read", () => {
  const { host, pic } = pair();
  host.out(0x20, 0x0c);
  assertEquals(host.in(0x20), 0);
  pic.setLine(6, true);
  host.out(0x20, 0x0c);
  assertEquals(host.in(0x20), 0x86);
  assertEquals(isr(host), 0x40);
  assert(!pic.output);
});

Deno.test("8259 keeps silent during initialization, clears mask and edges, and reads back IMR", () => {
  const { host, pic } = pair();
  host.out(0x21, 0xa5);
  assertEquals(host.in(0x21), 0xa5);
  pic.setLine(1, true);
  host.out(0x20, 0x11);
  pic.setLine(0, true);
  assert(!pic.output);
  assertEquals(host.in(0x21), 0);
  host.out(0x21, 0x40);
  host.out(0x21, 4);
  host.out(0x21, 1);
  assertEquals(pic.ack(), 0x40, "the edge that came after ICW1");
  assert(!pic.output, "the edge before it is forgotten");
});
