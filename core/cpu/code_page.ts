/**
 * What is decoded of one physical page.
 *
 * @module
 */
import { PAGE_SIZE } from "../mmu/physmem.ts";

/** The blocks of one physical page. */
export class CodePage {
  /** Record address, or several, by offset in page + mode × 4096. */
  readonly blocks = new Map<number, number[]>();
  /** One bit a byte: set where an instruction has been decoded from. */
  readonly bytes = new Uint8Array(PAGE_SIZE / 8);
  /** Linear page numbers at which it was decoded, while a debugger is attached. */
  readonly linear = new Set<number>();

  /** Forgets everything. */
  clear(): void {
    this.blocks.clear();
    this.linear.clear();
    this.bytes.fill(0);
  }
  /** Notes that bytes have been decoded. */
  mark(offset: number, length: number): void {
    for (let i = offset; i < offset + length; i++) this.bytes[i >> 3] |= 1 << (i & 7);
  }
  /** True when some of these bytes have been decoded. */
  overlaps(offset: number, length: number): boolean {
    const end = Math.min(offset + length, PAGE_SIZE);
    for (let i = offset; i < end; i++) if (this.bytes[i >> 3] >> (i & 7) & 1) return true;
    return false;
  }
}
