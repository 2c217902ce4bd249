/**
 * ELF files as loaders need them: program headers, Xen notes, and the places of sections. Both classes, x86 only.
 *
 * Source: System V ABI, "Object Files" (gABI chapters 4 and 5).
 *
 * @module
 */
import type { ImageReader } from "./bytes.ts";
import { alignUp, hex } from "./bytes.ts";

/** Most program headers, sections and bytes of notes that are looked at; real kernels have under 10, 100 and 4 KiB. */
const MAX_PROGRAM_HEADERS = 128, MAX_SECTIONS = 65_536, MAX_NOTE_BYTES = 1 << 20;
const MAX_SECTION_NAME = 64;
const PT_LOAD = 1, PT_NOTE = 4, SHT_NOTE = 7;
const NEXT = "the file is damaged or not an x86 kernel, fetch or build it again";

/** One PT_LOAD segment: where its bytes are and where they go (physical address). */
export interface ElfSegment {
  offset: number;
  fileBytes: number;
  paddr: number;
  /** Virtual address as a signed number: addresses of the upper half are negative, and exact. */
  vaddr: number;
  memBytes: number;
  /** Offset of its program header in the file, for messages. */
  at: number;
}

/** One section header. */
export interface ElfSection {
  /** Empty when the file has no names for its sections. */
  name: string;
  type: number;
  /** Virtual address as a signed number; 0 when it is not loaded. */
  address: number;
  offset: number;
  size: number;
  link: number;
  entrySize: number;
}

/** One ELF note. */
export interface ElfNote {
  owner: string;
  type: number;
  /** Offset of the descriptor in the file, and its size in bytes. */
  descOffset: number;
  descBytes: number;
}

/** An ELF file's headers. */
export interface ElfFile {
  bits: 32 | 64;
  /** e_machine: 3 (386) or 62 (x86-64). */
  machine: number;
  /** Entry point: exact below 2^53, rounded above (virtual addresses). */
  entry: number;
  /** PT_LOAD segments that take memory, in file order. */
  segments: ElfSegment[];
  /** File ranges of PT_NOTE segments. */
  noteRanges: { offset: number; size: number }[];
  sections: ElfSection[];
}

/** True when the bytes begin with ELF's magic number. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c &&
    bytes[3] === 0x46;
}

/**
 * Reads the headers of an ELF file.
 * @param r the file
 * @returns its headers, every offset and size checked against the file
 * @throws GuestError when it is not a well-formed little-endian x86 executable
 */
export function parseElf(r: ImageReader): ElfFile {
  if (!isElf(r.bytes)) r.fail(0, "there is no ELF magic number", NEXT);
  const cls = r.u8(4, "the ELF header");
  if (cls !== 1 && cls !== 2) r.fail(4, `ELF class ${cls} is neither 32 nor 64 bits`, NEXT);
  if (r.u8(5, "the ELF header") !== 1) r.fail(5, "the byte order is not little-endian", NEXT);
  const bits = cls === 1 ? 32 : 64;
  const type = r.u16(16, "e_type");
  if (type !== 2 && type !== 3) {
    r.fail(16, `ELF type ${type} is not an executable`, "link it into an executable");
  }
  const machine = r.u16(18, "e_machine");
  if (machine !== 3 && machine !== 62) {
    r.fail(18, `ELF machine ${machine} is not x86`, "give a kernel for x86");
  }
  r.need(0, bits === 32 ? 52 : 64, "the ELF header");
  const entry = bits === 32 ? r.u32(24, "e_entry") : r.u64OrInf(24, "e_entry");
  const elf: ElfFile = { bits, machine, entry, segments: [], noteRanges: [], sections: [] };
  readProgramHeaders(r, elf);
  readSections(r, elf);
  return elf;
}

function readProgramHeaders(r: ImageReader, elf: ElfFile): void {
  const is32 = elf.bits === 32;
  const table = is32 ? r.u32(28, "e_phoff") : r.u64(32, "e_phoff");
  const entrySize = r.u16(is32 ? 42 : 54, "e_phentsize");
  const count = r.u16(is32 ? 44 : 56, "e_phnum");
  if (count === 0) r.fail(is32 ? 44 : 56, "there are no program headers", "link it into an executable");
  if (count > MAX_PROGRAM_HEADERS) {
    r.fail(is32 ? 44 : 56, `${count} program headers are more than ${MAX_PROGRAM_HEADERS}`, NEXT);
  }
  if (entrySize !== (is32 ? 32 : 56)) {
    r.fail(is32 ? 42 : 54, `program headers of ${entrySize} bytes are unknown`, NEXT);
  }
  r.need(table, count * entrySize, "the program header table");
  for (let i = 0; i < count; i++) {
    const at = table + i * entrySize;
    const type = r.u32(at, "p_type");
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    const field = (o32: number, o64: number, name: string): number =>
      is32 ? r.u32(at + o32, name) : r.u64(at + o64, name);
    const offset = field(4, 8, "p_offset"), fileBytes = field(16, 32, "p_filesz");
    r.need(offset, fileBytes, `the segment of the program header at ${hex(at)}`);
    if (type === PT_NOTE) {
      elf.noteRanges.push({ offset, size: fileBytes });
      continue;
    }
    const memBytes = field(20, 40, "p_memsz");
    if (fileBytes > memBytes) {
      r.fail(at, `p_filesz ${hex(fileBytes)} is larger than p_memsz ${hex(memBytes)}`, NEXT);
    }
    if (memBytes === 0) continue;
    const vaddr = is32 ? r.u32(at + 8, "p_vaddr") : signed64(r, at + 16, "p_vaddr");
    elf.segments.push({ offset, fileBytes, paddr: field(12, 24, "p_paddr"), vaddr, memBytes, at });
  }
}

