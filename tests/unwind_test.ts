import { assert, assertEquals } from "@std/assert";
import { ImageReader } from "../core/boot/bytes.ts";
import type { ElfFile } from "../core/boot/elf.ts";
import { OrcReg, type OrcTable, orcTable, OrcType } from "../core/boot/orc.ts";
import type { Cpu } from "../core/cpu/cpu.ts";
import { Gpr } from "../core/cpu/state.ts";
import * as L from "../core/layout.ts";
import { PhysMem } from "../core/mmu/physmem.ts";
import { FRAMES_MAX, Unwinder } from "../core/unwind.ts";
import { seededRandom } from "./boot_images.ts";

/** Where the kernel of these tests was linked, as a signed number. */
const TEXT = -0x7f00_0000;
const SLIDE = 0x1a0_0000;

interface Entry {
  /** Bytes from TEXT. */
  at: number;
  sp?: number;
  spOffset?: number;
  bp?: number;
  bpOffset?: number;
  type?: number;
}

/** Numbers of Linux 6.4 for our types. */
const RECENT = new Map<number, number>([[OrcType.CALL, 2], [OrcType.REGS, 3], [OrcType.REGS_PARTIAL, 4], [
  OrcType.END,
  1,
]]);

/** Tables as the build of a kernel makes them, padded with calls so that those are what most entries are. */
function tableOf(entries: readonly Entry[], recent = false): OrcTable {
  const filler = Array.from(
    { length: 40 },
    (_, i): Entry => ({ at: 0x10_0000 + i * 16, sp: OrcReg.SP, spOffset: 8 }),
  );
  const all = [...entries, ...filler, { at: 0x20_0000, sp: 0 }];
  const bytes = new Uint8Array(all.length * 10), view = new DataView(bytes.buffer), split = all.length * 4;
  const place = -0x7000_0000;
  all.forEach((e, i) => {
    view.setInt32(i * 4, TEXT + e.at - (place + i * 4), true);
    view.setInt16(split + i * 6, e.spOffset ?? 0, true);
    view.setInt16(split + i * 6 + 2, e.bpOffset ?? 0, true);
    const type = e.type ?? OrcType.CALL;
    const coded = recent ? RECENT.get(e.sp === 0 ? OrcType.END : type)! : type;
    view.setUint16(split + i * 6 + 4, (e.sp ?? 0) | (e.bp ?? 0) << 4 | coded << 8, true);
  });
  const section = (name: string, address: number, offset: number, size: number) => ({
    name,
    type: 1,
    address,
    offset,
    size,
    link: 0,
    entrySize: 0,
  });
  const sections = [
    section(".orc_unwind_ip", place, 0, split),
    section(".orc_unwind", place + split, split, all.length * 6),
  ];
  const elf: ElfFile = { bits: 64, machine: 62, entry: 0, segments: [], noteRanges: [], sections };
  const table = orcTable(new ImageReader("kernel", bytes), elf);
  assert(table !== null);
  return table;
}

/** A processor with memory at 0 to 1 MiB and registers by number; `put` writes words of 64 bits. */
function processor(registers: Record<number, number>) {
  const mem = new PhysMem(1 << 20);
  mem.map(0, 1 << 20);
  const put = (la: number, ...words: number[]) =>
    words.forEach((w, i) => {
      mem.write32(la + i * 8, w >>> 0);
      mem.write32(la + i * 8 + 4, Math.floor(w / 2 ** 32) >>> 0);
    });
  const s = {
    num: (offset: number) => registers[(offset - L.GPR) / 8] ?? 0,
    lo: (r: number) => (registers[r] ?? 0) >>> 0,
    code64: true,
  };
  const mmu = { mem, tryTranslate: (la: number) => la >= 0 && la < 1 << 20 ? la : -1 };
  const cpu = { s, mmu } as unknown as Cpu;
  return { unwinder: new Unwinder(cpu), put, mem, s };
}

/** Return addresses as bytes from where the kernel's text is now. */
function places(stack: bigint[]): number[] {
  return stack.map((a) => Number(BigInt.asIntN(64, a)) - TEXT - SLIDE);
}

const at = (bytes: number) => TEXT + SLIDE + bytes;

