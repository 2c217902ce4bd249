import { assert, assertEquals } from "@std/assert";
import { Pit, PIT_HZ } from "../core/devices/pit.ts";
import { PitCounter } from "../core/devices/pit_counter.ts";
import { Rate } from "../core/devices/rate.ts";
import { FakeHost } from "./device_fake_host.ts";

/** Elements of a counter at ticks from..to, and its output as a string of "H" and "L". */
function trace(c: PitCounter, from: number, to: number): [number[], string] {
  const ce: number[] = [];
  let out = "";
  for (let t = from; t <= to; t++) {
    const v = c.view(t);
    ce.push(v.ce);
    out += v.out ? "H" : "L";
  }
  return [ce, out];
}

function counter(mode: number, bcd = false): PitCounter {
  const c = new PitCounter();
  c.program(mode, bcd);
  return c;
}

// Expected sequences: 82C54 data sheet, figures 15 to 20. A count written at tick 0 is loaded at tick 1.

Deno.test("8254 mode 0 counts N, sets OUT N + 1 clocks after the write, and wraps", () => {
  const c = counter(0);
  assertEquals(c.view(0).out, false);
  c.write(4, 0);
  assertEquals(trace(c, 1, 7), [[4, 3, 2, 1, 0, 0xffff, 0xfffe], "LLLLHHH"]);
});

Deno.test("8254 mode 0 holds while the gate is low and goes on where it was", () => {
  const c = counter(0);
  c.write(3, 0);
  assertEquals(trace(c, 1, 2), [[3, 2], "LL"]);
  c.setGate(false, 2);
  assertEquals(trace(c, 3, 5), [[2, 2, 2], "LLL"]);
  c.setGate(true, 5);
  assertEquals(trace(c, 6, 8), [[1, 0, 0xffff], "LHH"]);
});

Deno.test("8254 mode 0 loads a count written during low gate and needs no clock to start", () => {
  const c = counter(0);
  c.setGate(false, 0);
  c.write(2, 0);
  assertEquals(c.view(9).ce, 2);
  c.setGate(true, 9);
  assertEquals(trace(c, 10, 12), [[1, 0, 0xffff], "LHH"]);
});

Deno.test("8254 mode 0 starts over from a new count; its first byte stops counting and lowers OUT", () => {
  const c = counter(0);
  c.write(3, 0);
  assertEquals(trace(c, 1, 3), [[3, 2, 1], "LLL"]);
  c.write(2, 3);
  assertEquals(trace(c, 4, 7), [[2, 1, 0, 0xffff], "LLHH"]);
  c.firstByte(8);
  assertEquals(trace(c, 8, 10), [[0xfffe, 0xfffe, 0xfffe], "LLL"]);
});

Deno.test("8254 mode 1 is a retriggerable one-shot", () => {
  const c = counter(1);
  c.setGate(false, 0);
  c.write(3, 0);
  assert(c.view(5).out, "a write alone starts nothing");
  c.setGate(true, 5);
  assertEquals(trace(c, 6, 10), [[3, 2, 1, 0, 0xffff], "LLLHH"]);
  c.setGate(false, 10);
  c.setGate(true, 11);
  assertEquals(trace(c, 12, 13), [[3, 2], "LL"]);
  c.setGate(false, 13);
  c.setGate(true, 13); // again, before it ran out
  assertEquals(trace(c, 14, 18), [[3, 2, 1, 0, 0xffff], "LLLHH"]);
});

Deno.test("8254 mode 2 divides by N with OUT low for one clock", () => {
  const c = counter(2);
  c.write(3, 0);
  assertEquals(trace(c, 1, 7), [[3, 2, 1, 3, 2, 1, 3], "HHLHHLH"]);
});

Deno.test("8254 mode 2 takes a new count at the end of the period, and a gate pulse reloads", () => {
  const c = counter(2);
  c.write(4, 0);
  assertEquals(c.view(2).ce, 3);
  c.write(5, 2);
  assert(c.nullCount(2));
  assertEquals(trace(c, 3, 9), [[2, 1, 5, 4, 3, 2, 1], "HLHHHHL"]);
  assert(!c.nullCount(9));
  c.setGate(false, 9); // OUT goes high at once
  assertEquals(trace(c, 9, 10), [[1, 1], "HH"]);
  c.setGate(true, 10);
  assertEquals(trace(c, 11, 12), [[5, 4], "HH"]);
});

