import { assert, assertEquals, assertThrows } from "@std/assert";
import { codeSymbols, fileSymbols, guestSymbols } from "../core/boot/guest_symbols.ts";
import { decodeKallsyms } from "../core/boot/kallsyms.ts";
import { kernelSlide } from "../core/boot/kernel_image.ts";
import { readSymbolFile } from "../core/boot/symbol_file.ts";
import { GuestError } from "../core/config.ts";
import { PhysMem } from "../core/mmu/physmem.ts";
import { demoImage } from "../guests/demo/image.ts";
import { makeElf, seededRandom } from "./boot_images.ts";
import { type MadeLayout, type MadeSymbol, makeKallsyms } from "./kallsyms_fixture.ts";

const BASE = 0xffff_ffff_8100_0000n;

/** Symbols with names of all lengths, several markers' worth of them, two at one address, some of them per-CPU. */
function madeSymbols(base: bigint, percpu: boolean, n = 700): MadeSymbol[] {
  const list: MadeSymbol[] = percpu ? [{ address: 0n, type: "A", name: "cpu_start" }] : [];
  for (let i = 0; i < n; i++) {
    const name = i === 5 ? "long_" + "name_of_".repeat(60) : `function_${i}.part.${i % 7}`;
    list.push({ address: base + BigInt(i >> 1) * 32n, type: "tTdD"[i % 4], name });
  }
  return list;
}

const LAYOUTS: MadeLayout[] = [
  { bits: 64, layout: "6.1", seqs: true, percpu: true, base: BASE, around: 4001 },
  { bits: 64, layout: "6.1", seqs: false, percpu: true, base: BASE, around: 0 },
  { bits: 64, layout: "6.4", seqs: true, percpu: true, base: BASE, around: 99 },
  { bits: 32, layout: "6.1", seqs: true, percpu: false, base: 0xc100_0000n, around: 1001 },
  { bits: 32, layout: "6.4", seqs: false, percpu: false, base: 0xc100_0000n, around: 8 },
];

for (const l of LAYOUTS) {
  Deno.test(`kallsyms of ${l.bits} bits as ${l.layout} lays them out${l.seqs ? " with the order of names" : ""} are decoded`, () => {
    const made = madeSymbols(l.base, l.percpu);
    const decoded = decodeKallsyms(makeKallsyms(made, l), l.bits);
    assert(decoded !== null);
    assertEquals(decoded.symbols.map(({ address, type, name }) => ({ address, type, name })), made);
    assertEquals(decoded.symbols.filter((s) => s.absolute).length, l.percpu ? 1 : 0);
    assertEquals(decoded.relativeBase, l.base);
  });
}

Deno.test("kallsyms are none in what has none", () => {
  assertEquals(decodeKallsyms(new Uint8Array(100_000), 64), null);
  assertEquals(decodeKallsyms(demoImage(), 64), null);
  // Digits alone, as in any table of characters.
  assertEquals(
    decodeKallsyms(
      new TextEncoder().encode("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0".repeat(9)),
      64,
    ),
    null,
  );
});

Deno.test("kallsyms that were changed or cut end in a table that holds together or in none", () => {
  const random = seededRandom(11);
  let none = 0;
  for (const l of LAYOUTS) {
    const image = makeKallsyms(madeSymbols(l.base, l.percpu, 300), l);
    for (let i = 0; i < 300; i++) {
      let bytes = image.slice();
      for (let n = 1 + random() % 4; n > 0; n--) bytes[random() % bytes.length] = random();
      if (i % 3 === 0) bytes = bytes.subarray(0, random() % bytes.length);
      const decoded = decodeKallsyms(bytes, l.bits);
      if (decoded === null) none++;
      else assert(decoded.symbols.every((s) => /^[!-~]*$/.test(s.name)), `seed 11, change ${i}`);
    }
  }
  assert(none > 300 && none < 1500, `${none} of 1500 gave no table`);
});

Deno.test("sizes of symbols reach to the next one, whatever its kind, and the first name at an address counts", () => {
  const s = (start: number, type: string, name: string, size = 0) => ({
    start: BigInt(start),
    size,
    type,
    name,
    module: null,
  });
  const rows = codeSymbols(
    [
      s(0x100, "T", "a"),
      s(0x100, "t", "alias"),
      s(0x140, "d", "data"),
      s(0x150, "W", "weak"),
      s(0x160, "t", "sized", 7),
    ],
    "vmlinuz",
    "kallsyms",
  );
  assertEquals(rows.map((r) => [Number(r.start), r.size, r.name]), [
    [0x100, 0x40, "a"],
    [0x150, 0x10, "weak"],
    [0x160, 7, "sized"],
  ]);
  assertEquals(codeSymbols([s(0x100, "t", "last")], "", "")[0].size, 4096);
});

