/**
 * Compiled code keeps translations in locals. A guest can tell by accessed and dirty flags: it clears them behind the TLB's
 * back and looks whether the next access has set them again, which it has exactly when the TLB did not know the page.
 */
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { NoInputs } from "../core/inputs.ts";
import { RetrovisorMachine } from "../core/machine.ts";

const LOAD = 0x100000, ROUNDS = 3000, RESULT = 0x3000;
/** Pages 0x1 and 0x1000 have one TLB entry (`tlbIndex`): reading the second drops the first. */
const PAGE = 0x1000, RIVAL = 0x1000000, PTE = 0x201004;

const u32 = (n: number): number[] => [n & 0xff, n >>> 8 & 0xff, n >>> 16 & 0xff, n >>> 24];
/** `body`, then a short conditional branch (opcode `jcc`) back to its start. */
const loop = (jcc: number, body: number[]): number[] => [...body, jcc, -(body.length + 2) & 0xff];
const JNE = 0x75;
/** Stores EAX and advances it by 0x1000 until it is `end`; EDI points to the next double-word. */
const fill = (from: number, value: number, end: number): number[] => [
  ...[0xbf, ...u32(from), 0xb8, ...u32(value)], // mov edi, from; mov eax, value
  ...loop(JNE, [0x89, 0x07, 0x83, 0xc7, 0x04, 0x05, ...u32(0x1000), 0x3d, ...u32(end)]),
];

/** The guest: 32 MiB mapped one to one by 4 KiB pages, then `ROUNDS` looks at a page's flags; the digest goes to RESULT. */
function program(store: boolean): Uint8Array {
  // mov [esi+8], edx; mov eax, [esi+8]: or twice a load
  const touch = store ? [0x89, 0x56, 0x08, 0x8b, 0x46, 0x08] : [0x8b, 0x46, 0x08, 0x8b, 0x46, 0x08];
  return Uint8Array.from([
    ...fill(0x201000, 3, 0x2000003),
    ...fill(0x200000, 0x201003, 0x209003),
    ...[0xb8, ...u32(0x200000), 0x0f, 0x22, 0xd8], // mov cr3, 0x200000
    ...[0x0f, 0x20, 0xc0, 0x0d, ...u32(0x80000000), 0x0f, 0x22, 0xc0], // paging on
    ...[0xbe, ...u32(PAGE), 0xbf, ...u32(RIVAL), 0xbb, ...u32(PTE), 0xbd, ...u32(ROUNDS), 0x31, 0xd2],
    ...loop(JNE, [
      ...[0x83, 0x23, 0x9f], // and dword [ebx], ~0x60: accessed and dirty
      ...[0x8b, 0x06, ...touch], // mov eax, [esi]
      ...[0x8b, 0x0b, 0xc1, 0xe9, 0x05, 0x83, 0xe1, 0x03], // mov ecx, [ebx]; shr ecx, 5; and ecx, 3
      ...[0xd1, 0xc2, 0x01, 0xca], // rol edx, 1; add edx, ecx
      ...[0xf7, 0xc5, ...u32(3), 0x75, 0x02, 0x8b, 0x07], // test ebp, 3; jnz +2; mov eax, [edi]
      0x4d, // dec ebp
    ]),
    ...[0x89, 0x15, ...u32(RESULT), 0xfa, 0xf4], // mov [RESULT], edx; cli; hlt
  ]);
}

/** Paging as in `program`; a loop whose first instruction reads one page and writes the other, which take turns in the TLB. */
function rivalsInOne(): Uint8Array {
  return Uint8Array.from([
    ...fill(0x201000, 3, 0x2000003),
    ...fill(0x200000, 0x201003, 0x209003),
    ...[0xb8, ...u32(0x200000), 0x0f, 0x22, 0xd8], // mov cr3, 0x200000
    ...[0x0f, 0x20, 0xc0, 0x0d, ...u32(0x80000000), 0x0f, 0x22, 0xc0], // paging on
    ...[0xbf, ...u32(RIVAL), 0xc7, 0x07, ...u32(0x12345678), 0xbc, ...u32(PAGE + 0x800)],
    ...[0xbd, ...u32(ROUNDS), 0x31, 0xd2],
    ...loop(JNE, [0xff, 0x37, 0x58, 0xd1, 0xc2, 0x01, 0xc2, 0x4d]), // push [edi]; pop eax; rol edx, 1; add edx, eax; dec ebp
    ...[0x89, 0x15, ...u32(RESULT), 0xfa, 0xf4], // mov [RESULT], edx; cli; hlt
  ]);
}

