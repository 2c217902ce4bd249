import { assert, assertEquals } from "@std/assert";
import { cmosContents, Rtc } from "../core/devices/rtc.ts";
import { FakeHost } from "./device_fake_host.ts";

const S = 1e9;

function rtc(epoch: number, contents?: Uint8Array): FakeHost {
  const host = new FakeHost();
  host.epoch = epoch;
  new Rtc(host, contents);
  return host;
}
const get = (host: FakeHost, reg: number): number => {
  host.out(0x70, reg);
  return host.in(0x71);
};
const set = (host: FakeHost, reg: number, value: number): void => {
  host.out(0x70, reg);
  host.out(0x71, value);
};
/** Seconds, minutes, hours, weekday, day, month, year, century. */
const time = (host: FakeHost): number[] => [0, 2, 4, 6, 7, 8, 9, 0x32].map((r) => get(host, r));

// date -u -d @951782399: Mon Feb 28 23:59:59 UTC 2000
const LEAP_EVE = 951782399;

Deno.test("RTC asks for the wall clock once, when the guest first needs it", () => {
  const host = rtc(LEAP_EVE);
  get(host, 0x0a);
  set(host, 0x40, 1);
  assertEquals(host.asked, []);
  time(host);
  time(host);
  assertEquals(host.asked, ["rtc/rtc"]);
});

Deno.test("RTC shows BCD and 24 hours by default and knows leap years", () => {
  const host = rtc(LEAP_EVE);
  assertEquals(time(host), [0x59, 0x59, 0x23, 2, 0x28, 0x02, 0x00, 0x20]);
  host.jumpTo(S - 1);
  assertEquals(get(host, 0), 0x59);
  host.jumpTo(S);
  assertEquals(time(host), [0, 0, 0, 3, 0x29, 0x02, 0x00, 0x20]);
  host.jumpTo(S + 86400 * S);
  assertEquals(time(host).slice(3), [4, 0x01, 0x03, 0x00, 0x20]);
});

Deno.test("RTC shows binary and 12-hour values as register B says", () => {
  // 12-hour table of the MC146818A: 12 AM is midnight (0x12), noon is 12 PM (0x92).
  const hours = (b: number) =>
    [0, 1, 11, 12, 13, 23].map((h) => {
      const host = rtc(h * 3600);
      set(host, 0x0b, b);
      return get(host, 4);
    });
  assertEquals(hours(0x00), [0x12, 0x01, 0x11, 0x92, 0x81, 0x91]);
  assertEquals(hours(0x04), [12, 1, 11, 0x8c, 0x81, 0x8b]);
  assertEquals(hours(0x06), [0, 1, 11, 12, 13, 23]);
});

Deno.test("RTC sets the time while SET stops the updates, and keeps the phase of the second", () => {
  const host = rtc(0);
  host.jumpTo(0.25 * S);
  set(host, 0x0b, 0x82);
  for (const [reg, v] of [[0, 0x30], [2, 0x45], [4, 0x17], [7, 0x31], [8, 0x12], [9, 0x99], [0x32, 0x19]]) {
    set(host, reg, v);
  }
  host.jumpTo(5.25 * S);
  assertEquals(get(host, 0), 0x30, "SET holds the registers");
  set(host, 0x0b, 0x02);
  host.jumpTo(6 * S - 1);
  assertEquals(get(host, 0), 0x30);
  host.jumpTo(6 * S);
  assertEquals(time(host), [0x31, 0x45, 0x17, 6, 0x31, 0x12, 0x99, 0x19]); // a Friday
});

Deno.test("RTC takes 12-hour values when the time is set", () => {
  const host = rtc(0);
  set(host, 0x0b, 0x80);
  set(host, 4, 0x92);
  set(host, 0x0b, 0x82);
  set(host, 0x0b, 0x00);
  assertEquals(get(host, 4), 0x92);
  set(host, 0x0b, 0x02);
  assertEquals(get(host, 4), 0x12);
});

Deno.test("RTC sets UIP for the last 2228 µs of each second", () => {
  const host = rtc(0);
  const uip = (ns: number) => {
    host.jumpTo(ns);
    return get(host, 0x0a) >> 7;
  };
  assertEquals([uip(0), uip(S - 2_228_001), uip(S - 2_228_000), uip(S - 1), uip(S), uip(2 * S - 1)], [
    0,
    0,
    1,
    1,
    0,
    1,
  ]);
  set(host, 0x0b, 0x82);
  assertEquals(uip(3 * S - 1), 0, "no update is in progress while SET stops them");
});

Deno.test("RTC restarts half a second before the first update when the divider is released", () => {
  const host = rtc(0);
  set(host, 0x0a, 0x70);
  host.jumpTo(3.2 * S);
  set(host, 0x0a, 0x26);
  const at = get(host, 0);
  host.jumpTo(3.7 * S - 1);
  assertEquals(get(host, 0), at);
  host.jumpTo(3.7 * S);
  assertEquals(get(host, 0), at + 1);
});

