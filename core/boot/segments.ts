/**
 * Putting the segments of an ELF image where they belong in guest memory.
 *
 * @module
 */
import type { PhysMem } from "../mmu/physmem.ts";
import { hex, type ImageReader } from "./bytes.ts";
import type { ElfFile, ElfSegment } from "./elf.ts";
import { inRam, type MemoryLayout } from "./memmap.ts";

/**
 * Checks that every segment lies in RAM and that none overlaps another.
 * @returns the first address after the highest segment
 * @throws GuestError naming the program header that is wrong
 */
export function checkSegments(r: ImageReader, elf: ElfFile, layout: MemoryLayout): number {
  if (elf.segments.length === 0) r.fail(0, "no program header loads anything", "link it into an executable");
  const sorted = [...elf.segments].sort((a, b) => a.paddr - b.paddr);
  let previous: ElfSegment | null = null;
  for (const s of sorted) {
    if (!inRam(layout, s.paddr, s.memBytes)) {
      const top = layout.ram[layout.ram.length - 1];
      r.fail(
        s.at,
        `the segment ${hex(s.paddr)}+${hex(s.memBytes)} does not lie in RAM, which ends at ${
          hex(top.addr + top.size)
        }`,
        "raise memory= or link it lower",
      );
    }
    if (previous && previous.paddr + previous.memBytes > s.paddr) {
      r.fail(
        s.at,
        `the segment at ${hex(s.paddr)} overlaps the one at ${hex(previous.paddr)}+${hex(previous.memBytes)}`,
        "the program headers are damaged, link it again",
      );
    }
    previous = s;
  }
  const last = sorted[sorted.length - 1];
  return last.paddr + last.memBytes;
}

/** Copies every segment's bytes to its physical address. RAM must be mapped and fresh: what follows them stays zero. */
export function copySegments(r: ImageReader, elf: ElfFile, mem: PhysMem): void {
  for (const s of elf.segments) mem.write(s.paddr, r.slice(s.offset, s.fileBytes, "a segment"));
}

/** True when an address lies inside a loaded segment. */
export function inSegments(elf: ElfFile, addr: number): boolean {
  return elf.segments.some((s) => addr >= s.paddr && addr < s.paddr + s.memBytes);
}
