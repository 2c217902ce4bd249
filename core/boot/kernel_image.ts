/**
 * What a kernel image says about itself beyond how to load it: its symbols, and where a running guest has moved it.
 *
 * @module
 */
import { GuestError } from "../config.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { PAGE_SIZE } from "../mmu/physmem.ts";
import { ImageReader } from "./bytes.ts";
import { extractVmlinux, isBzImage, MAX_UNPACKED } from "./bzimage.ts";
import { type ElfFile, isElf, parseElf } from "./elf.ts";
import { decodeKallsyms, type Kallsyms } from "./kallsyms.ts";
import { type OrcTable, orcTable } from "./orc.ts";
import { compressionOf, unpack } from "./unpack.ts";

/** An ELF kernel, unpacked. */
export interface KernelImage {
  /** File name, for people. */
  name: string;
  reader: ImageReader;
  elf: ElfFile;
  /** Linux's own symbol table; null when it has none. */
  kallsyms: Kallsyms | null;
  /** Linux's tables for unwinding stacks; null when it has none. */
  orc: OrcTable | null;
}

/** Bytes of the token table that are compared: enough to be found nowhere else. */
const SIGNATURE_BYTES = 256;
/** Farthest that Linux moves itself (RANDOMIZE_BASE_MAX_OFFSET), and the finest step (CONFIG_PHYSICAL_ALIGN). */
const SLIDE_MAX = 0x4000_0000, SLIDE_STEP = 0x2000;

const known = new WeakMap<Uint8Array, KernelImage | null>();

/**
 * Reads an image as a kernel; done once for each array of bytes.
 * @param name file name, for people
 * @returns null when it is no ELF file, packed or not, or a damaged one (which was said when it was loaded)
 */
export function kernelImage(name: string, bytes: Uint8Array): KernelImage | null {
  let image = known.get(bytes);
  if (image === undefined) known.set(bytes, image = readKernel(name, bytes));
  return image;
}

function readKernel(name: string, bytes: Uint8Array): KernelImage | null {
  try {
    let reader = new ImageReader(name, bytes);
    if (isBzImage(bytes)) reader = extractVmlinux(reader);
    else if (!isElf(bytes) && compressionOf(bytes) !== null) {
      reader = new ImageReader(name, unpack(reader, null, MAX_UNPACKED));
    }
    if (!isElf(reader.bytes)) return null;
    const elf = parseElf(reader);
    return {
      name,
      reader,
      elf,
      kallsyms: decodeKallsyms(reader.bytes, elf.bits),
      orc: orcTable(reader, elf),
    };
  } catch (e) {
    if (e instanceof GuestError) return null;
    throw e;
  }
}

/**
 * How far a running Linux has moved itself from where it was linked (KASLR), in bytes of virtual address.
 *
 * Its symbol table is looked for in guest memory; the table's relative base is a pointer that moved with it.
 * @returns null when the table is not there (not unpacked yet, or no Linux)
 */
export function kernelSlide(image: KernelImage, mem: PhysMem): number | null {
  const { kallsyms: k, elf, reader } = image;
  if (k === null) return null;
  const segment = elf.segments.find((s) =>
    k.tokenTableOffset >= s.offset && k.relativeBaseOffset >= s.offset &&
    k.tokenTableOffset + k.tokenTableBytes <= s.offset + s.fileBytes &&
    k.relativeBaseOffset + 8 <= s.offset + s.fileBytes
  );
  if (segment === undefined) return null;
  const signature = reader.bytes.subarray(
    k.tokenTableOffset,
    k.tokenTableOffset + Math.min(k.tokenTableBytes, SIGNATURE_BYTES),
  );
  const at = (segment.paddr + k.tokenTableOffset - segment.offset) % PAGE_SIZE;
  const toBase = k.relativeBaseOffset - k.tokenTableOffset;
  let found: number | null = null;
  for (let page = 0; page < mem.hostPage.length; page++) {
    if (mem.hostPage[page] === 0 || !holds(mem, page * PAGE_SIZE + at, signature)) continue;
    const slide = slideOf(mem, page * PAGE_SIZE + at + toBase, k, elf.bits);
    // What unpacking left behind was never relocated: a copy that was is the one that runs.
    if (slide !== null && (found === null || found === 0)) found = slide;
  }
  return found;
}

function holds(mem: PhysMem, gpa: number, bytes: Uint8Array): boolean {
  if (mem.read8(gpa) !== bytes[0] || mem.read8(gpa + 1) !== bytes[1]) return false;
  if (!mem.isBacked(gpa, bytes.length)) return false;
  return mem.read(gpa, bytes.length).every((b, i) => b === bytes[i]);
}

function slideOf(mem: PhysMem, gpa: number, k: Kallsyms, bits: 32 | 64): number | null {
  if (gpa < 0 || !mem.isBacked(gpa, 8)) return null;
  const lo = mem.read32(gpa), hi = bits === 64 ? mem.read32(gpa + 4) : 0;
  const base = (bits === 64 ? hi | 0 : 0) * 0x1_0000_0000 + lo;
  const slide = base - Number(bits === 64 ? BigInt.asIntN(64, k.relativeBase) : k.relativeBase);
  return Math.abs(slide) <= SLIDE_MAX && slide % SLIDE_STEP === 0 ? slide : null;
}