Deno.test("RTC interrupts periodically at the selected rate; reading C ends the interrupt", () => {
  for (const [rs, hz] of [[6, 1024], [1, 256], [2, 128], [3, 8192], [15, 2]]) {
    const host = rtc(0);
    set(host, 0x0a, 0x20 | rs);
    set(host, 0x0b, 0x42);
    let interrupts = 0;
    while (host.clock.nextNs() <= S) {
      host.runTo(host.clock.nextNs());
      assert(host.lines[8]);
      assertEquals(get(host, 0x0c), 0xc0 | (host.clock.now() === S ? 0x10 : 0));
      assert(!host.lines[8]);
      interrupts++;
    }
    assertEquals(interrupts, hz);
  }
});

Deno.test("RTC keeps flags for polling without interrupts, and raises one interrupt for many missed periods", () => {
  const host = rtc(0);
  host.jumpTo(S / 2);
  assertEquals(get(host, 0x0c), 0x40);
  host.jumpTo(S);
  assertEquals(get(host, 0x0c), 0x50);
  assertEquals(get(host, 0x0c), 0);
  assertEquals(host.lines[8] ?? false, false);
  set(host, 0x0b, 0x42);
  host.jumpTo(100 * S);
  assertEquals(host.rises[8], 1);
});

Deno.test("RTC interrupts after each update, and not while SET is on", () => {
  const host = rtc(0);
  set(host, 0x0b, 0x12);
  host.runTo(1.5 * S);
  assertEquals(host.rises[8], 1);
  assertEquals(get(host, 0x0c), 0xd0);
  set(host, 0x0b, 0x92);
  assertEquals(get(host, 0x0b), 0x82, "SET clears the update interrupt enable");
  host.runTo(3.5 * S);
  assertEquals(host.rises[8], 1);
});

Deno.test("RTC alarm matches time, with don't-care fields repeats", () => {
  const host = rtc(86400 - 10);
  for (const [reg, v] of [[1, 0x05], [3, 0x01], [5, 0x00]]) set(host, reg, v);
  set(host, 0x0b, 0x22);
  host.runTo(75 * S - 1);
  assertEquals(host.rises[8] ?? 0, 0);
  host.runTo(75 * S);
  assertEquals(host.rises[8], 1);
  assertEquals(get(host, 0x0c) & 0xa0, 0xa0);
  set(host, 3, 0xff);
  set(host, 5, 0xc0);
  for (let minute = 1; minute <= 5; minute++) {
    host.runTo((75 + 60 * minute) * S);
    assertEquals(host.rises[8], 1 + minute);
    get(host, 0x0c);
  }
  set(host, 1, 0x99); // never
  host.runTo(1000 * S);
  assertEquals(host.rises[8], 6);
});

Deno.test("RTC carries on from a checkpoint to the same state as without one", () => {
  const run = (host: FakeHost) => {
    host.runTo(10.3 * S);
    return [...time(host), get(host, 0x0c), host.save()];
  };
  const host = rtc(LEAP_EVE);
  set(host, 0x0b, 0x52);
  host.runTo(3.1 * S);
  const copy = rtc(1);
  copy.restore(host.save());
  assertEquals(copy.save(), host.save());
  assertEquals(run(copy), run(host));
});

Deno.test("CMOS tells memory sizes the way firmware expects", () => {
  const word = (c: Uint8Array, at: number) => c[at] | c[at + 1] << 8;
  const small = cmosContents(8 << 20, 1);
  assertEquals([word(small, 0x15), word(small, 0x17), word(small, 0x30), word(small, 0x34)], [
    640,
    7168,
    7168,
    0,
  ]);
  const large = cmosContents(1024 * 2 ** 20, 4);
  assertEquals([word(large, 0x17), word(large, 0x34), large[0x5f]], [0xffff, (1024 - 16) * 16, 3]);
  const host = rtc(0, large);
  assertEquals([get(host, 0x34), get(host, 0x35)], [large[0x34], large[0x35]]);
  set(host, 0x0f, 0x0a);
  assertEquals(get(host, 0x8f), 0x0a, "bit 7 of the index is not part of it");
  assertEquals(get(host, 0x0d), 0x80);
  assertEquals(host.in(0x70), 0xff);
});

Deno.test("RTC alarm: the very next second, and fields in 12-hour mode", () => {
  const host = rtc(59);
  for (const [reg, v] of [[1, 0x00], [3, 0xff], [5, 0xff]]) set(host, reg, v);
  set(host, 0x0b, 0x22);
  host.runTo(S - 1);
  assertEquals(host.rises[8] ?? 0, 0);
  host.runTo(S);
  assertEquals(host.rises[8], 1);
  // 1:12:12 PM; in the hours register 12 means 0, in the others it does not.
  const noon = rtc(13 * 3600 + 12 * 60 + 2);
  for (const [reg, v] of [[1, 0x12], [3, 0x12], [5, 0x81]]) set(noon, reg, v);
  set(noon, 0x0b, 0x20);
  noon.runTo(10 * S - 1);
  assertEquals(noon.rises[8] ?? 0, 0);
  noon.runTo(10 * S);
  assertEquals(noon.rises[8], 1);
});

Deno.test("RTC registers A and B read back as written, UIP apart", () => {
  const host = rtc(0);
  assertEquals([get(host, 0x0a), get(host, 0x0b)], [0x26, 0x02]);
  set(host, 0x0a, 0xaf);
  set(host, 0x0b, 0x06);
  assertEquals([get(host, 0x0a), get(host, 0x0b)], [0x2f, 0x06]);
});