for (const recent of [false, true]) {
  Deno.test(`stacks are read by ORC tables as ${recent ? "Linux 6.4" : "Linux 6.1"} numbers them`, () => {
    const table = tableOf([
      { at: 0, sp: OrcReg.SP, spOffset: 24 },
      { at: 0x100, sp: OrcReg.BP, spOffset: 16, bp: OrcReg.PREV_SP, bpOffset: -16 },
      { at: 0x200, sp: OrcReg.SP, spOffset: 8, bp: OrcReg.PREV_SP, bpOffset: -16 },
      { at: 0x300, sp: OrcReg.SP_INDIRECT, spOffset: 8 },
      { at: 0x400, sp: OrcReg.SP, spOffset: 0, type: OrcType.REGS },
      { at: 0x500, sp: OrcReg.SP, spOffset: 16, type: OrcType.REGS_PARTIAL },
      { at: 0x600, sp: OrcReg.UNDEFINED },
    ], recent);
    const cpu = processor({ [Gpr.SP]: 0x1000, [Gpr.BP]: 0x1100 });
    // The first instruction of 0x100 is what follows a call that does not return: the frame is 0x0's.
    cpu.put(0x1010, at(0x110));
    // In 0x100, by BP; it saved its caller's.
    cpu.put(0x1100, 0x1200, at(0x208));
    cpu.put(0x1110, at(0x310));
    // In 0x300 the stack pointer of the frame before is in memory: another stack.
    cpu.put(0x1118, 0x2000);
    cpu.put(0x2000, at(0x410));
    // In 0x400 all registers were saved: struct pt_regs, 21 words, at 0x2008.
    cpu.put(0x2008 + 128, at(0x500), 0x10, 0x246, 0x3000, 0x18);
    // In 0x500 the processor's frame alone: IP, CS, flags, SP, SS.
    cpu.put(0x3010, at(0x608), 0x10, 0x246, 0x3100, 0x18);
    assertEquals(places(cpu.unwinder.orc(table, SLIDE, at(0x20))), [
      0x110,
      0x208,
      0x310,
      0x410,
      0x500,
      0x608,
    ]);
  });
}

Deno.test("stacks by ORC use the processor's registers in the innermost frame only", () => {
  const table = tableOf([
    { at: 0, sp: OrcReg.R10, spOffset: 0 },
    { at: 0x100, sp: OrcReg.BP_INDIRECT, spOffset: -8 },
    { at: 0x200, sp: OrcReg.R13 },
    { at: 0x300, sp: OrcReg.UNDEFINED },
  ]);
  const cpu = processor({ 10: 0x1000, 13: 0x1000, [Gpr.BP]: 0x1800 });
  cpu.put(0xff8, at(0x110));
  cpu.put(0x17f8, 0x1900);
  cpu.put(0x18f8, at(0x210));
  // In 0x200 the base would be R13, which nobody saved.
  assertEquals(places(cpu.unwinder.orc(table, SLIDE, at(0x10))), [0x110, 0x210]);
});

Deno.test("stacks by ORC end where user code was interrupted", () => {
  const table = tableOf([{ at: 0, sp: OrcReg.SP, spOffset: 0, type: OrcType.REGS }, { at: 0x100, sp: 0 }]);
  const cpu = processor({ [Gpr.SP]: 0x1000 });
  cpu.put(0x1080, at(0x20), 0x33, 0x246, 0x3000, 0x2b);
  assertEquals(cpu.unwinder.orc(table, SLIDE, at(0x10)), []);
  cpu.put(0x1088, 0x10);
  assertEquals(places(cpu.unwinder.orc(table, SLIDE, at(0x10))).length, 1);
});

