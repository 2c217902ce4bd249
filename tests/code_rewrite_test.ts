/**
 * Code that is overwritten again and again: its blocks are dropped one by one and decoded into their old records. However
 * often, wherever and with what, it must be what is executed.
 */
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import { NoInputs } from "../core/inputs.ts";
import { RetrovisorMachine } from "../core/machine.ts";
import { Random } from "./fidelity/random.ts";

const SEED = 90210, PROGRAMS = 5, STEPS = 250;
const LOAD = 0x100000, PAGE = 0x300000, INSTRUCTIONS_MAX = 200_000;
/** Where functions of 16 bytes lie: beside each other, apart, and across the end of the page. */
const SLOTS = [0, 0x10, 0x18, 0x100, 0x800, 0xff8];

const u32 = (n: number): number[] => [n & 0xff, n >>> 8 & 0xff, n >>> 16 & 0xff, n >>> 24 & 0xff];

/** Instructions on EAX, one to five bytes long; the last one ends a block. */
function instruction(r: Random): number[] {
  const imm = u32(r.u32());
  return r.pick([
    [0x40], // inc eax
    [0x90],
    [0xd1, 0xc0], // rol eax, 1
    [0x04, imm[0]], // add al, imm8
    [0x83, 0xf0, imm[0]], // xor eax, imm8
    [0x05, ...imm], // add eax, imm32
    [0x75, 0x00], // jne to what follows
  ]);
}

/** A function of at most `room` bytes, and where the immediates in it are. */
function functionBody(r: Random, room: number): { bytes: number[]; immediates: number[] } {
  const bytes: number[] = [], immediates: number[] = [];
  for (;;) {
    const next = instruction(r);
    if (bytes.length + next.length >= room || r.chance(0.15)) break;
    if (next[0] === 0x05 || next[0] === 0x83) immediates.push(bytes.length + next.length - 1);
    bytes.push(...next);
  }
  return { bytes: [...bytes, 0xc3], immediates };
}

/** A program that writes functions, changes parts of them, and calls them. */
function program(r: Random): number[] {
  const code = [0xbc, ...u32(0x80000)], immediates = new Map<number, number[]>(); // mov esp, 0x80000
  const store = (at: number, value: number[]): void => {
    if (value.length === 1) code.push(0xc6, 0x05, ...u32(at), ...value);
    else code.push(0xc7, 0x05, ...u32(at), ...value);
  };
  const write = (slot: number, room: number): void => {
    const { bytes, immediates: places } = functionBody(r, room);
    while (bytes.length % 4) bytes.push(0x90);
    for (let i = 0; i < bytes.length; i += 4) store(PAGE + slot + i, bytes.slice(i, i + 4));
    immediates.set(slot, places);
  };
  const call = (slot: number): void => {
    code.push(0xe8, ...u32(PAGE + slot - (LOAD + code.length + 5)));
  };
  // Enough for the page to count as one that is overwritten again and again.
  for (let i = 0; i < 8; i++) {
    for (const slot of SLOTS) {
      write(slot, 3);
      call(slot);
    }
  }
  for (let i = 0; i < STEPS; i++) {
    const slot = r.pick(SLOTS), places = immediates.get(slot)!;
    if (r.chance(0.3)) write(slot, 8);
    else if (places.length > 0 && r.chance(0.7)) store(PAGE + slot + r.pick(places), [r.below(256)]);
    else if (r.chance(0.1)) store(PAGE + 0x400, [r.below(256)]);
    if (r.chance(0.8)) call(r.pick([slot, slot, r.pick(SLOTS)]));
  }
  return [...code, 0xfa, 0xf4];
}

function run(code: number[], jitThreshold: number, step: number): { eax: number; icount: number } {
  const m = new RetrovisorMachine(
    {
      ...DEFAULT_CONFIG,
      name: "rewrites",
      type: "flat",
      xen: false,
      platform: "pc",
      memoryBytes: 8 << 20,
      flat: { load: LOAD, entry: LOAD, mode: "prot32" },
    },
    [{ role: "kernel", name: "rewrites", bytes: Uint8Array.from(code) }],
    new NoInputs(),
    { jitThreshold },
  );
  for (let at = step; m.outcome === null && at <= INSTRUCTIONS_MAX; at += step) m.runUntil(at);
  assert(m.outcome !== null, "it ends");
  return { eax: m.cpu.s.lo(0), icount: m.icount };
}

Deno.test("code that is overwritten again and again is executed as it is at that moment", () => {
  for (let n = 0; n < PROGRAMS; n++) {
    const code = program(new Random(SEED, n)), expected = run(code, 0, 1);
    for (const threshold of [0, 1, 10]) {
      assertEquals(
        run(code, threshold, INSTRUCTIONS_MAX),
        expected,
        `program ${n} of seed ${SEED}, ${threshold}`,
      );
    }
  }
});
