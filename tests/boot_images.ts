/**
 * Small guest images made for the loader tests, and reading back what a loader left in memory.
 *
 * @module
 */
import { loadGuest, memoryCapacity } from "../core/boot/load.ts";
import type { AcpiTables, BootState } from "../core/boot/types.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../core/config.ts";
import { PhysMem } from "../core/mmu/physmem.ts";

/** What a made ELF image contains. */
export interface ElfShape {
  bits?: 32 | 64;
  /** Physical address and bytes of each segment, and bytes of zeroes after them. */
  segments?: { paddr: number; bytes: Uint8Array; extra?: number }[];
  /** Entry by the PHYS32_ENTRY note; null: no note. */
  pvhEntry?: number | null;
  /** Bytes of the note's descriptor. */
  descBytes?: number;
  /** e_entry. */
  entry?: number;
}

/** Makes an ELF executable: header, program headers, note, segments' bytes, in that order. */
export function makeElf(shape: ElfShape = {}): Uint8Array {
  const is64 = shape.bits === 64;
  const segments = shape.segments ??
    [{ paddr: 0x10_0000, bytes: new Uint8Array([0xf4, 0xeb, 0xfd]), extra: 0x1000 }];
  const entry = shape.pvhEntry === undefined ? segments[0].paddr : shape.pvhEntry;
  const hasNote = entry !== null;
  const headerBytes = is64 ? 64 : 52, phBytes = is64 ? 56 : 32;
  const count = segments.length + (hasNote ? 1 : 0);
  const descBytes = shape.descBytes ?? (is64 ? 8 : 4);
  const note = headerBytes + count * phBytes;
  let at = note + (hasNote ? 16 + Math.ceil(descBytes / 4) * 4 : 0);
  const total = segments.reduce((sum, s) => sum + s.bytes.length, at);
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  const word = (offset: number, value: number): void => {
    view.setUint32(offset, value, true);
    if (is64) view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
  };
  out.set([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, is64 ? 62 : 3, true);
  view.setUint32(20, 1, true);
  word(24, shape.entry ?? segments[0].paddr);
  word(is64 ? 32 : 28, headerBytes);
  view.setUint16(is64 ? 52 : 40, headerBytes, true);
  view.setUint16(is64 ? 54 : 42, phBytes, true);
  view.setUint16(is64 ? 56 : 44, count, true);
  const header = (
    i: number,
    type: number,
    offset: number,
    paddr: number,
    filesz: number,
    memsz: number,
  ): void => {
    const ph = headerBytes + i * phBytes;
    view.setUint32(ph, type, true);
    word(ph + (is64 ? 8 : 4), offset);
    word(ph + (is64 ? 24 : 12), paddr);
    word(ph + (is64 ? 32 : 16), filesz);
    word(ph + (is64 ? 40 : 20), memsz);
  };
  segments.forEach((s, i) => {
    out.set(s.bytes, at);
    header(i, 1, at, s.paddr, s.bytes.length, s.bytes.length + (s.extra ?? 0));
    at += s.bytes.length;
  });
  if (hasNote) {
    header(segments.length, 4, note, 0, 16 + descBytes, 16 + descBytes);
    view.setUint32(note, 4, true);
    view.setUint32(note + 4, descBytes, true);
    view.setUint32(note + 8, 18, true);
    out.set([0x58, 0x65, 0x6e, 0], note + 12);
    if (descBytes >= 4) view.setUint32(note + 16, entry, true);
  }
  return out;
}

/** Makes a bzImage: four setup sectors, then `kernel` as the protected-mode part with `payload` at its end. */
export function makeBzImage(
  payload: Uint8Array,
  fields: { initrdMax?: number; cmdlineSize?: number } = {},
): Uint8Array {
  const setup = 5 * 512, code = 256;
  const out = new Uint8Array(setup + code + payload.length);
  const view = new DataView(out.buffer);
  out[0x1f1] = 4;
  view.setUint16(0x1fe, 0xaa55, true);
  out.set([0xeb, 0x66], 0x200);
  view.setUint32(0x202, 0x5372_6448, true);
  view.setUint16(0x206, 0x20f, true);
  out[0x211] = 1;
  view.setUint32(0x22c, fields.initrdMax ?? 0x7fff_ffff, true);
  view.setUint32(0x230, 0x20_0000, true);
  out[0x234] = 1;
  view.setUint32(0x238, fields.cmdlineSize ?? 2047, true);
  view.setUint32(0x248, code, true);
  view.setUint32(0x24c, payload.length, true);
  view.setUint32(0x258, 0x100_0000, true);
  view.setUint32(0x260, 0x40_0000, true);
  out.fill(0x90, setup, setup + code);
  out.set(payload, setup + code);
  return out;
}

/** A loaded guest. */
export interface Loaded {
  boot: BootState;
  mem: PhysMem;
}

/** Loads a kernel with a configuration of 64 MiB, changed by `changes`, in fresh memory. */
export function load(
  kernel: Uint8Array,
  changes: Partial<MachineConfig> = {},
  more: GuestImage[] = [],
  acpi: AcpiTables | null = null,
): Loaded {
  const config: MachineConfig = { ...DEFAULT_CONFIG, memoryBytes: 64 << 20, ...changes };
  const mem = new PhysMem(memoryCapacity(config, acpi));
  return {
    boot: loadGuest(config, [{ role: "kernel", name: "kernel.elf", bytes: kernel }, ...more], mem, acpi),
    mem,
  };
}

/** Reads 64 bits as a number. */
export function read64(mem: PhysMem, gpa: number): number {
  return mem.read32(gpa) + mem.read32(gpa + 4) * 2 ** 32;
}

/** Reads a zero-terminated string of at most 4 KiB. */
export function readText(mem: PhysMem, gpa: number): string {
  const bytes = mem.read(gpa, 4096);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

/** A small generator for tests (mulberry32): the same numbers from the same seed everywhere. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let t = Math.imul(state ^ state >>> 15, state | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return (t ^ t >>> 14) >>> 0;
  };
}