Deno.test("System.map and /proc/kallsyms are read, with modules; other files are refused in one sentence", () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  const file = readSymbolFile(
    "map",
    encode(
      "ffffffff81000000 T _text\nffffffff81000040 t helper.isra.0\n\nffffffffc0000000 t probe\t[virtio_net]\r\n",
    ),
  );
  assertEquals(fileSymbols(file, null, 0).map((s) => [s.start, s.name, s.module, s.source]), [
    [BASE, "_text", "map", "System.map"],
    [BASE + 0x40n, "helper.isra.0", "map", "System.map"],
    [0xffff_ffff_c000_0000n, "probe", "virtio_net", "System.map"],
  ]);
  assertEquals(readSymbolFile("demo", demoImage()).source, "elf");
  for (
    const [text, why] of [
      ["", "has no addresses"],
      ["0000000000000000 T _text\n", "has no addresses"],
      ["ffffffffffffffff B The real System.map is in the linux-image-dbg package\n", "line 1 is not"],
      ["c1000000 T a\nc1000000 T \x1b[2J\n", "line 2 is not"],
    ]
  ) {
    const error = assertThrows(() => readSymbolFile("map", encode(text)), GuestError);
    assert(error.message.includes(why) && !error.message.includes("\n"), error.message);
  }
});

Deno.test("a kernel that moved itself is found in guest memory by its table and its relative base", () => {
  const layout: MadeLayout = { bits: 64, layout: "6.1", seqs: true, percpu: true, base: BASE, around: 4096 };
  const made = madeSymbols(BASE, true), table = makeKallsyms(made, layout);
  const kallsyms = decodeKallsyms(table, 64)!;
  const image = kernelOf(table, kallsyms);
  const mem = new PhysMem(8 << 20);
  mem.map(0, 8 << 20);
  assertEquals(kernelSlide(image, mem), null);
  mem.write(0x10_0000, table);
  assertEquals(kernelSlide(image, mem), 0);
  // What was unpacked first stays behind where it was; the copy that runs has been relocated.
  const moved = table.slice();
  new DataView(moved.buffer).setBigUint64(kallsyms.relativeBaseOffset, BASE + 0x1a0_0000n, true);
  mem.write(0x40_0000, moved);
  assertEquals(kernelSlide(image, mem), 0x1a0_0000);
  // A base that no kernel has moves nothing.
  new DataView(moved.buffer).setBigUint64(kallsyms.relativeBaseOffset, 0x1234n, true);
  mem.write(0x40_0000, moved);
  assertEquals(kernelSlide(image, mem), 0);
});

/** A kernel whose only segment is the table, at 1 MiB. */
function kernelOf(table: Uint8Array, kallsyms: NonNullable<ReturnType<typeof decodeKallsyms>>) {
  const segment = {
    offset: 0,
    fileBytes: table.length,
    paddr: 0x10_0000,
    vaddr: 0,
    memBytes: table.length,
    at: 0,
  };
  const elf = { bits: 64 as const, machine: 62, entry: 0, segments: [segment], noteRanges: [], sections: [] };
  const reader = { name: "kernel", bytes: table, length: table.length };
  return { name: "kernel", reader: reader as never, elf, kallsyms, orc: null };
}

Deno.test("symbols of a guest come from its ELF table, and from the user's file when there is one", () => {
  const demo = [{ role: "kernel", name: "demo", bytes: demoImage() }];
  const own = guestSymbols(demo, 0);
  assert(own.length > 40 && own.every((s) => s.source === "elf" && s.module === "demo"));
  const file = readSymbolFile("map", new TextEncoder().encode("00100000 T only\n"));
  assertEquals(guestSymbols(demo, 0, file).map((s) => [s.name, s.source]), [["only", "System.map"]]);
  assertEquals(guestSymbols([{ role: "kernel", name: "none", bytes: makeElf() }], 0), []);
  assertEquals(guestSymbols([{ role: "kernel", name: "junk", bytes: new Uint8Array(100) }], 0), []);
});
