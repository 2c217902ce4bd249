/**
 * An instruction across two pages is kept decoded. Here it runs again and again while its bytes change, in either page, and
 * while either page becomes another one under it.
 */
import { assertEquals, assertLess } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { NoInputs } from "../core/inputs.ts";
import { RetrovisorMachine } from "../core/machine.ts";

const LOAD = 0x100000, RESULT = 0x3000, ROUNDS = 400;
/** mov eax, imm32 begins three bytes before the second page; ret follows. Each page has two frames. */
const CODE = 0x400ffd, FIRST = 0x400000, SECOND = 0x401000, OTHER = 0x2000;
const FIRST_PTE = 0x202000, SECOND_PTE = 0x202004;
/** Bytes 0 and 1 of the immediate by frame of the first page, 2 and 3 by frame of the second. */
const LOW = [0x2211, 0x4231], HIGH = [0x0201, 0x0605];

const u32 = (n: number): number[] => [n & 0xff, n >>> 8 & 0xff, n >>> 16 & 0xff, n >>> 24];
/** Stores EAX and advances it by 0x1000 until it is `end`; EDI points to the next double-word. */
const fill = (from: number, value: number, end: number): number[] => [
  ...[0xbf, ...u32(from), 0xb8, ...u32(value)], // mov edi, from; mov eax, value
  ...[0x89, 0x07, 0x83, 0xc7, 0x04, 0x05, ...u32(0x1000), 0x3d, ...u32(end), 0x75, -17 & 0xff],
];
const store = (at: number, value: number): number[] => [0xc7, 0x05, ...u32(at), ...u32(value)];
/** Executes `body` in rounds whose number has none of the bits of `mask`. */
const unless = (
  mask: number,
  body: number[],
): number[] => [0xf7, 0xc5, ...u32(mask), 0x75, body.length, ...body];
/** Puts the other frame under a page. */
const swap = (
  pte: number,
  page: number,
): number[] => [0x81, 0x35, ...u32(pte), ...u32(OTHER), 0x0f, 0x01, 0x3d, ...u32(page)];
const increment = (at: number): number[] => [0xfe, 0x05, ...u32(at)];

function program(): Uint8Array {
  const frames = [0, 1].flatMap((n) => [
    ...store(FIRST + n * OTHER + 0xffc, (LOW[n] << 16 | 0xb800) >>> 0),
    ...store(SECOND + n * OTHER, 0xc3 << 16 | HIGH[n]),
  ]);
  const look = [0xff, 0xd6, 0xd1, 0xc2, 0x01, 0xc2]; // call esi; rol edx, 1; add edx, eax
  const body = [
    ...look,
    ...unless(7, increment(CODE + 1)),
    ...look,
    ...swap(SECOND_PTE, SECOND),
    ...unless(1, swap(FIRST_PTE, FIRST)),
    ...unless(3, increment(SECOND + 1)),
    0x4d, // dec ebp
  ];
  return Uint8Array.from([
    ...fill(0x201000, 3, 0x2000003),
    ...fill(0x200000, 0x201003, 0x209003),
    ...frames,
    ...[0xb8, ...u32(0x200000), 0x0f, 0x22, 0xd8], // mov cr3, 0x200000
    ...[0x0f, 0x20, 0xc0, 0x0d, ...u32(0x80000000), 0x0f, 0x22, 0xc0], // paging on
    ...[0xbc, ...u32(0x80000), 0xbe, ...u32(CODE), 0xbd, ...u32(ROUNDS), 0x31, 0xd2],
    ...[...body, 0x0f, 0x85, ...u32(-(body.length + 6) >>> 0)], // jnz
    ...[0x89, 0x15, ...u32(RESULT), 0xfa, 0xf4], // mov [RESULT], edx; cli; hlt
  ]);
}

/** What the guest computes. */
function expected(): number {
  const low = [...LOW], high = [...HIGH];
  let digest = 0, first = 0, second = 0;
  for (let round = ROUNDS; round > 0; round--) {
    const look = () => digest = (digest << 1 | digest >>> 31) + (high[second] << 16 | low[first]) >>> 0;
    look();
    if ((round & 7) === 0) low[first] = low[first] & 0xff00 | (low[first] + 1 & 0xff);
    look();
    second ^= 1;
    if ((round & 1) === 0) first ^= 1;
    if ((round & 3) === 0) high[second] = high[second] & 0xff | (high[second] + 0x100 & 0xff00);
  }
  return digest;
}

Deno.test("an instruction across two pages is what its bytes are, when either page is written or becomes another", () => {
  for (const jitThreshold of [0, 1, 5]) {
    const flat = { load: LOAD, entry: LOAD, mode: "prot32" } as const;
    const config = { ...DEFAULT_CONFIG, name: "crossing", type: "flat" as const, xen: false, flat };
    const m = new RetrovisorMachine(
      { ...config, platform: "pc", memoryBytes: 64 << 20 },
      [{ role: "kernel", name: "crossing", bytes: program() }],
      new NoInputs(),
      { jitThreshold },
    );
    m.runUntil(1_000_000);
    assertLess(m.icount, 1_000_000);
    assertEquals(m.mem.read32(RESULT) >>> 0, expected(), `compiled after ${jitThreshold} runs`);
  }
});