function readSections(r: ImageReader, elf: ElfFile): void {
  const is32 = elf.bits === 32;
  const table = is32 ? r.u32(32, "e_shoff") : r.u64OrInf(40, "e_shoff");
  const entrySize = r.u16(is32 ? 46 : 58, "e_shentsize");
  const count = r.u16(is32 ? 48 : 60, "e_shnum");
  // Sections only serve symbols and the fallback for notes: a stripped or odd table is no reason to refuse a kernel.
  if (table === 0 || count === 0 || count > MAX_SECTIONS || entrySize !== (is32 ? 40 : 64)) return;
  if (table + count * entrySize > r.length) return;
  const nameOffsets: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * entrySize;
    nameOffsets.push(r.u32(at, "sh_name"));
    const word = (o32: number, o64: number): number =>
      is32 ? r.u32(at + o32, "section") : r.u64OrInf(at + o64, "section");
    elf.sections.push({
      name: "",
      type: r.u32(at + 4, "sh_type"),
      address: is32 ? r.u32(at + 12, "sh_addr") : signed64(r, at + 16, "sh_addr"),
      offset: word(16, 24),
      size: word(20, 32),
      link: r.u32(at + (is32 ? 24 : 40), "sh_link"),
      entrySize: word(36, 56),
    });
  }
  const names = elf.sections[r.u16(is32 ? 50 : 62, "e_shstrndx")];
  if (names === undefined || names.offset + names.size > r.length) return;
  elf.sections.forEach((s, i) =>
    s.name = sectionName(r.bytes, names.offset + nameOffsets[i], names.offset + names.size)
  );
}

function sectionName(bytes: Uint8Array, from: number, end: number): string {
  let name = "";
  for (let at = from; at < end && bytes[at] !== 0 && name.length < MAX_SECTION_NAME; at++) {
    name += String.fromCharCode(bytes[at]);
  }
  return name;
}

/** 64 bits as a signed number: exact for canonical addresses. */
function signed64(r: ImageReader, offset: number, what: string): number {
  return (r.u32(offset + 4, what) | 0) * 0x1_0000_0000 + r.u32(offset, what);
}

/**
 * Collects the notes of an ELF file: from PT_NOTE segments, else (as Xen does) from SHT_NOTE sections.
 * @throws GuestError when a note runs out of its range
 */
export function elfNotes(r: ImageReader, elf: ElfFile): ElfNote[] {
  const inFile = (s: { offset: number; size: number }) => s.offset + s.size <= r.length;
  const notes = elf.noteRanges.flatMap((range) => readNotes(r, range.offset, range.size));
  if (notes.some((n) => n.owner === "Xen")) return notes;
  const sections = elf.sections.filter((s) => s.type === SHT_NOTE && inFile(s));
  return notes.concat(sections.flatMap((s) => readNotes(r, s.offset, s.size)));
}

function readNotes(r: ImageReader, offset: number, size: number): ElfNote[] {
  if (size > MAX_NOTE_BYTES) {
    r.fail(offset, `${hex(size)} bytes of notes are more than ${hex(MAX_NOTE_BYTES)}`, NEXT);
  }
  const notes: ElfNote[] = [];
  const end = offset + size;
  for (let at = offset; at + 12 <= end;) {
    const nameBytes = r.u32(at, "a note"),
      descBytes = r.u32(at + 4, "a note"),
      type = r.u32(at + 8, "a note");
    const descOffset = at + 12 + alignUp(nameBytes, 4);
    if (descOffset + descBytes > end) {
      r.fail(
        at,
        `a note with name ${hex(nameBytes)} and descriptor ${hex(descBytes)} leaves its segment`,
        NEXT,
      );
    }
    const name = r.slice(at + 12, Math.min(nameBytes, 16), "a note's name");
    const owner = String.fromCharCode(...name).replace(/\0.*$/s, "");
    notes.push({ owner, type, descOffset, descBytes });
    at = descOffset + alignUp(descBytes, 4);
  }
  return notes;
}
