/**
 * Processor state at the guest's first instruction, for each way of entering.
 *
 * @module
 */
import { Attr, Cr0, Cr4, Efer } from "../cpu/state.ts";
import type { BootEntry, EntryRegisters, EntrySegment } from "./types.ts";

const CODE = Attr.S | Attr.P | Attr.CODE | Attr.READABLE | Attr.ACCESSED;
const DATA = Attr.S | Attr.P | Attr.WRITABLE | Attr.ACCESSED;
/** Types of system segments: busy 32-bit (or 64-bit) TSS, busy 16-bit TSS. */
const TSS_BUSY = 11;
const FLAT = 0xffff_ffff;
const NO_TABLE = { base: 0, limit: 0 };

const segment = (selector: number, base: number, limit: number, attr: number): EntrySegment => ({
  selector,
  base,
  limit,
  attr,
});

/** The only task register these entries promise: 32-bit busy TSS, base 0, limit 0x67. */
const TASK = segment(0, 0, 0x67, Attr.P | TSS_BUSY);

/** Where a GDT lies and which selectors of it are loaded. */
export interface BootGdt {
  base: number;
  limit: number;
  code: number;
  data: number;
}

/**
 * 32-bit protected mode, paging off, flat segments.
 * @param rip physical address of the first instruction
 * @param regs registers that carry something
 * @param gdt the GDT that backs the segments; without one the selectors are 0 (PVH and multiboot promise no GDT)
 */
export function protectedEntry(rip: number, regs: EntryRegisters, gdt?: BootGdt): BootEntry {
  return {
    mode: "prot32",
    rip,
    regs,
    cs: segment(gdt?.code ?? 0, 0, FLAT, CODE | Attr.DB | Attr.G),
    data: segment(gdt?.data ?? 0, 0, FLAT, DATA | Attr.DB | Attr.G),
    tr: TASK,
    cr0: Cr0.PE | Cr0.ET,
    cr3: 0,
    cr4: 0,
    efer: 0,
    gdtr: gdt ? { base: gdt.base, limit: gdt.limit } : NO_TABLE,
    idtr: NO_TABLE,
  };
}

/**
 * Real mode as after reset, with another CS.
 * @param cs code segment: selector and base (the base of the reset vector is not selector * 16)
 * @param ip offset into it
 */
export function realEntry(cs: { selector: number; base: number }, ip: number): BootEntry {
  return {
    mode: "real",
    rip: ip,
    regs: {},
    cs: segment(cs.selector, cs.base, 0xffff, CODE),
    data: segment(0, 0, 0xffff, DATA),
    tr: segment(0, 0, 0xffff, Attr.P | TSS_BUSY),
    cr0: Cr0.ET | Cr0.NW | Cr0.CD,
    cr3: 0,
    cr4: 0,
    efer: 0,
    gdtr: { base: 0, limit: 0xffff },
    idtr: { base: 0, limit: 0xffff },
  };
}

/**
 * 64-bit mode on page tables and a GDT that the loader made.
 * @param rip first instruction
 * @param cr3 physical address of the PML4
 */
export function longEntry(rip: number, cr3: number, gdt: BootGdt): BootEntry {
  return {
    ...protectedEntry(rip, {}, gdt),
    mode: "long",
    cs: segment(gdt.code, 0, FLAT, CODE | Attr.L | Attr.G),
    cr0: (Cr0.PE | Cr0.ET | Cr0.PG) >>> 0,
    cr3,
    cr4: Cr4.PAE,
    efer: Efer.LME | Efer.LMA,
  };
}

/** Selectors of `flatGdt`: __BOOT_CS and __BOOT_DS of the Linux boot protocol. */
export const BOOT_CS = 0x10, BOOT_DS = 0x18;

/**
 * A GDT of four descriptors: two null, flat code at 0x10, flat data at 0x18.
 * @param long code is 64-bit instead of 32-bit
 */
export function flatGdt(long: boolean): Uint8Array {
  const gdt = new Uint8Array(32);
  const view = new DataView(gdt.buffer);
  view.setUint32(BOOT_CS, 0x0000_ffff, true);
  view.setUint32(BOOT_CS + 4, long ? 0x00af_9b00 : 0x00cf_9b00, true);
  view.setUint32(BOOT_DS, 0x0000_ffff, true);
  view.setUint32(BOOT_DS + 4, 0x00cf_9300, true);
  return gdt;
}
