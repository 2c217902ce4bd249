import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { GuestError } from "../core/config.ts";
import { load, makeBzImage, makeElf, readText } from "./boot_images.ts";

const MIB = 1 << 20;
const PAYLOAD = new Uint8Array(1000).fill(0x11);

Deno.test("Linux loader fills boot_params when given a bzImage with a ramdisk", () => {
  const image = makeBzImage(PAYLOAD, { initrdMax: 0x37ff_ffff });
  const ramdisk = { role: "ramdisk", name: "initrd", bytes: new Uint8Array(5000).fill(7) };
  const { boot, mem } = load(image, { type: "linux", xen: false, cmdline: "quiet" }, [ramdisk]);
  const params = boot.startInfo ?? 0;
  assertEquals([boot.entry.mode, boot.entry.rip, boot.entry.regs.esi], ["prot32", 0x100_0000, params]);
  assertEquals([boot.entry.cs.selector, boot.entry.data.selector], [0x10, 0x18]);
  // The descriptors in memory say what the hidden parts say: flat, 32 bits.
  assertEquals(
    mem.read(boot.entry.gdtr.base + 0x10, 8),
    new Uint8Array([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]),
  );
  assertEquals(
    mem.read(boot.entry.gdtr.base + 0x18, 8),
    new Uint8Array([0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]),
  );
  assertEquals(mem.read(0x100_0000, 256 + PAYLOAD.length), image.slice(5 * 512));
  assertEquals(mem.read32(params + 0x202), 0x5372_6448);
  assertEquals(mem.read8(params + 0x210), 0xff);
  assertEquals(mem.read32(params + 0x214), 0x100_0000);
  const at = mem.read32(params + 0x218), size = mem.read32(params + 0x21c);
  assertEquals(mem.read(at, size), ramdisk.bytes);
  assert(at % 4096 === 0 && at + size <= 64 * MIB && at > 60 * MIB);
  assertEquals(readText(mem, mem.read32(params + 0x228)), "quiet");
  const map = [];
  for (let i = 0; i < mem.read8(params + 0x1e8); i++) {
    const e = params + 0x2d0 + i * 20;
    map.push([mem.read32(e), mem.read32(e + 8), mem.read32(e + 16)]);
  }
  assertEquals(map, [[0, 0x9fc00, 1], [0x9fc00, 0x400, 2], [0xf0000, 0x10000, 2], [MIB, 63 * MIB, 1]]);
  assertEquals(mem.read32(params + 0x1e0), 63 * 1024);
});

Deno.test("Linux loader keeps the ramdisk below the kernel's limit when memory reaches beyond it", () => {
  const image = makeBzImage(PAYLOAD, { initrdMax: 40 * MIB - 1 });
  const ramdisk = { role: "ramdisk", name: "initrd", bytes: new Uint8Array(4097) };
  const { boot, mem } = load(image, { type: "linux", xen: false }, [ramdisk]);
  assertEquals(mem.read32((boot.startInfo ?? 0) + 0x218), 40 * MIB - 8192);
});

Deno.test("Linux loader refuses with one sentence when header, sizes or command line are wrong", () => {
  const linux = { type: "linux", xen: false } as const;
  const image = makeBzImage(PAYLOAD, { cmdlineSize: 100 });
  assertThrows(() => load(makeElf(), linux), GuestError, "setup header");
  assertThrows(() => load(image, { ...linux, cmdline: "x".repeat(101) }), GuestError, "takes 100");
  assertEquals(load(image, { ...linux, cmdline: "x".repeat(100) }).boot.format, "bzimage");
  assertThrows(() => load(image, { ...linux, memoryBytes: 16 * MIB }), GuestError, "which is not RAM");
  const ramdisk = { role: "ramdisk", name: "initrd", bytes: new Uint8Array(47 * MIB) };
  assertThrows(() => load(image, linux, [ramdisk]), GuestError, "between the kernel's end");
  const old = image.slice();
  old[0x206] = 5;
  assertThrows(() => load(old, linux), GuestError, "boot protocol 2.5 is older");
  const low = image.slice();
  low[0x211] = 0;
  assertThrows(() => load(low, linux), GuestError, "zImage");
  assertThrows(() => load(image.slice(0, 2560), linux), GuestError, "the file ends at");
});