/**
 * The same question of 64-bit code: two pages that follow each other lie apart in memory. Each round reads the second page
 * and then, through the same register, eight bytes that begin in the first.
 */
function acrossPages(): Uint8Array {
  const store = (at: number, value: number): number[] => [0xc7, 0x04, 0x25, ...u32(at), ...u32(value)];
  return Uint8Array.from([
    ...[0xbf, ...u32(0x203000), 0xb8, ...u32(3)], // mov edi, 0x203000; mov eax, 3
    ...loop(JNE, [0x48, 0x89, 0x07, 0x83, 0xc7, 0x08, 0x05, ...u32(0x1000), 0x3d, ...u32(0x200003)]),
    ...store(0x203000 + 0x51 * 8, 0x60003), // page 0x51 is frame 0x60
    ...store(0x202000, 0x203003),
    ...store(0x201000, 0x202003),
    ...store(0x200000, 0x201003),
    ...store(0x50ffc, 0x11223344),
    ...store(0x60000, 0x55667788),
    ...[0xb8, ...u32(0x200000), 0x0f, 0x22, 0xd8], // mov cr3, 0x200000
    ...[0xbe, ...u32(0x51010), 0xbd, ...u32(ROUNDS), 0x31, 0xd2],
    ...loop(JNE, [
      ...[0x48, 0x8b, 0x06, 0x48, 0x8b, 0x5e, 0xec], // mov rax, [rsi]; mov rbx, [rsi-0x14]
      ...[0x48, 0xd1, 0xc2, 0x48, 0x01, 0xda, 0xff, 0xcd], // rol rdx, 1; add rdx, rbx; dec ebp
    ]),
    ...[0x89, 0x14, 0x25, ...u32(RESULT), 0x48, 0x89, 0x1c, 0x25, ...u32(RESULT + 8), 0xfa, 0xf4],
  ]);
}

/** Digest and instruction count of a run, and the eight bytes behind the digest's. */
function run(
  image: Uint8Array,
  jitThreshold: number,
  mode: "prot32" | "long" = "prot32",
): { digest: number; icount: number; regions: number; behind: number[] } {
  const m = new RetrovisorMachine(
    {
      ...DEFAULT_CONFIG,
      name: "translations",
      type: "flat",
      xen: false,
      platform: "pc",
      memoryBytes: 64 << 20,
      flat: { load: LOAD, entry: LOAD, mode },
    },
    [{ role: "kernel", name: "translations", bytes: image }],
    new NoInputs(),
    { jitThreshold },
  );
  m.runUntil(1_000_000);
  return {
    digest: m.mem.read32(RESULT),
    icount: m.icount,
    regions: m.cpu.jit?.regions ?? 0,
    behind: [m.mem.read32(RESULT + 8), m.mem.read32(RESULT + 12)].map((word) => word >>> 0),
  };
}

for (const store of [false, true]) {
  Deno.test(`accessed and dirty flags are set when the TLB loses a page, compiled or not: ${store ? "stores" : "loads"}`, () => {
    const image = program(store), expected = run(image, 0);
    assert(expected.digest !== 0 && expected.icount < 1_000_000, JSON.stringify(expected));
    for (const threshold of [1, 5, 100]) {
      const { regions, ...actual } = run(image, threshold);
      assert(regions > 0);
      assertEquals({ ...actual, regions: 0 }, expected, `compiled after ${threshold} runs`);
    }
  });
}

Deno.test("an instruction whose two accesses take each other's TLB entry away goes on, compiled or not", () => {
  const image = rivalsInOne(), expected = run(image, 0);
  assert(expected.digest !== 0 && expected.icount < 1_000_000, JSON.stringify(expected));
  for (const threshold of [1, 5, 100]) {
    const { regions, ...actual } = run(image, threshold);
    assert(regions > 0);
    assertEquals({ ...actual, regions: 0 }, expected, `compiled after ${threshold} runs`);
  }
});

Deno.test("an access that begins in the page before a kept translation is made in both pages", () => {
  const image = acrossPages(), expected = run(image, 0, "long");
  assertEquals(expected.behind, [0x11223344, 0x55667788]);
  for (const threshold of [1, 5, 100]) {
    const { regions, ...actual } = run(image, threshold, "long");
    assert(regions > 0);
    assertEquals({ ...actual, regions: 0 }, expected, `compiled after ${threshold} runs`);
  }
});
