/**
 * What a loader hands to the machine: where to start, with which registers, and what memory the guest was told of.
 *
 * @module
 */
import type { SymbolEntry } from "./symbols.ts";

/** Kinds of memory in a memory map, with the numbers that E820 and `hvm_memmap_table_entry` share. */
export const MemoryType = { RAM: 1, RESERVED: 2, ACPI: 3, NVS: 4 } as const;

/** One range of a guest's memory map; bytes, guest-physical. */
export interface MemoryRegion {
  addr: number;
  size: number;
  /** One of `MemoryType`. */
  type: number;
}

/** A file format that `describeImage` knows. */
export type ImageFormat =
  | "pvh-elf32"
  | "pvh-elf64"
  | "multiboot"
  | "elf32"
  | "elf64"
  | "bzimage"
  | "bios"
  | "gzip"
  | "xz"
  | "lzma"
  | "lz4"
  | "zstd"
  | "bzip2"
  | "lzop"
  | "unknown";

/** Registers with a value at entry; all others are 0 (EDX is the machine's choice: the processor signature). */
export interface EntryRegisters {
  eax?: number;
  ebx?: number;
  ecx?: number;
  edx?: number;
  esi?: number;
  edi?: number;
  ebp?: number;
  esp?: number;
}

/** One segment register at entry; `attr` as in `Attr` of `core/cpu/state.ts`. */
export interface EntrySegment {
  selector: number;
  base: number;
  /** Bytes - 1, scaled. */
  limit: number;
  attr: number;
}

/** Processor state at the guest's first instruction. */
export interface BootEntry {
  mode: "real" | "prot32" | "long";
  /** Instruction pointer: an offset into CS. */
  rip: number;
  regs: EntryRegisters;
  cs: EntrySegment;
  /** DS, ES, SS; FS and GS as well. */
  data: EntrySegment;
  /** Task register. */
  tr: EntrySegment;
  cr0: number;
  cr3: number;
  cr4: number;
  efer: number;
  /** Descriptor tables: base and limit (bytes - 1). */
  gdtr: { base: number; limit: number };
  idtr: { base: number; limit: number };
}

/** ACPI tables ready to be copied into guest memory. */
export interface AcpiTables {
  /** Guest-physical address of the RSDP. */
  rsdp: number;
  /** Pieces of the tables and where they go. */
  blobs: { gpa: number; bytes: Uint8Array }[];
}

/** Everything known about a guest once its images are in memory. */
export interface BootState {
  format: ImageFormat;
  entry: BootEntry;
  /** What the guest is told of memory, ascending. */
  memoryMap: MemoryRegion[];
  /** Guest-physical address of `hvm_start_info`, boot_params or multiboot information; null when there is none. */
  startInfo: number | null;
  /** Address of the ACPI RSDP, or null. */
  rsdp: number | null;
  /** Symbols of the kernel image, ascending by address; empty when it carries none. */
  symbols: SymbolEntry[];
}