/** A multiboot header at `at` in a file of `size` bytes. */
function multibootImage(at: number, size: number, flags: number, ...address: number[]): Uint8Array {
  const out = new Uint8Array(size).fill(0xf4);
  const view = new DataView(out.buffer);
  [0x1bad_b002, flags, -(0x1bad_b002 + flags), ...address].forEach((v, i) =>
    view.setUint32(at + i * 4, v, true)
  );
  return out;
}

Deno.test("multiboot loader uses the address fields when the header gives them", () => {
  // Header at file offset 0x40 is loaded at 0x200140: the image begins at offset 0 for 0x200100.
  const image = multibootImage(0x40, 0x300, 0x1_0003, 0x20_0140, 0x20_0100, 0x20_0300, 0x20_1000, 0x20_0180);
  const { boot, mem } = load(image, { type: "multiboot", xen: false, cmdline: "a b" }, [
    { role: "module1", name: "first", bytes: new Uint8Array([1, 2, 3]) },
    { role: "module2", name: "second", bytes: new Uint8Array([4, 5]) },
  ]);
  const info = boot.startInfo ?? 0;
  assertEquals([boot.entry.mode, boot.entry.rip], ["prot32", 0x20_0180]);
  assertEquals(boot.entry.regs, { eax: 0x2bad_b002, ebx: info });
  assertEquals(mem.read(0x20_0100, 0x200), image.slice(0, 0x200));
  assertEquals(mem.read8(0x20_0300), 0);
  assertEquals(mem.read32(info) & 0x24d, 0x24d);
  assertEquals([mem.read32(info + 4), mem.read32(info + 8)], [639, 63 * 1024]);
  assertEquals(readText(mem, mem.read32(info + 16)), "a b");
  assertEquals(mem.read32(info + 20), 2);
  const modules = mem.read32(info + 24);
  assertEquals(
    mem.read(mem.read32(modules), mem.read32(modules + 4) - mem.read32(modules)),
    new Uint8Array([1, 2, 3]),
  );
  assertEquals(readText(mem, mem.read32(modules + 24)), "second");
  assertEquals(mem.read32(modules) % 4096, 0);
  assertEquals(readText(mem, mem.read32(info + 64)), "retrovisor");
  let total = 0;
  const map = mem.read32(info + 48), end = map + mem.read32(info + 44);
  for (let at = map; at < end; at += mem.read32(at) + 4) {
    if (mem.read32(at + 20) === 1) total += mem.read32(at + 12);
  }
  assertEquals(total, 63 * MIB + 0x9fc00);
});

Deno.test("multiboot loader reads the ELF headers when there are no address fields", () => {
  const code = multibootImage(4, 64, 2);
  const { boot, mem } = load(makeElf({ segments: [{ paddr: 0x30_0000, bytes: code }], pvhEntry: null }), {
    type: "multiboot",
    xen: false,
  });
  assertEquals([boot.format, boot.entry.rip], ["multiboot", 0x30_0000]);
  assertEquals(mem.read(0x30_0000, 64), code);
});

Deno.test("multiboot loader refuses with one sentence when header or addresses are wrong", () => {
  const go = (image: Uint8Array): string => {
    const e = assertThrows(() => load(image, { type: "multiboot", xen: false }), GuestError);
    assert(/^Cannot .*; .*\.$/.test(e.message) && !e.message.includes("\n"), e.message);
    return e.message;
  };
  assertStringIncludes(go(new Uint8Array(100)), "no multiboot header in the first 8 KiB");
  assertStringIncludes(go(multibootImage(8192, 9000, 3)), "no multiboot header");
  assertStringIncludes(go(multibootImage(0, 100, 0x80)), "require something unknown");
  assertStringIncludes(go(multibootImage(0, 100, 3)), "no ELF magic number");
  const kludge = (...fields: number[]) => multibootImage(0, 0x100, 0x1_0000, ...fields);
  assertStringIncludes(go(kludge(0x20_0000, 0x20_0010, 0, 0, 0x20_0000)), "does not agree with load address");
  assertStringIncludes(go(kludge(0x20_0000, 0x20_0000, 0x10_0000, 0, 0x20_0000)), "before the load address");
  assertStringIncludes(go(kludge(0x20_0000, 0x20_0000, 0x30_0000, 0, 0x20_0000)), "the file ends at");
  assertStringIncludes(go(kludge(0x20_0000, 0x20_0000, 0, 0xf000_0000, 0x20_0000)), "does not lie in RAM");
  assertStringIncludes(go(kludge(0x20_0000, 0x20_0000, 0, 0, 0x40_0000)), "is not loaded");
});

