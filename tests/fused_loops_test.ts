/**
 * Short loops that one handler executes keep translations in locals: accesses across pages, and what the TLB knows afterwards,
 * must be as if each instruction had been executed by itself.
 */
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { NoInputs } from "../core/inputs.ts";
import { REC } from "../core/cpu/insn.ts";
import { RetrovisorMachine } from "../core/machine.ts";

const LOAD = 0x100000, MEMORY = 64 << 20, INSTRUCTIONS_MAX = 20_000;
/** Page tables of two levels, a source of data, and a frame apart. */
const DIRECTORY = 0x200000, TABLES = 0x201000, SOURCE = 0x40000, APART = 0x60000;
/** Pages 0x1 and 0x1000 have one TLB entry (`tlbIndex`). */
const PAGE = 0x1000, RIVAL = 0x1000000;

const u32 = (n: number): number[] => [n & 0xff, n >>> 8 & 0xff, n >>> 16 & 0xff, n >>> 24 & 0xff];

/** mov eax, [ebx]; mov [edi], eax; add edi, step; cmp edi, esi; jne back: from `from` to `end`, then HLT. */
function copies(ebx: number, from: number, step: number, end: number): number[] {
  const loop = [0x8b, 0x03, 0x89, 0x07, 0x81, 0xc7, ...u32(step), 0x39, 0xf7];
  return [
    ...[0xb8, ...u32(DIRECTORY), 0x0f, 0x22, 0xd8], // mov eax, directory; mov cr3, eax
    ...[0x0f, 0x20, 0xc0, 0x0d, ...u32(0x80000000), 0x0f, 0x22, 0xc0], // paging on
    ...[0xbb, ...u32(ebx), 0xbf, ...u32(from), 0xbe, ...u32(end)],
    ...[0xeb, 0x00], // the loop is a block of its own from the start
    ...[...loop, 0x75, -(loop.length + 2) & 0xff, 0xfa, 0xf4], // jne; cli; hlt
  ];
}

/** A machine with 32 MiB mapped one to one but for one page, before its first instruction. */
function machine(code: number[]): RetrovisorMachine {
  const m = new RetrovisorMachine(
    {
      ...DEFAULT_CONFIG,
      name: "loops",
      type: "flat",
      xen: false,
      platform: "pc",
      memoryBytes: MEMORY,
      flat: { load: LOAD, entry: LOAD, mode: "prot32" },
    },
    [{ role: "kernel", name: "loops", bytes: Uint8Array.from(code) }],
    new NoInputs(),
    { jitThreshold: 0 },
  );
  for (let i = 0; i < 8192; i++) m.mem.write32(TABLES + i * 4, i << 12 | 3);
  for (let i = 0; i < 8; i++) m.mem.write32(DIRECTORY + i * 4, TABLES + i * PAGE | 3);
  m.mem.write32(TABLES + 0x51 * 4, APART | 3);
  m.mem.write32(SOURCE, 0x44332211);
  return m;
}

/** Runs to the end, `step` instructions at a time. */
function run(code: number[], step: number): RetrovisorMachine {
  const m = machine(code);
  for (let at = step; m.outcome === null && at <= INSTRUCTIONS_MAX; at += step) m.runUntil(at);
  assert(m.outcome !== null, "it ends");
  return m;
}

Deno.test("a loop in one handler stores across two pages that lie apart when its pointer is not aligned", () => {
  const code = copies(SOURCE, 0x50f82, 4, 0x51082), m = run(code, INSTRUCTIONS_MAX);
  const first = LOAD + code.length - 2 - 14, rec = m.cpu.code.lookup(first);
  const handler = (field: number): number => m.mem.view.getUint16(rec + field, true);
  assertEquals([handler(REC.HANDLER) === handler(REC.FORM), m.mem.view.getUint32(rec - 4, true)], [false, 5]);
  const bytes = [...m.mem.read(0x50ffa, 6), ...m.mem.read(APART, 6)];
  assertEquals(bytes, [0x11, 0x22, 0x33, 0x44, 0x11, 0x22, 0x33, 0x44, 0x11, 0x22, 0x33, 0x44]);
  assertEquals(m.mem.read32(0x51000), 0, "the frame behind the first page's is not the second page");
});

Deno.test("a loop in one handler looks a page up again when another page has taken its place in the TLB", () => {
  // Loads from one page all the time; the stores pass its rival.
  const code = copies(PAGE + 8, RIVAL - 8 * PAGE, PAGE, RIVAL + 8 * PAGE);
  const whole = run(code, INSTRUCTIONS_MAX), single = run(code, 1);
  assertEquals(whole.icount, single.icount);
  assertEquals(whole.cpu.mmu.saveTlb(), single.cpu.mmu.saveTlb());
});