Deno.test("8254 mode 3 is a square wave: even and odd counts as in the data sheet's figure", () => {
  const even = counter(3);
  even.write(4, 0);
  assertEquals(trace(even, 1, 8), [[4, 2, 4, 2, 4, 2, 4, 2], "HHLLHHLL"]);
  const odd = counter(3);
  odd.write(5, 0);
  assertEquals(trace(odd, 1, 10), [[5, 4, 2, 5, 2, 5, 4, 2, 5, 2], "HHHLLHHHLL"]);
});

Deno.test("8254 mode 3 takes a new count at the end of the half period and keeps the level going", () => {
  const c = counter(3);
  c.write(8, 0); // high at ticks 1-4, low at 5-8
  assert(c.view(2).out);
  c.write(4, 2);
  assertEquals(trace(c, 3, 12), [[4, 2, 4, 2, 4, 2, 4, 2, 4, 2], "HHLLHHLLHH"]);
});

Deno.test("8254 modes 4 and 5 strobe for one clock", () => {
  const software = counter(4);
  software.write(3, 0);
  assertEquals(trace(software, 1, 6), [[3, 2, 1, 0, 0xffff, 0xfffe], "HHHLHH"]);
  const hardware = counter(5);
  hardware.setGate(false, 0);
  hardware.write(3, 0);
  hardware.setGate(true, 4);
  assertEquals(trace(hardware, 5, 9), [[3, 2, 1, 0, 0xffff], "HHHLH"]);
});

Deno.test("8254 nextRise agrees with the outputs of every mode, count and moment", () => {
  for (let mode = 0; mode < 6; mode++) {
    for (let n = 2; n <= 9; n++) {
      for (const rewrite of [0, 3, 5]) {
        const c = counter(mode);
        c.write(n, 0);
        if (mode === 1 || mode === 5) {
          c.setGate(false, 0);
          c.setGate(true, 0);
        }
        if (rewrite !== 0 && (mode === 2 || mode === 3)) {
          c.view(4);
          c.write(rewrite, 4);
        }
        for (let t = 4; t < 30; t++) {
          // A clone by checkpoint: views must not run ahead of the counter under test.
          const probe = new PitCounter();
          probe.load(c.save());
          let expected = Infinity;
          for (let u = t; u < t + 40 && expected === Infinity; u++) {
            const before = probe.view(u).out;
            const ahead = new PitCounter();
            ahead.load(probe.save());
            if (!before && ahead.view(u + 1).out) expected = u + 1;
          }
          assertEquals(
            c.nextRise(t),
            expected,
            `mode ${mode} count ${n} rewritten to ${rewrite} at tick ${t}`,
          );
        }
      }
    }
  }
});

const NS = (tick: number) => new Rate(PIT_HZ).ns(tick);

Deno.test("PIT channel 0 interrupts exactly 1193182 / N times a second for ever", () => {
  const host = new FakeHost();
  new Pit(host);
  host.out(0x43, 0x34);
  host.out(0x40, 0x00);
  host.out(0x40, 0x10); // 4096
  host.irq(0, false);
  const before = host.rises[0] ?? 0;
  host.runTo(50e9);
  assertEquals((host.rises[0] ?? 0) - before, Math.floor((50 * PIT_HZ - 1) / 4096));
});

Deno.test("PIT raises one interrupt, without looping, for a period that passed a million times in one step", () => {
  const host = new FakeHost();
  new Pit(host);
  host.out(0x43, 0x14);
  host.out(0x40, 2);
  host.irq(0, false);
  const before = host.rises[0];
  host.jumpTo(2e12);
  assertEquals(host.rises[0], before + 1);
  assert(host.clock.nextNs() > 2e12 && host.clock.nextNs() < 2e12 + 2000);
});

