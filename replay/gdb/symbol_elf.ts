/**
 * The symbols of a recording as an ELF file that gdb can read: section headers and a symbol table, no contents. See the
 * System V ABI, chapters "Object Files" and "Symbol Table".
 *
 * @module
 */
import { guestSymbols } from "../../core/boot/guest_symbols.ts";
import { kernelImage } from "../../core/boot/kernel_image.ts";
import { elfSymbols } from "../../core/boot/symbols.ts";
import type { GuestImage } from "../../core/config.ts";
import { RowCursor } from "../../traces/cursor.ts";
import type { Bundle } from "../../traces/bundle.ts";
import type { Architecture } from "./registers.ts";

/** One symbol. */
interface Symbol {
  start: bigint;
  size: bigint;
  name: string;
  code: boolean;
}

/** Symbols further apart than this are in sections of their own. */
const GAP = 64n << 20n;
/** Most symbols: Linux has some 200,000. */
const SYMBOLS_MAX = 1 << 20;
const PROGBITS_LESS = 8, SYMTAB = 2, STRTAB = 3;
const ALLOC_EXEC = 6n, ALLOC_WRITE = 3n, GLOBAL_FUNC = 0x12, GLOBAL_OBJECT = 0x11;
/** Most sections: symbols of data are left out when they would need more. */
const SECTIONS_MAX = 1000;
/** Largest file that is handed out whole: gdb takes it in pieces. */
const OWN_BYTES_MAX = 64 << 20;

/** An ELF file's bytes with the symbols of a recording; null when it has none. @param images those of the recording */
export function symbolElf(
  bundle: Bundle,
  images: readonly GuestImage[],
  arch: Architecture,
): Uint8Array | null {
  return elfOf(readSymbols(bundle), images, arch);
}

/** The same of a machine that is about to start: as linked, which is where a kernel is that does not move itself. */
export function imageElf(images: readonly GuestImage[], arch: Architecture): Uint8Array | null {
  const code = guestSymbols(images, 0).map((s) => ({ ...s, size: BigInt(s.size), code: true }));
  return elfOf(code, images, arch);
}

function elfOf(code: Symbol[], images: readonly GuestImage[], arch: Architecture): Uint8Array | null {
  if (code.length === 0) return null;
  const whole = ownElf(code, images);
  if (whole !== null) return whole;
  const all = [...code, ...dataSymbols(images, code)].sort(byStart);
  const sections = all.filter((s, i) => s.code !== all[i - 1]?.code).length;
  return new Writer(arch === "x86-64").file(sections > SECTIONS_MAX ? code : all);
}

/** The kernel's file itself, when it has these very symbols: then it may have source lines and types, too. */
function ownElf(code: readonly Symbol[], images: readonly GuestImage[]): Uint8Array | null {
  const image = images.find((i) => i.role === "kernel");
  const kernel = image === undefined ? null : kernelImage(image.name, image.bytes);
  if (kernel === null || kernel.reader.length > OWN_BYTES_MAX) return null;
  const own = new Set(elfSymbols(kernel.reader, kernel.elf).map((s) => `${s.start} ${s.name}`));
  return own.size > 0 && code.some((s) => own.has(`${s.start} ${s.name}`)) ? kernel.reader.bytes : null;
}

function byStart(x: Symbol, y: Symbol): number {
  return x.start < y.start ? -1 : x.start > y.start ? 1 : 0;
}

/**
 * Variables, from the table that a Linux kernel carries of itself. Table `symbols` has code only, which tells how far
 * the kernel has moved.
 */
function dataSymbols(images: readonly GuestImage[], code: readonly Symbol[]): Symbol[] {
  const image = images.find((i) => i.role === "kernel");
  const kernel = image === undefined ? null : kernelImage(image.name, image.bytes);
  const listed = kernel?.kallsyms?.symbols ?? [];
  const linked = new Map(listed.filter((s) => /[tT]/.test(s.type)).map((s) => [s.name, s.address]));
  const known = code.find((s) => linked.has(s.name));
  if (kernel === null || known === undefined) return [];
  const slide = known.start - linked.get(known.name)!;
  return listed.filter((s) => !s.absolute && /[bBdDrRvV]/.test(s.type)).slice(0, SYMBOLS_MAX).map((s) => ({
    start: BigInt.asUintN(kernel.elf.bits, s.address + slide),
    size: 0n,
    name: s.name,
    code: false,
  }));
}

function readSymbols(bundle: Bundle): Symbol[] {
  const out: Symbol[] = [];
  const cursor = new RowCursor(bundle.table("symbols"));
  for (; cursor.batch !== null && out.length < SYMBOLS_MAX; cursor.advance()) {
    const { batch: b, row } = cursor;
    out.push({
      start: b.bigint("start", row) ?? 0n,
      size: b.bigint("size", row) ?? 0n,
      name: b.text("name", row) ?? "",
      code: true,
    });
  }
  return out.sort(byStart);
}

/** One section header. */
interface Section {
  name: string;
  type: number;
  flags: bigint;
  address: bigint;
  offset: number;
  size: bigint;
  link: number;
  info: number;
  entry: number;
}

class Strings {
  readonly #parts: Uint8Array[] = [Uint8Array.of(0)];
  length = 1;

