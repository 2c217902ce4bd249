import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describeImage } from "../core/boot/describe.ts";
import { MemoryType } from "../core/boot/types.ts";
import { GuestError } from "../core/config.ts";
import { demoImage } from "../guests/demo/image.ts";
import { load, makeBzImage, makeElf, read64, readText } from "./boot_images.ts";

const MIB = 1 << 20;

for (const bits of [32, 64] as const) {
  Deno.test(`PVH loader places an ELF${bits} kernel and enters by its note`, () => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i * 7);
    const { boot, mem } = load(
      makeElf({ bits, segments: [{ paddr: 0x20_0000, bytes, extra: 9000 }], pvhEntry: 0x20_0010 }),
    );
    assertEquals(boot.format, bits === 32 ? "pvh-elf32" : "pvh-elf64");
    assertEquals(boot.entry.mode, "prot32");
    assertEquals(boot.entry.rip, 0x20_0010);
    assertEquals(boot.entry.cr0, 0x11);
    assertEquals([boot.entry.cr4, boot.entry.efer], [0, 0]);
    assertEquals(boot.entry.cs, { selector: 0, base: 0, limit: 0xffff_ffff, attr: 0xc9b });
    assertEquals(boot.entry.data, { selector: 0, base: 0, limit: 0xffff_ffff, attr: 0xc93 });
    assertEquals(boot.entry.tr, { selector: 0, base: 0, limit: 0x67, attr: 0x8b });
    assertEquals(mem.read(0x20_0000, bytes.length), bytes);
    assertEquals(mem.read(0x20_0000 + bytes.length, 9000), new Uint8Array(9000));
  });
}

Deno.test("PVH start info describes modules, command line, tables and memory when all are given", () => {
  const ramdisk = new Uint8Array(5000).fill(0xab), second = new Uint8Array([1, 2, 3]);
  const acpi = { rsdp: 0xfc00_0000, blobs: [{ gpa: 0xfc00_0000, bytes: new Uint8Array(0x8040).fill(0x5a) }] };
  const { boot, mem } = load(makeElf(), { cmdline: "console=hvc0 é", startInfoFlags: 3 }, [
    { role: "module1", name: "second", bytes: second },
    { role: "ramdisk", name: "initrd", bytes: ramdisk },
  ], acpi);
  const info = boot.startInfo ?? 0;
  assertEquals(boot.entry.regs, { ebx: info });
  assertEquals(info % 8, 0);
  assertEquals(mem.read32(info), 0x336e_c578);
  assertEquals(mem.read32(info + 4), 1);
  assertEquals(mem.read32(info + 8), 3);
  assertEquals(mem.read32(info + 12), 2);
  const modules = read64(mem, info + 16);
  assertEquals(mem.read(read64(mem, modules), read64(mem, modules + 8)), ramdisk);
  assertEquals(mem.read(read64(mem, modules + 32), read64(mem, modules + 40)), second);
  assertEquals(read64(mem, modules) % 4096, 0);
  assertEquals(readText(mem, read64(mem, info + 24)), "console=hvc0 é");
  assertEquals(read64(mem, info + 32), 0xfc00_0000);
  assertEquals(mem.read8(0xfc00_803f), 0x5a);
  const map = read64(mem, info + 40), regions: number[][] = [];
  for (let i = 0; i < mem.read32(info + 48); i++) {
    regions.push([read64(mem, map + i * 24), read64(mem, map + i * 24 + 8), mem.read32(map + i * 24 + 16)]);
  }
  // What Xen's toolstack tells a PVH domain (libxl_x86.c).
  assertEquals(regions, [
    [0, 64 * MIB, MemoryType.RAM],
    [0xfc00_0000, 0x9000, MemoryType.ACPI],
    [0xfeff_8000, 0x8000, MemoryType.RESERVED],
  ]);
  assert(mem.isBacked(0xfeff_8000, 0x8000));
});

Deno.test("PVH start info holds null pointers when there are no modules and no tables", () => {
  const { boot, mem } = load(makeElf());
  const info = boot.startInfo ?? 0;
  assertEquals([mem.read32(info + 12), read64(mem, info + 16), read64(mem, info + 32)], [0, 0, 0]);
  assertEquals(readText(mem, read64(mem, info + 24)), "");
});

Deno.test("PVH loader gives a PC's memory map when there is no Xen", () => {
  const { boot, mem } = load(makeElf(), { xen: false });
  assertEquals(boot.memoryMap.map((m) => [m.addr, m.size, m.type]), [
    [0, 0x9fc00, 1],
    [0x9fc00, 0x400, 2],
    [0xf0000, 0x10000, 2],
    [MIB, 63 * MIB, 1],
  ]);
  assert(!mem.isBacked(0xa0000, 1) && mem.isBacked(0xc0000, 0x40000) && !mem.isBacked(64 * MIB, 1));
  assert(!mem.isBacked(0xfeff_8000, 1));
});