Deno.test("PIT latches a count until both bytes are read, and reads BCD as BCD", () => {
  const host = new FakeHost();
  new Pit(host);
  host.out(0x43, 0xb4); // channel 2, two bytes, mode 2
  host.out(0x61, 1);
  host.out(0x42, 0x34);
  host.out(0x42, 0x12);
  host.jumpTo(NS(1 + 5)); // loaded at tick 1
  host.out(0x43, 0x80);
  host.jumpTo(NS(1 + 0x300));
  assertEquals([host.in(0x42), host.in(0x42)], [0x2f, 0x12]);
  assertEquals([host.in(0x42), host.in(0x42)], [0x34, 0x0f]);
  host.out(0x43, 0xb5); // BCD
  host.out(0x42, 0x00);
  host.out(0x42, 0x10); // 1000
  host.jumpTo(host.clock.now() + NS(3));
  const low = host.in(0x42);
  assertEquals(low >> 4 <= 9 && (low & 15) <= 9, true);
  assertEquals([0x98, 0x97].includes(low), true, low.toString(16));
  assertEquals(host.in(0x42), 0x09);
});

Deno.test("PIT read-back latches status: OUT, null count, access, mode, BCD", () => {
  const host = new FakeHost();
  new Pit(host);
  host.out(0x43, 0xb6); // channel 2, mode 3
  host.out(0x43, 0xe8); // status of channel 2
  assertEquals(host.in(0x42), 0x80 | 0x40 | 0x36);
  host.out(0x61, 1);
  host.out(0x42, 4);
  host.out(0x42, 0);
  host.jumpTo(NS(1));
  host.out(0x43, 0xe8);
  assertEquals(host.in(0x42), 0x80 | 0x36);
  host.jumpTo(NS(3));
  host.out(0x43, 0xc8); // count and status: the status is read first
  assertEquals([host.in(0x42), host.in(0x42), host.in(0x42)], [0x36, 4, 0]);
});

Deno.test("port 0x61 gates channel 2, shows its output and toggles the refresh bit every 15 µs", () => {
  const host = new FakeHost();
  new Pit(host);
  host.out(0x61, 0);
  host.out(0x43, 0xb0); // mode 0
  host.out(0x42, 100);
  host.out(0x42, 0);
  host.jumpTo(1e6);
  assertEquals(host.in(0x61) & 0x2f, 0, "the gate is low");
  host.out(0x61, 1);
  host.jumpTo(1e6 + 99 * 838);
  assertEquals(host.in(0x61) & 0x20, 0);
  host.jumpTo(1e6 + 102 * 839);
  assertEquals(host.in(0x61) & 0x21, 0x21);
  let toggles = 0;
  for (let us = 0, last = host.in(0x61) & 0x10; us < 1000; us++) {
    host.jumpTo(host.clock.now() + 1000);
    if ((host.in(0x61) & 0x10) !== last) toggles++;
    last = host.in(0x61) & 0x10;
  }
  assert(toggles === 66 || toggles === 67, `${toggles} toggles of 15.09 µs in a millisecond`);
});

Deno.test("Rate converts ticks to the first nanosecond at which they have passed, without drift", () => {
  for (const hz of [PIT_HZ, 32768, 3_579_545, 1_000_000_000, 24_000_000]) {
    const r = new Rate(hz);
    for (const tick of [0, 1, 2, 3, 1000, hz - 1, hz, hz + 1, hz * 86400 + 7]) {
      const ns = r.ns(tick);
      assertEquals(r.ticks(ns), tick, `${hz} Hz tick ${tick}`);
      if (tick > 0) assertEquals(r.ticks(ns - 1), tick - 1, `${hz} Hz before tick ${tick}`);
    }
  }
});

Deno.test("8254 mode 4 keeps OUT high when a new count restarts it", () => {
  const c = counter(4);
  c.write(3, 0);
  assertEquals(trace(c, 1, 2), [[3, 2], "HH"]);
  c.write(2, 2);
  assertEquals(trace(c, 2, 6), [[2, 2, 1, 0, 0xffff], "HHHLH"]);
});