  add(text: string): number {
    const at = this.length, bytes = new TextEncoder().encode(`${text.replaceAll("\0", "")}\0`);
    this.#parts.push(bytes);
    this.length += bytes.length;
    return at;
  }

  put(out: Uint8Array, at: number): void {
    for (const p of this.#parts) {
      out.set(p, at);
      at += p.length;
    }
  }
}

class Writer {
  readonly #symbolBytes: number;
  readonly #headerBytes: number;
  readonly #sectionBytes: number;

  constructor(readonly wide: boolean) {
    this.#symbolBytes = wide ? 24 : 16;
    this.#headerBytes = wide ? 64 : 52;
    this.#sectionBytes = wide ? 64 : 40;
  }

  file(symbols: readonly Symbol[]): Uint8Array {
    const names = new Strings(), text: Section[] = [];
    const entries = symbols.map((s) => ({ ...s, at: names.add(s.name), section: this.#place(text, s) }));
    const sectionNames = new Strings(), tableAt = this.#headerBytes + 4 & ~7;
    const tableSize = (symbols.length + 1) * this.#symbolBytes, namesAt = tableAt + tableSize;
    const blank = { flags: 0n, address: 0n, link: 0, info: 0, entry: 0 };
    const symtab = { ...blank, name: ".symtab", type: SYMTAB, offset: tableAt, size: BigInt(tableSize) };
    const strtab = { ...blank, name: ".strtab", type: STRTAB, offset: namesAt, size: BigInt(names.length) };
    const shstrtab = { ...strtab, name: ".shstrtab", offset: namesAt + names.length };
    const sections: Section[] = [
      { ...blank, name: "", type: 0, offset: 0, size: 0n },
      ...text,
      { ...symtab, link: text.length + 2, info: 1, entry: this.#symbolBytes },
      strtab,
      shstrtab,
    ];
    const nameAt = sections.map((s) => sectionNames.add(s.name));
    sections[sections.length - 1].size = BigInt(sectionNames.length);
    const headersAt = shstrtab.offset + sectionNames.length + 7 & ~7;
    const out = new Uint8Array(headersAt + sections.length * this.#sectionBytes),
      v = new DataView(out.buffer);
    this.#header(v, headersAt, sections.length);
    entries.forEach((e, i) => this.#symbol(v, tableAt + (i + 1) * this.#symbolBytes, e.at, e, e.section));
    names.put(out, namesAt);
    sectionNames.put(out, shstrtab.offset);
    sections.forEach((s, i) => this.#section(v, headersAt + i * this.#sectionBytes, nameAt[i], s));
    return out;
  }

  /** Puts a symbol into the section that ends before it, or into a new one. @returns the section's number */
  #place(text: Section[], s: Symbol): number {
    const last = text.at(-1), end = s.start + (s.size === 0n ? 1n : s.size);
    const flags = s.code ? ALLOC_EXEC : ALLOC_WRITE;
    if (last !== undefined && last.flags === flags && s.start - (last.address + last.size) < GAP) {
      if (end > last.address + last.size) last.size = end - last.address;
      return text.length;
    }
    const kind = s.code ? ".text" : ".data", name = text.length === 0 ? kind : `${kind}.${text.length}`;
    text.push({
      name,
      type: PROGBITS_LESS,
      flags,
      address: s.start,
      offset: 0,
      size: end - s.start,
      link: 0,
      info: 0,
      entry: 0,
    });
    return text.length;
  }

  /** A word of the file's class. */
  #word(v: DataView, at: number, value: bigint): number {
    if (this.wide) v.setBigUint64(at, BigInt.asUintN(64, value), true);
    else v.setUint32(at, Number(BigInt.asUintN(32, value)), true);
    return at + (this.wide ? 8 : 4);
  }

  #header(v: DataView, sectionsAt: number, sections: number): void {
    [0x7f, 0x45, 0x4c, 0x46, this.wide ? 2 : 1, 1, 1].forEach((b, i) => v.setUint8(i, b));
    v.setUint16(16, 2, true);
    v.setUint16(18, this.wide ? 62 : 3, true);
    v.setUint32(20, 1, true);
    let at = this.#word(v, 24, 0n);
    at = this.#word(v, at, 0n);
    at = this.#word(v, at, BigInt(sectionsAt)) + 4;
    [this.#headerBytes, 0, 0, this.#sectionBytes, sections, sections - 1].forEach((n, i) =>
      v.setUint16(at + i * 2, n, true)
    );
  }

  #symbol(v: DataView, at: number, name: number, s: Symbol, section: number): void {
    v.setUint32(at, name, true);
    const kind = at + (this.wide ? 4 : 12);
    v.setUint8(kind, s.code ? GLOBAL_FUNC : GLOBAL_OBJECT);
    v.setUint16(kind + 2, section, true);
    this.#word(v, this.#word(v, at + (this.wide ? 8 : 4), s.start), s.size);
  }

  #section(v: DataView, at: number, name: number, s: Section): void {
    v.setUint32(at, name, true);
    v.setUint32(at + 4, s.type, true);
    let p = this.#word(v, at + 8, s.flags);
    p = this.#word(v, p, s.address);
    p = this.#word(v, p, BigInt(s.offset));
    p = this.#word(v, p, s.size);
    v.setUint32(p, s.link, true);
    v.setUint32(p + 4, s.info, true);
    this.#word(v, this.#word(v, p + 8, 1n), BigInt(s.entry));
  }
}
