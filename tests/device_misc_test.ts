import { assert, assertEquals, assertThrows } from "@std/assert";
import { GuestError } from "../core/config.ts";
import { ACPI_PM, AcpiPm, PM_TIMER_HZ } from "../core/devices/acpi_pm.ts";
import { DebugConsole, DebugExit, PageRegisters } from "../core/devices/debug_ports.ts";
import { FwCfg } from "../core/devices/fw_cfg.ts";
import { I8042 } from "../core/devices/i8042.ts";
import { PciConfig } from "../core/devices/pci.ts";
import { Vga } from "../core/devices/vga.ts";
import { FakeHost } from "./device_fake_host.ts";

Deno.test("i8042 answers self tests, keyboard reset and identify, each byte with its own IRQ 1", () => {
  const host = new FakeHost();
  new I8042(host);
  const read = () => {
    assertEquals(host.in(0x64) & 1, 1);
    return host.in(0x60);
  };
  host.out(0x64, 0xaa);
  assertEquals(read(), 0x55);
  host.out(0x64, 0xab);
  assertEquals(read(), 0);
  host.out(0x60, 0xff);
  assertEquals([read(), read()], [0xfa, 0xaa]);
  const rises = host.rises[1];
  host.out(0x64, 0x60);
  host.out(0x60, 0x05); // no translation
  host.out(0x60, 0xf2);
  assertEquals([read(), read(), read()], [0xfa, 0xab, 0x83]);
  assertEquals(host.rises[1], rises + 3);
  assertEquals(host.in(0x64) & 1, 0);
  assertEquals(host.in(0x60), 0x83, "the last byte stays");
  host.out(0x64, 0x20);
  assertEquals(read(), 0x05);
  host.out(0x64, 0x60);
  host.out(0x60, 0x04); // interrupts off
  host.out(0x60, 0xee);
  assert(!host.lines[1]);
  assertEquals(read(), 0xee);
});

Deno.test("i8042 takes parameters of keyboard commands and passes scan codes on", () => {
  const host = new FakeHost(), kbc = new I8042(host);
  host.out(0x60, 0xed);
  host.out(0x60, 0x07);
  host.out(0x60, 0x99);
  assertEquals([host.in(0x60), host.in(0x60), host.in(0x60)], [0xfa, 0xfa, 0xfe]);
  assertEquals(kbc.receive(Uint8Array.of(0x1e, 0x9e)), 2);
  assertEquals([host.in(0x60), host.in(0x60)], [0x1e, 0x9e]);
  assertEquals(kbc.receive(new Uint8Array(1000)), 256, "bounded");
});

Deno.test("i8042 resets the machine by pulse, output port and port 0x92", () => {
  for (const reset of [[[0x64, 0xfe]], [[0x64, 0xd1], [0x60, 0xde]], [[0x92, 3]]]) {
    const host = new FakeHost();
    new I8042(host);
    host.out(0x64, 0xff); // pulses nothing
    host.out(0x92, 2);
    assertEquals([host.outcome, host.in(0x92)], [null, 2]);
    for (const [port, value] of reset) host.out(port, value);
    assertEquals(host.outcome?.kind, "reboot");
  }
});

Deno.test("debug consoles read 0xe9 and hand on lines; exit ports end the run with the code", () => {
  const host = new FakeHost();
  new DebugConsole(host, "port-e9", 0xe9);
  const con = new DebugConsole(host, "debugcon", 0x402);
  new DebugExit(host, 0xf4);
  assertEquals([host.in(0xe9), host.in(0x402)], [0xe9, 0xe9]);
  for (const c of "ab\nc") host.out(0x402, c.charCodeAt(0));
  assertEquals(host.output, [{ device: "debugcon", text: "ab\n" }]);
  con.flush();
  assertEquals(host.output[1].text, "c");
  host.out(0xf4, 0x1234, 4);
  assertEquals([host.outcome?.kind, host.outcome?.code], ["exit", 0x1234]);
});

