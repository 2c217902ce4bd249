/** A halted processor that lets no interrupt in: stopped for good, or waiting for what cannot be held back. */
import { assertEquals } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";

const le = (n: number): number[] => [n & 0xff, n >>> 8 & 0xff, n >>> 16 & 0xff, n >>> 24];
/** mov dword [address], value */
const store = (address: number, value: number): number[] => [0xc7, 0x05, ...le(address), ...le(value)];
/** out port, value */
const out = (port: number, value: number): number[] => [0xb0, value, 0xe6, port];

/** How a guest ends that arms the 8254 and halts without IF; interrupt vectors are not set up: an NMI is a triple fault. */
function ending(setUp: number[]): { kind: string | undefined; icount: number } {
  const code = [...setUp, ...out(0x43, 0x30), ...out(0x40, 0), ...out(0x40, 0x10), 0xf4];
  const m = createMachine(
    {
      ...DEFAULT_CONFIG,
      type: "flat",
      xen: false,
      platform: "pc",
      memoryBytes: 2 << 20,
      flat: { load: 0x1000, entry: 0x1000, mode: "prot32" },
    },
    [{ role: "kernel", name: "halt", bytes: Uint8Array.from(code) }],
    new NoInputs(),
  );
  m.runUntil(1000);
  return { kind: m.outcome?.kind, icount: m.icount };
}

Deno.test("a processor halted without IF is stopped for good when its timer's interrupts are maskable", () => {
  assertEquals(ending([]), { kind: "halted", icount: 7 });
});

Deno.test("a processor halted without IF waits for the timer when an I/O APIC entry makes NMIs of it", () => {
  const setUp = [...store(0xfec0_0000, 0x14), ...store(0xfec0_0010, 0x400)];
  assertEquals(ending(setUp), { kind: "triple-fault", icount: 9 });
});

Deno.test("a processor halted without IF waits for the 8259s when LINT0 is an NMI", () => {
  // The 8259s: vectors from 0x20, IRQ 0 alone unmasked.
  const pic = [...out(0x20, 0x11), ...out(0x21, 0x20), ...out(0x21, 4), ...out(0x21, 1), ...out(0x21, 0xfe)];
  const setUp = [...pic, ...store(0xfee0_00f0, 0x1ff), ...store(0xfee0_0350, 0x400)];
  assertEquals(ending(setUp), { kind: "triple-fault", icount: 19 });
});