Deno.test("PVH loader finds the kernel inside a bzImage when its payload is packed", async () => {
  const elf = makeElf({
    bits: 64,
    segments: [{ paddr: 0x100_0000, bytes: new Uint8Array(70_000).fill(0x90) }],
  });
  const gzip = new Response(new Response(elf.slice()).body!.pipeThrough(new CompressionStream("gzip")));
  const image = makeBzImage(await gzip.bytes());
  assertEquals(describeImage(image), "bzimage");
  const { boot, mem } = load(image);
  assertEquals([boot.format, boot.entry.rip], ["pvh-elf64", 0x100_0000]);
  assertEquals(mem.read8(0x100_0000 + 69_999), 0x90);
});

Deno.test("PVH loader accepts the demo guest and names its functions", () => {
  const { boot } = load(demoImage());
  const sieve = boot.symbols.find((s) => s.name === "sieve");
  assert(sieve && sieve.size > 20 && sieve.start > 0x10_0000n);
  const entry = boot.symbols.find((s) => s.name === "pvh_start");
  assertEquals(Number(entry?.start), boot.entry.rip);
  for (let i = 1; i < boot.symbols.length; i++) {
    assert(
      boot.symbols[i - 1].start + BigInt(boot.symbols[i - 1].size) <= boot.symbols[i].start,
      boot.symbols[i].name,
    );
  }
});

/** Changes bytes of a copy. */
function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

const elf32 = makeElf();
const overlapping = makeElf({
  segments: [{ paddr: 0x20_0000, bytes: new Uint8Array(8192) }, {
    paddr: 0x20_1000,
    bytes: new Uint8Array(10),
  }],
});
const MALFORMED: [string, Uint8Array, string][] = [
  ["is empty", new Uint8Array(0), "at offset 0x0, there is no ELF magic number"],
  ["is cut off in its header", elf32.slice(0, 30), "the ELF header needs 52 bytes"],
  ["is of an unknown class", patched(elf32, 4, 3), "at offset 0x4, ELF class 3"],
  ["is big-endian", patched(elf32, 5, 2), "not little-endian"],
  ["is an object file", patched(elf32, 16, 1), "ELF type 1 is not an executable"],
  ["is for ARM", patched(elf32, 18, 40), "ELF machine 40 is not x86"],
  ["has no program headers", patched(elf32, 44, 0, 0), "there are no program headers"],
  ["has too many program headers", patched(elf32, 44, 0xff, 0xff), "65535 program headers are more than 128"],
  ["has program headers of another size", patched(elf32, 42, 33), "program headers of 33 bytes"],
  ["has its program headers outside", patched(elf32, 28, 0, 0, 0, 0x40), "the program header table needs"],
  ["has a segment outside the file", patched(elf32, 52 + 4, 0xff, 0xff), "but the file ends at"],
  ["has more file than memory", patched(elf32, 52 + 20, 1, 0), "p_filesz 0x3 is larger than p_memsz 0x1"],
  [
    "has a segment outside RAM",
    patched(elf32, 52 + 12, 0, 0, 0, 0x10),
    "does not lie in RAM, which ends at 0x4000000",
  ],
  ["has a segment that wraps around", patched(elf32, 52 + 12, 0, 0xff, 0xff, 0xff), "does not lie in RAM"],
  ["has overlapping segments", overlapping, "overlaps the one at 0x200000"],
  ["has no note", makeElf({ pvhEntry: null }), "no Xen PHYS32_ENTRY note"],
  ["has a note of another size", makeElf({ descBytes: 2 }), "has 2 bytes, not 4 or 8"],
  ["has a note that leaves its segment", patched(elf32, 116 + 4, 0xff), "leaves its segment"],
  [
    "enters outside its segments",
    makeElf({ pvhEntry: 0x50_0000 }),
    "the PVH entry point 0x500000 lies outside",
  ],
];

for (const [how, bytes, message] of MALFORMED) {
  Deno.test(`PVH loader refuses with one sentence when the kernel ${how}`, () => {
    const error = assertThrows(() => load(bytes), GuestError);
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.message, "kernel.elf");
    assert(/^Cannot .*; .*\.$/.test(error.message) && !error.message.includes("\n"), error.message);
  });
}

Deno.test("PVH loader refuses when command line, memory or modules do not fit", () => {
  assertThrows(
    () => load(elf32, { cmdline: "x".repeat(4096) }),
    GuestError,
    "4096 bytes and the kernel takes 4095",
  );
  assertThrows(() => load(elf32, { cmdline: "a\0b" }), GuestError, "NUL");
  assertThrows(() => load(elf32, { memoryBytes: 1000 }), GuestError, "multiple of 4096");
  assertThrows(() => load(elf32, { memoryBytes: 2 ** 32 }), GuestError, "between 1 MiB and 3 GiB");
  const big = { role: "ramdisk", name: "initrd.img", bytes: new Uint8Array(63 * MIB) };
  assertThrows(() => load(elf32, {}, [big]), GuestError, "Cannot place initrd.img");
  const many = Array.from(
    { length: 65 },
    (_, i) => ({ role: `module${i + 1}`, name: "m", bytes: new Uint8Array(1) }),
  );
  assertThrows(() => load(elf32, {}, many), GuestError, "at most 64");
});