Deno.test("page registers keep bytes, POST codes included", () => {
  const host = new FakeHost();
  new PageRegisters(host);
  host.out(0x80, 0xa5);
  host.out(0x87, 3);
  assertEquals([host.in(0x80), host.in(0x87)], [0xa5, 3]);
});

Deno.test("PCI: the address reads back, no device is there, 0xcf9 resets on the rising edge", () => {
  const host = new FakeHost();
  new PciConfig(host);
  host.out(0xcf8, 0x80000000, 4);
  assertEquals(host.in(0xcf8, 4), 0x80000000);
  assertEquals(host.in(0xcfc, 4), 0xffffffff);
  host.out(0xcf8, 0xffffffff, 4);
  assertEquals(host.in(0xcf8, 4), 0x80fffffc);
  host.out(0xcf9, 2);
  assertEquals([host.outcome, host.in(0xcf9)], [null, 2]);
  host.out(0xcf9, 6);
  assertEquals(host.outcome?.kind, "reboot");
});

Deno.test("ACPI timer counts 3579545 Hz in 24 bits and interrupts at half ranges", () => {
  const host = new FakeHost();
  new AcpiPm(host);
  const at = (s: number) => {
    host.runTo(s * 1e9);
    return host.in(ACPI_PM.TIMER, 4);
  };
  assertEquals([at(0), at(1), at(10)], [0, PM_TIMER_HZ, PM_TIMER_HZ * 10 % 2 ** 24]);
  assertEquals(host.in(ACPI_PM.PM1A_EVENT, 2), 1, "bit 23 has changed");
  host.out(ACPI_PM.PM1A_EVENT, 1, 2);
  assertEquals(host.in(ACPI_PM.PM1A_EVENT, 2), 0);
  host.out(ACPI_PM.PM1A_EVENT + 2, 1, 2);
  assert(!host.lines[ACPI_PM.SCI]);
  const next = Math.ceil(PM_TIMER_HZ * 10 / 2 ** 23) * 2 ** 23 / PM_TIMER_HZ;
  at(next - 1e-6);
  assert(!host.lines[ACPI_PM.SCI]);
  at(next + 1e-6);
  assert(host.lines[ACPI_PM.SCI]);
  host.out(ACPI_PM.PM1A_EVENT, 1, 2);
  assert(!host.lines[ACPI_PM.SCI]);
});

Deno.test("ACPI control: SCI_EN is always on, S5 powers off, other sleep types suspend", () => {
  for (const [type, kind] of [[ACPI_PM.SLEEP_S5, "poweroff"], [1, "suspend"]] as const) {
    const host = new FakeHost();
    new AcpiPm(host);
    assertEquals(host.in(ACPI_PM.PM1A_CONTROL, 2), 1);
    host.out(ACPI_PM.PM1A_CONTROL, type << 10, 2);
    assertEquals([host.outcome, host.in(ACPI_PM.PM1A_CONTROL, 2)], [null, type << 10 & 0x1c00 | 1]);
    host.out(ACPI_PM.PM1A_CONTROL, type << 10 | 0x2000, 2);
    assertEquals(host.outcome?.kind, kind);
  }
});

