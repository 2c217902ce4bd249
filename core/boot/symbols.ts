/**
 * Symbol tables of ELF images: what addresses are called.
 *
 * @module
 */
import { ImageReader } from "./bytes.ts";
import { type ElfFile, isElf, parseElf } from "./elf.ts";

/** A named range of guest-virtual addresses. */
export interface SymbolEntry {
  /** First address, as the guest's virtual address. */
  start: bigint;
  /** Bytes; 0 when the table does not say. */
  size: number;
  name: string;
}

/** Most symbols kept, and most characters of a name; longer names are cut. */
const MAX_SYMBOLS = 1_000_000, MAX_NAME = 256;
const SHT_SYMTAB = 2;
const STT_NOTYPE = 0, STT_FUNC = 2, STT_GNU_IFUNC = 10;

/**
 * Extracts the code symbols of an ELF image (functions, and untyped labels in sections as assembly gives them).
 * @param name file name, for messages
 * @param bytes the file
 * @returns symbols ascending by address, one name an address (the first in the table wins); empty when the file is
 *   not ELF or has no symbol table
 * @throws GuestError when the ELF header itself is malformed
 */
export function extractSymbols(name: string, bytes: Uint8Array): SymbolEntry[] {
  if (!isElf(bytes)) return [];
  const r = new ImageReader(name, bytes);
  return elfSymbols(r, parseElf(r));
}

/** `extractSymbols` for a file whose headers are already read. A table that leaves the file gives no symbols. */
export function elfSymbols(r: ImageReader, elf: ElfFile): SymbolEntry[] {
  const table = elf.sections.find((s) => s.type === SHT_SYMTAB);
  const strings = table && elf.sections[table.link];
  const entrySize = elf.bits === 32 ? 16 : 24;
  if (!table || !strings || table.entrySize !== entrySize) return [];
  if (table.offset + table.size > r.length || strings.offset + strings.size > r.length) return [];
  const view = new DataView(r.bytes.buffer, r.bytes.byteOffset, r.bytes.byteLength);
  const names = r.bytes.subarray(strings.offset, strings.offset + strings.size);
  const byAddress = new Map<bigint, SymbolEntry>();
  const count = Math.min(Math.floor(table.size / entrySize), MAX_SYMBOLS);
  for (let i = 0; i < count; i++) {
    const at = table.offset + i * entrySize;
    const is32 = elf.bits === 32;
    const type = view.getUint8(at + (is32 ? 12 : 4)) & 15;
    const section = view.getUint16(at + (is32 ? 14 : 6), true);
    // Section 0 is undefined; 0xfff1 and above are absolute values and commons, not addresses of code.
    if (section === 0 || section >= 0xff00) continue;
    if (type !== STT_NOTYPE && type !== STT_FUNC && type !== STT_GNU_IFUNC) continue;
    const text = symbolName(names, view.getUint32(at, true));
    if (text === "") continue;
    const start = is32 ? BigInt(view.getUint32(at + 4, true)) : view.getBigUint64(at + 8, true);
    const size = is32 ? view.getUint32(at + 8, true) : Number(view.getBigUint64(at + 16, true));
    const old = byAddress.get(start);
    if (!old || (old.size === 0 && size > 0)) {
      byAddress.set(start, { start, size: Math.min(size, 2 ** 32), name: text });
    }
  }
  return [...byAddress.values()].sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
}

function symbolName(names: Uint8Array, offset: number): string {
  let text = "";
  for (let i = offset; i < names.length && names[i] !== 0 && i < offset + MAX_NAME; i++) {
    // Control characters have no business in a name and would reach terminals.
    text += names[i] >= 0x20 && names[i] < 0x7f ? String.fromCharCode(names[i]) : "?";
  }
  return text;
}
