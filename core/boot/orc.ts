/**
 * ORC tables of a 64-bit Linux kernel: for every code address, where its caller's stack frame is. They make stacks
 * readable that were compiled without frame pointers.
 *
 * Source: Linux 6.1 `arch/x86/include/asm/orc_types.h` (struct orc_entry: 16-bit offsets of SP and BP, then four bits
 * each of base register and two of type) and `arch/x86/kernel/unwind_orc.c`. Since 6.4 the type has three bits and other
 * numbers; which it is shows in what most entries are, namely calls.
 *
 * @module
 */
import type { ImageReader } from "./bytes.ts";
import type { ElfFile, ElfSection } from "./elf.ts";

/** Base registers of an entry (ORC_REG_*). */
export const OrcReg = {
  UNDEFINED: 0,
  PREV_SP: 1,
  DX: 2,
  DI: 3,
  BP: 4,
  SP: 5,
  R10: 6,
  R13: 7,
  BP_INDIRECT: 8,
  SP_INDIRECT: 9,
} as const;

/** What is at the caller's stack pointer: a return address below it, saved registers, or an interrupt frame. */
export const OrcType = { CALL: 0, REGS: 1, REGS_PARTIAL: 2, END: 3 } as const;

const ENTRY_BYTES = 6, ENTRIES_MAX = 8_000_000;
/** Entries that are looked at to tell the two numberings apart. */
const CENSUS = 4096;

/** Numbers of 6.4 and later by ours. */
const RECENT_TYPES = [OrcType.END, OrcType.END, OrcType.CALL, OrcType.REGS, OrcType.REGS_PARTIAL];

/** The tables of one kernel. Addresses are signed numbers, as linked. */
export class OrcTable {
  /** Offsets of the entry found by `find`, in bytes, and its registers (`OrcReg`) and type (`OrcType`). */
  spOffset = 0;
  bpOffset = 0;
  spReg = 0;
  bpReg = 0;
  type = 0;
  readonly #view: DataView;
  readonly #recent: boolean;

  constructor(
    reader: ImageReader,
    readonly ips: ElfSection,
    readonly entries: ElfSection,
    /** Number of entries of each. */
    readonly count: number,
  ) {
    this.#view = new DataView(reader.bytes.buffer, reader.bytes.byteOffset, reader.bytes.byteLength);
    let calls = 0;
    const step = Math.max(1, Math.floor(count / CENSUS));
    for (let i = 0; i < count; i += step) if ((this.#word(i) >> 8 & 7) === 2) calls++;
    this.#recent = calls * step > count / 2;
  }

  /** First address that the tables cover. */
  get first(): number {
    return this.#ip(0);
  }

  /** Address of the last entry: it ends what is covered. */
  get last(): number {
    return this.#ip(this.count - 1);
  }

  /** Looks up an address, as linked. @returns false when nothing is known there; else the fields tell */
  find(ip: number): boolean {
    if (ip < this.first || ip >= this.last) return false;
    let low = 0, high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#ip(middle) <= ip) low = middle;
      else high = middle - 1;
    }
    const at = this.entries.offset + low * ENTRY_BYTES, word = this.#word(low);
    this.spOffset = this.#view.getInt16(at, true);
    this.bpOffset = this.#view.getInt16(at + 2, true);
    this.spReg = word & 15;
    this.bpReg = word >> 4 & 15;
    this.type = this.#recent ? RECENT_TYPES[word >> 8 & 7] ?? OrcType.END : word >> 8 & 3;
    return true;
  }

  #word(i: number): number {
    return this.#view.getUint16(this.entries.offset + i * ENTRY_BYTES + 4, true);
  }

  /** Each is stored as its distance from where it is stored. */
  #ip(i: number): number {
    return this.ips.address + i * 4 + this.#view.getInt32(this.ips.offset + i * 4, true);
  }
}

/** The ORC tables of a kernel; null when it has none (32-bit, or built with frame pointers). */
export function orcTable(reader: ImageReader, elf: ElfFile): OrcTable | null {
  const ips = elf.sections.find((s) => s.name === ".orc_unwind_ip");
  const entries = elf.sections.find((s) => s.name === ".orc_unwind");
  if (elf.bits !== 64 || ips === undefined || entries === undefined) return null;
  const count = ips.size / 4;
  if (!Number.isInteger(count) || count < 2 || count > ENTRIES_MAX || entries.size !== count * ENTRY_BYTES) {
    return null;
  }
  if (ips.offset + ips.size > reader.length || entries.offset + entries.size > reader.length) return null;
  return new OrcTable(reader, ips, entries, count);
}
