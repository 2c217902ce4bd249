/**
 * The rows of a recording's table `symbols`: what the guest's code addresses are called, from the best source there is.
 *
 * @module
 */
import type { GuestImage } from "../config.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { type KernelImage, kernelImage, kernelSlide } from "./kernel_image.ts";
import type { ListedSymbol, SymbolFile } from "./symbol_file.ts";
import { elfSymbols } from "./symbols.ts";

/** One row. */
export interface SymbolRow {
  /** First address, as the guest's virtual address. */
  start: bigint;
  /** Bytes; 0 when nothing says. */
  size: number;
  name: string;
  /** File or kernel module it is from. */
  module: string;
  /** "elf", "kallsyms" or "System.map". */
  source: string;
}

/** Longest function that ends only because the table does. */
const LAST_BYTES = 4096;

/**
 * Collects the code symbols of a guest's images, ascending by address, one an address.
 * @param where the guest's memory, to find out how far its kernel has moved itself; or that distance in bytes
 * @param file symbols that the user gave; they replace those of the kernel
 */
export function guestSymbols(
  images: readonly GuestImage[],
  where: PhysMem | number,
  file: SymbolFile | null = null,
): SymbolRow[] {
  const rows = images.flatMap((image) => {
    if (image.role === "ramdisk") return [];
    const kernel = kernelImage(image.name, image.bytes);
    if (kernel === null) return [];
    const slide = typeof where === "number" ? where : kernelSlide(kernel, where) ?? 0;
    if (file !== null && image.role === "kernel") return fileSymbols(file, kernel, slide);
    return imageSymbols(kernel, slide);
  });
  if (rows.length === 0 && file !== null) return sorted(fileSymbols(file, null, 0));
  return sorted(rows);
}

function imageSymbols(kernel: KernelImage, slide: number): SymbolRow[] {
  const { name: module, elf, reader, kallsyms } = kernel;
  const listed = elfSymbols(reader, elf);
  if (listed.length > 0) {
    return listed.map((s) => ({ ...s, start: moved(s.start, slide, elf.bits), module, source: "elf" }));
  }
  if (kallsyms === null) return [];
  const symbols = kallsyms.symbols.filter((s) => !s.absolute).map((s): ListedSymbol => ({
    start: moved(s.address, slide, elf.bits),
    size: 0,
    type: s.type,
    name: s.name,
    module: null,
  }));
  return codeSymbols(symbols, module, "kallsyms");
}

/**
 * Symbols of the user's file, which may be of a kernel before or after it moved: `_text` tells.
 * @param kernel the kernel's image and how far it has moved, when known
 */
export function fileSymbols(file: SymbolFile, kernel: KernelImage | null, slide: number): SymbolRow[] {
  const bits = kernel?.elf.bits ?? 64;
  const text = file.symbols.find((s) => s.name === "_text" && s.module === null)?.start;
  const linked = kernel?.kallsyms?.symbols.find((s) => s.name === "_text")?.address;
  const by = text !== undefined && linked !== undefined && text !== linked ? 0 : slide;
  const symbols = by === 0
    ? file.symbols
    : file.symbols.map((s) => isHigh(s.start, bits) ? { ...s, start: moved(s.start, by, bits) } : s);
  return codeSymbols(symbols, kernel?.name ?? file.name, file.source);
}

/** Code symbols with their sizes: up to the next symbol, as the kernel itself reckons. The first at an address counts. */
export function codeSymbols(symbols: readonly ListedSymbol[], module: string, source: string): SymbolRow[] {
  const ascending = [...symbols].sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
  const rows: SymbolRow[] = [];
  let next = -1n;
  for (let i = ascending.length - 1; i >= 0; i--) {
    const s = ascending[i];
    const first = i === 0 || ascending[i - 1].start !== s.start;
    if (/[tTwW]/.test(s.type)) {
      const size = s.size > 0 ? s.size : next < 0n ? LAST_BYTES : Number(next - s.start);
      if (rows.at(-1)?.start === s.start) rows.pop();
      rows.push({ start: s.start, size, name: s.name, module: s.module ?? module, source });
    }
    if (first) next = s.start;
  }
  return rows.reverse();
}

/** Per-CPU offsets are low, and do not move. */
function isHigh(address: bigint, bits: 32 | 64): boolean {
  return address >> BigInt(bits - 1) === 1n;
}

function moved(address: bigint, by: number, bits: 32 | 64): bigint {
  return by === 0 ? address : BigInt.asUintN(bits, address + BigInt(by));
}

function sorted(rows: SymbolRow[]): SymbolRow[] {
  return rows.sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
}