Deno.test("fw_cfg gives signature, sizes, files by directory, zeros past the end", () => {
  const host = new FakeHost();
  new FwCfg(host, { memoryBytes: 0x4000000, vcpus: 2, files: { "opt/name": Uint8Array.of(7, 8, 9) } });
  const item = (key: number, n: number): number[] => {
    host.out(0x510, key, 2);
    return Array.from({ length: n }, () => host.in(0x511));
  };
  assertEquals(item(0, 6), [0x51, 0x45, 0x4d, 0x55, 0, 0]);
  assertEquals(item(1, 4), [1, 0, 0, 0]);
  assertEquals(item(3, 8), [0, 0, 0, 4, 0, 0, 0, 0]);
  assertEquals(item(5, 2), [2, 0]);
  const count = item(0x19, 4)[3], directory = item(0x19, 4 + 64 * count);
  const files = new Map<string, { size: number; key: number }>();
  for (let i = 0; i < count; i++) {
    const e = directory.slice(4 + i * 64, 68 + i * 64);
    const name = String.fromCharCode(...e.slice(8)).replace(/\0.*$/, "");
    files.set(name, { size: e[2] << 8 | e[3], key: e[4] << 8 | e[5] });
  }
  assertEquals([...files.keys()].sort(), [
    "etc/boot-fail-wait",
    "etc/e820",
    "etc/show-boot-menu",
    "opt/name",
  ]);
  assertEquals(item(files.get("opt/name")!.key, 4), [7, 8, 9, 0]);
  assertEquals(item(files.get("etc/e820")!.key, 20).slice(8), [0, 0, 0, 4, 0, 0, 0, 0, 1, 0, 0, 0]);
  assertEquals(item(0x7777, 2), [0, 0]);
});

Deno.test("VGA stores its registers, steps the palette, and shows deterministic retrace", () => {
  const host = new FakeHost(), vga = new Vga(host);
  host.out(0x3d4, 0x0e | 0x12 << 8, 2); // index and data in one word
  assertEquals(host.in(0x3d5), 0x12);
  host.in(0x3da);
  host.out(0x3c0, 0x10);
  host.out(0x3c0, 0x0c);
  host.in(0x3da); // resets the index/data flip-flop
  host.out(0x3c0, 0x10);
  assertEquals(host.in(0x3c1), 0x0c);
  host.out(0x3c8, 5);
  for (const v of [1, 2, 63]) host.out(0x3c9, v);
  host.out(0x3c7, 5);
  assertEquals([host.in(0x3c9), host.in(0x3c9), host.in(0x3c9)], [1, 2, 63]);
  const seen = new Set<number>();
  let frames = 0, last = 0;
  for (let us = 0; us < 1e6; us += 10) {
    host.clock.icount = us * 1000;
    const s = host.in(0x3da);
    if (s & 8 && !(last & 8)) frames++;
    last = s;
    seen.add(s);
  }
  assertEquals([...seen].sort(), [0, 1, 9]);
  assertEquals(frames, 70);
  [..."Hi \x01"].forEach((c, i) => host.mem.write16(0xb8000 + i * 2, 0x700 | c.charCodeAt(0)));
  assertEquals(vga.textScreen()[0], "Hi .");
  assertEquals(vga.textScreen().length, 25);
  host.out(0x3d4, 0x0d);
  host.out(0x3d5, 80);
  assertEquals(vga.textScreen()[0], "");
});

Deno.test("device states that do not fit are refused with a sentence that names device and field", () => {
  const vga = new Vga(new FakeHost());
  for (
    const bad of [null, 5, [], {}, { ...vga.save() as object, crtc: "00" }, {
      ...vga.save() as object,
      misc: "x",
    }]
  ) {
    assertThrows(() => vga.load(bad), GuestError, "Cannot restore vga");
  }
});

Deno.test("ACPI event block takes one 32-bit write of status and enable", () => {
  const host = new FakeHost();
  new AcpiPm(host);
  host.runTo(3e9);
  host.out(ACPI_PM.PM1A_EVENT, 0x0001_0000, 4);
  assertEquals([host.in(ACPI_PM.PM1A_EVENT, 4), host.lines[ACPI_PM.SCI]], [0x0001_0001, true]);
  host.out(ACPI_PM.PM1A_CONTROL, 0x0001_0000, 4);
  host.out(ACPI_PM.PM1A_EVENT, 0x0001_0001, 4);
  assertEquals([host.in(ACPI_PM.PM1A_EVENT, 4), host.lines[ACPI_PM.SCI]], [0x0001_0000, false]);
});
