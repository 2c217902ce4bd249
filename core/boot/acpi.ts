/**
 * ACPI tables: what Xen's toolstack gives a PVH domain, or a small PC's.
 *
 * Source: ACPI specification 6.4, chapter 5 "ACPI Software Programming Model"; for "none" the contents and places are
 * those that xl 4.17 gives a PVH domain (fixed-hardware blocks that nothing stands behind, one local APIC a vCPU).
 *
 * @module
 */
import { ACPI_PM } from "../devices/acpi_pm.ts";
import { device, integer, name, pack, scope, string } from "./aml.ts";
import type { AcpiTables } from "./types.ts";

/** Where the tables are placed, and the RSDP behind them: the region 0xfc000000-0xfc00803f, as under Xen. */
export const ACPI_GPA = 0xfc000000, ACPI_RSDP_GPA = 0xfc008000;
/** Where software without start_info or boot_params looks for the RSDP: the end of the BIOS area. */
export const ACPI_LOW_RSDP_GPA = 0xfffc0;
/** First table, behind the page of facts that Xen's toolstack leaves for its DSDT. */
const TABLES_GPA = ACPI_GPA + 0x1000;
const LAPIC_GPA = 0xfee00000, IOAPIC_GPA = 0xfec00000;

/** What the tables describe. */
export interface AcpiOptions {
  vcpus: number;
  /** "none": a Xen PVH domain; "pc": IO-APIC, ISA interrupts, PM registers, soft off and reset. */
  platform: "none" | "pc";
  /** APIC id of vCPU n is `n << apicIdShift`; default 0. Xen numbers 0, 2, 4, ... (1). Must agree with CPUID. */
  apicIdShift?: number;
  /** Put the RSDP at `ACPI_LOW_RSDP_GPA`, for guests that search for it; default false. */
  lowRsdp?: boolean;
}

/** Bytes of one table, filled in order. */
class Table {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  /** A table with the common header (ACPI 5.2.6), which FACS and RSDP (no `revision`) do without. */
  constructor(signature: string, length: number, revision?: number) {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
    this.text(0, signature);
    if (revision === undefined) return;
    this.u32(4, length);
    this.bytes[8] = revision;
    this.text(10, "Xen");
    this.text(16, "HVM");
    this.text(28, "RTRV");
  }
  text(o: number, value: string): void {
    this.bytes.set(new TextEncoder().encode(value), o);
  }
  u8(o: number, value: number): void {
    this.bytes[o] = value;
  }
  u16(o: number, value: number): void {
    this.view.setUint16(o, value, true);
  }
  u32(o: number, value: number): void {
    this.view.setUint32(o, value, true);
  }
  u64(o: number, value: number): void {
    this.u32(o, value >>> 0);
    this.u32(o + 4, Math.floor(value / 0x1_0000_0000));
  }
  /** Generic address structure of an I/O register block (ACPI 5.2.3.2). */
  port(o: number, bits: number, address: number): void {
    this.u8(o, 1);
    this.u8(o + 1, bits);
    this.u64(o + 4, address);
  }
  /** Stores the checksum that makes the first `length` bytes add up to 0. */
  checksum(at: number, length: number): this {
    this.bytes[at] = 0;
    let sum = 0;
    for (let i = 0; i < length; i++) sum += this.bytes[i];
    this.bytes[at] = -sum & 0xff;
    return this;
  }
}

/**
 * Builds every table.
 *
 * @param options what there is to describe
 * @returns the RSDP's address, and the bytes to be copied into guest memory (ACPI reclaimable memory)
 */
export function buildAcpiTables(options: AcpiOptions): AcpiTables {
  const area: { gpa: number; bytes: Uint8Array }[] = [];
  let next = TABLES_GPA;
  const place = (table: Table, align = 16): number => {
    const gpa = Math.ceil(next / align) * align;
    area.push({ gpa, bytes: table.bytes });
    next = gpa + table.bytes.length;
    return gpa;
  };
  const facs = place(facsTable(), 64), dsdt = place(dsdtTable(options));
  const fadt = place(fadtTable(options, facs, dsdt)), madtBuilt = madtTable(options), madt = place(madtBuilt);
  const xsdt = new Table("XSDT", 36 + 16, 1), rsdt = new Table("RSDT", 36 + 8, 1);
  [fadt, madt].forEach((gpa, i) => {
    xsdt.u64(36 + i * 8, gpa);
    rsdt.u32(36 + i * 4, gpa);
  });
  const xsdtGpa = place(xsdt.checksum(9, xsdt.bytes.length));
  const rsdtGpa = place(rsdt.checksum(9, rsdt.bytes.length));
  const rsdpGpa = options.lowRsdp ? ACPI_LOW_RSDP_GPA : ACPI_RSDP_GPA;
  if (next > ACPI_RSDP_GPA) {
    throw new RangeError(`Cannot place ACPI tables: ${options.vcpus} vCPUs are too many`);
  }
  const facts = new Uint8Array(4096), v = new DataView(facts.buffer);
  // Number of vCPUs; addresses of the MADT's checksum and of its first local APIC.
  v.setUint16(2, options.vcpus, true);
  v.setUint32(12, madt + 9, true);
  v.setUint32(16, madt + madtHeaderSize(options), true);
  const tables = new Uint8Array(ACPI_RSDP_GPA - TABLES_GPA);
  for (const piece of area) tables.set(piece.bytes, piece.gpa - TABLES_GPA);
  return {
    rsdp: rsdpGpa,
    blobs: [
      { gpa: ACPI_GPA, bytes: facts },
      { gpa: TABLES_GPA, bytes: tables },
      { gpa: rsdpGpa, bytes: rsdp(rsdtGpa, xsdtGpa) },
    ],
  };
}