Deno.test("BIOS loader maps the image under 4 GiB and below 1 MiB and starts at the reset vector", () => {
  const image = Uint8Array.from({ length: 256 << 10 }, (_, i) => i ^ i >> 8 ^ i >> 16);
  const { boot, mem } = load(image, { type: "bios", xen: false, memoryBytes: 4 * MIB });
  assertEquals([boot.entry.mode, boot.entry.rip, boot.entry.cs.base], ["real", 0xfff0, 0xffff_0000]);
  assertEquals([boot.entry.cs.selector, boot.entry.cs.limit, boot.entry.cr0 & 1], [0xf000, 0xffff, 0]);
  assertEquals(mem.read(2 ** 32 - image.length, image.length), image);
  assertEquals(mem.read(0xe_0000, 0x2_0000), image.slice(-0x2_0000));
  mem.write8(2 ** 32 - 16, 0x99);
  assertEquals(mem.read8(2 ** 32 - 16), image[image.length - 16]);
  mem.write8(0xf_0000, 0x99);
  assertEquals(mem.read8(0xf_0000), 0x99);
  for (const size of [0, 1000, 32 << 10, 512 << 10]) {
    assertThrows(
      () => load(new Uint8Array(size), { type: "bios", xen: false }),
      GuestError,
      "is not a BIOS size",
    );
  }
});

Deno.test("flat loader enters in each mode when the configuration says where", () => {
  const code = new Uint8Array([0x90, 0xf4]);
  const at = (mode: "real" | "prot32" | "long", load_: number, entry: number) =>
    load(code, { type: "flat", xen: false, memoryBytes: 2 * MIB, flat: { load: load_, entry, mode } });
  const real = at("real", 0x7c00, 0x7c01);
  assertEquals(real.boot.entry.cs.base + real.boot.entry.rip, 0x7c01);
  assertEquals(real.boot.entry.cs.selector * 16, real.boot.entry.cs.base);
  assertEquals(real.mem.read(0x7c00, 2), code);
  assertEquals(at("prot32", 0x10_0000, 0x10_0000).boot.entry.rip, 0x10_0000);
  const { boot, mem } = at("long", 0x10_0000, 0x10_0001);
  assertEquals([boot.entry.rip, boot.entry.cr4 & 0x20, boot.entry.efer & 0x500], [0x10_0001, 0x20, 0x500]);
  // Walk the page tables by hand for an address in each GiB: it must map to itself.
  for (const linear of [0x12_3456, 0x4765_4321, 0x8000_0000, 0xfee0_0123]) {
    const pdpt = mem.read32(boot.entry.cr3) & ~0xfff;
    const directory = mem.read32(pdpt + Math.floor(linear / 2 ** 30) * 8);
    const entry = mem.read32((directory & ~0xfff) + (Math.floor(linear / 2 ** 21) & 511) * 8);
    assertEquals(entry & 0x83, 0x83);
    assertEquals(((entry & 0xffe0_0000) >>> 0) + linear % 2 ** 21, linear);
  }
  assertThrows(() => at("long", 2 * MIB - 4096, 0), GuestError, "page tables");
  assertThrows(() => at("real", 0xf_0000, 0x20_0000), GuestError, "real mode's reach");
  assertThrows(() => at("prot32", 0xa_0000, 0xa_0000), GuestError, "do not lie in RAM");
});

Deno.test("loader refuses with one sentence when the kernel or its address is missing", () => {
  assertThrows(
    () => load(new Uint8Array(2), { type: "flat", xen: false }),
    GuestError,
    "set load=, entry= and mode=",
  );
});