Deno.test("stacks of hostile memory and tables are bounded and never fail", () => {
  const random = seededRandom(5), pick = (n: number) => random() % n;
  const registers: Record<number, number> = { 10: 0x4100, 13: -8 };
  const cpu = processor(registers);
  let frames = 0, most = 0;
  for (let i = 0; i < 300; i++) {
    const table = tableOf(
      Array.from({ length: 8 }, (_, k) => ({
        at: k * 0x100,
        sp: [OrcReg.SP, OrcReg.SP, OrcReg.BP, OrcReg.BP_INDIRECT, OrcReg.SP_INDIRECT, pick(16)][pick(6)],
        spOffset: pick(64) * 8 - 256,
        bp: pick(4) === 0 ? pick(16) : OrcReg.UNDEFINED,
        bpOffset: pick(64) * 8 - 256,
        type: pick(4) === 0 ? pick(4) : OrcType.CALL,
      })),
    );
    registers[Gpr.SP] = 0x4000 + pick(64) * 8 + (pick(16) === 0 ? 1 : 0);
    registers[Gpr.BP] = 0x4000 + pick(512) * 8;
    for (let w = 0; w < 1024; w++) {
      const word = [at(pick(0x800)), at(pick(0x800)), 0x2000 + pick(0x800) * 8, random(), -random(), 0x10];
      cpu.put(0x3000 + w * 8, word[pick(6)]);
    }
    const { length } = cpu.unwinder.orc(table, SLIDE, at(pick(0x800)));
    assert(length <= FRAMES_MAX, `seed 5, stack ${i}`);
    frames += length;
    most = Math.max(most, length);
  }
  assert(frames > 100 && most > 3, `${frames} frames in all, ${most} at most`);
  // A frame that leads to itself.
  const table = tableOf([{ at: 0, sp: OrcReg.BP, spOffset: 16 }, { at: 0x100, sp: 0 }]);
  registers[Gpr.BP] = 0x1000;
  cpu.put(0x1008, at(0x10));
  assertEquals(cpu.unwinder.orc(table, SLIDE, at(0x10)).length, FRAMES_MAX);
});

Deno.test("tables that do not fit each other or their file are none", () => {
  const table = tableOf([{ at: 0, sp: OrcReg.SP, spOffset: 8 }]);
  const elf = (ips: number, entries: number, bits: 32 | 64 = 64): ElfFile => ({
    bits,
    machine: 62,
    entry: 0,
    segments: [],
    noteRanges: [],
    sections: [{ ...table.ips, size: ips }, { ...table.entries, size: entries }],
  });
  const reader = new ImageReader("kernel", new Uint8Array(1000));
  assert(orcTable(reader, elf(40, 60)) !== null);
  for (const [ips, entries] of [[40, 66], [41, 60], [4, 6], [4000, 6000]]) {
    assertEquals(orcTable(reader, elf(ips, entries)), null);
  }
  assertEquals(orcTable(reader, elf(40, 60, 32)), null);
});

Deno.test("frame pointers lead from frame to frame while they ascend and return to what follows a call", () => {
  const cpu = processor({ [Gpr.BP]: 0x1000 });
  const call = (end: number, ...code: number[]) => cpu.mem.write(end - code.length, Uint8Array.from(code));
  call(0x8100, 0xe8, 1, 2, 3, 4);
  call(0x8200, 0xff, 0xd0);
  call(0x8300, 0xff, 0x54, 0x24, 8);
  cpu.put(0x1000, 0x1040, 0x8100);
  cpu.put(0x1040, 0x1080, 0x8200);
  cpu.put(0x1080, 0x10c0, 0x8300);
  // No call before it.
  cpu.put(0x10c0, 0x1100, 0x8400);
  assertEquals(cpu.unwinder.framePointers(0), [0x8100n, 0x8200n, 0x8300n]);
  // A frame below the one before is the last.
  cpu.put(0x1040, 0x1000, 0x8200);
  assertEquals(cpu.unwinder.framePointers(0), [0x8100n, 0x8200n]);
  cpu.put(0x1000, 0x1044, 0x8100);
  assertEquals(cpu.unwinder.framePointers(0), [0x8100n]);
});

Deno.test("a small function without a frame is left over the top of the stack, where its caller called it", () => {
  const cpu = processor({ [Gpr.SP]: 0x2000, [Gpr.BP]: 0x1000 });
  const code = (la: number, ...bytes: number[]) => cpu.mem.write(la, Uint8Array.from(bytes));
  const rel = (n: number) => [n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24 & 255];
  code(0x80fb, 0xe8, ...rel(0x9000 - 0x8100));
  code(0x81fb, 0xe8, 0, 0, 0, 0);
  cpu.put(0x2000, 0x8100);
  cpu.put(0x1000, 0x1040, 0x8200);
  // Called directly; over a jump, as static calls are; but not when the call goes elsewhere.
  assertEquals(cpu.unwinder.framePointers(0x9008), [0x8100n, 0x8200n]);
  assertEquals(cpu.unwinder.framePointers(0xa008), [0x8200n]);
  code(0x9000, 0xe9, ...rel(0xa000 - 0x9005));
  assertEquals(cpu.unwinder.framePointers(0xa008), [0x8100n, 0x8200n]);
  assertEquals(cpu.unwinder.framePointers(0xa040), [0x8200n]);
});