/** Root system description pointer, revision 2, in 64 bytes. */
function rsdp(rsdt: number, xsdt: number): Uint8Array {
  const t = new Table("RSD PTR ", 64);
  t.text(9, "Xen");
  t.u8(15, 2);
  t.u32(16, rsdt);
  t.u32(20, 36);
  t.u64(24, xsdt);
  t.checksum(8, 20);
  return t.checksum(32, 36).bytes;
}

function facsTable(): Table {
  const t = new Table("FACS", 64);
  t.u32(4, 64);
  t.u8(32, 1);
  return t;
}

/** Processors by their MADT numbers; on a PC also how to switch off. */
function dsdtTable(options: AcpiOptions): Table {
  const processors = Array.from({ length: options.vcpus }, (_, i) => {
    const id = i.toString(16).toUpperCase().padStart(2, "0");
    return device(`PR${id}`, [name("_HID", string("ACPI0007")), name("_UID", integer(i))]);
  });
  const aml = scope("\\_SB", processors);
  if (options.platform === "pc") {
    const s5 = [ACPI_PM.SLEEP_S5, ACPI_PM.SLEEP_S5, 0, 0].map(integer);
    aml.push(...name("\\_S5", pack(s5)));
  }
  const t = new Table("DSDT", 36 + aml.length, 5);
  t.bytes.set(aml, 36);
  return t.checksum(9, t.bytes.length);
}

/** Xen's blocks of fixed hardware; a PVH domain has nothing there. */
const XEN_PM1_EVENT = 0xb000, XEN_PM1_CONTROL = 0xb004, XEN_GPE0 = 0xafe0;
/** FADT flags. */
const WBINVD = 1, PROC_C1 = 4, PWR_BUTTON = 0x10, SLP_BUTTON = 0x20, FIX_RTC = 0x40, TMR_VAL_EXT = 0x100;
const RESET_REG_SUP = 0x400, USE_PLATFORM_CLOCK = 0x8000;
/** IAPC boot flags. */
const LEGACY_DEVICES = 1, HAS_8042 = 2, NO_VGA = 4, NO_CMOS_RTC = 0x20;

/** Fixed ACPI description table, revision 5 (ACPI 5.2.9). */
function fadtTable(options: AcpiOptions, facs: number, dsdt: number): Table {
  const pc = options.platform === "pc", t = new Table("FACP", 268, 5);
  const event = pc ? ACPI_PM.PM1A_EVENT : XEN_PM1_EVENT,
    control = pc ? ACPI_PM.PM1A_CONTROL : XEN_PM1_CONTROL;
  t.u32(36, facs);
  t.u32(40, dsdt);
  t.u16(46, ACPI_PM.SCI);
  t.u32(56, event);
  t.u32(64, control);
  t.u8(88, 4);
  t.u8(89, 2);
  t.u16(96, 0xfff);
  t.u16(98, 0xfff);
  t.port(116, 8, ACPI_PM.RESET_PORT);
  t.u8(128, ACPI_PM.RESET_VALUE);
  t.u64(132, facs);
  t.u64(140, dsdt);
  t.port(148, 32, event);
  t.port(172, 16, control);
  let flags = WBINVD | PROC_C1 | PWR_BUTTON | SLP_BUTTON | FIX_RTC;
  if (pc) {
    flags |= RESET_REG_SUP;
    t.u32(76, ACPI_PM.TIMER);
    t.u8(91, 4);
    t.port(208, 32, ACPI_PM.TIMER);
    t.u16(109, LEGACY_DEVICES | HAS_8042);
  } else {
    flags |= TMR_VAL_EXT | USE_PLATFORM_CLOCK;
    t.u32(80, XEN_GPE0);
    t.u8(92, 4);
    t.u16(109, NO_VGA | NO_CMOS_RTC);
  }
  t.u32(112, flags);
  return t.checksum(9, t.bytes.length);
}

/** Bytes before the first local APIC: header, then on a PC the IO-APIC and two overrides. */
function madtHeaderSize(options: AcpiOptions): number {
  return 44 + (options.platform === "pc" ? 12 + 2 * 10 : 0);
}

/** Multiple APIC description table (ACPI 5.2.12). */
function madtTable(options: AcpiOptions): Table {
  const pc = options.platform === "pc", entries: number[][] = [];
  const word = (v: number) => [v & 0xff, v >>> 8 & 0xff, v >>> 16 & 0xff, v >>> 24];
  if (pc) {
    entries.push([1, 12, 0, 0, ...word(IOAPIC_GPA), ...word(0)]);
    // ISA 0 is wired to pin 2; the SCI is level-triggered and active high.
    entries.push([2, 10, 0, 0, ...word(2), 0, 0]);
    entries.push([2, 10, 0, ACPI_PM.SCI, ...word(ACPI_PM.SCI), 0x0d, 0]);
  }
  for (let i = 0; i < options.vcpus; i++) {
    const id = i << (options.apicIdShift ?? 0);
    if (id < 255) entries.push([0, 8, i, id, ...word(1)]);
    else entries.push([9, 16, 0, 0, ...word(id), ...word(1), ...word(i)]);
  }
  // NMI on LINT1 of every local APIC.
  if (pc) entries.push([4, 6, 0xff, 0, 0, 1]);
  const body = entries.flat(), t = new Table("APIC", 44 + body.length, 3);
  t.u32(36, LAPIC_GPA);
  t.u32(40, 1);
  t.bytes.set(body, 44);
  return t.checksum(9, t.bytes.length);
}
