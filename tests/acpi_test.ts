import { assert, assertEquals } from "@std/assert";
import { ACPI_RSDP_GPA, type AcpiOptions, buildAcpiTables } from "../core/boot/acpi.ts";

/** Guest memory with the tables in it, read as an operating system would. */
class Reader {
  constructor(readonly blobs: { gpa: number; bytes: Uint8Array }[]) {}
  at(gpa: number, length: number): DataView {
    const blob = this.blobs.find((b) => gpa >= b.gpa && gpa + length <= b.gpa + b.bytes.length);
    assert(blob, `nothing at 0x${gpa.toString(16)}`);
    return new DataView(blob.bytes.buffer, blob.bytes.byteOffset + gpa - blob.gpa, length);
  }
  sum(gpa: number, length: number): number {
    const v = this.at(gpa, length);
    let sum = 0;
    for (let i = 0; i < length; i++) sum += v.getUint8(i);
    return sum & 0xff;
  }
  table(gpa: number): { signature: string; view: DataView } {
    const length = this.at(gpa, 8).getUint32(4, true), view = this.at(gpa, length);
    const signature = String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(i)));
    if (signature !== "FACS") assertEquals(this.sum(gpa, length), 0, `checksum of ${signature}`);
    return { signature, view };
  }
}

/** Follows RSDP → XSDT → FADT → DSDT, FACS and MADT. */
function walk(options: AcpiOptions) {
  const { rsdp, blobs } = buildAcpiTables(options), r = new Reader(blobs), p = r.at(rsdp, 36);
  assertEquals(new TextDecoder().decode(new Uint8Array(p.buffer, p.byteOffset, 8)), "RSD PTR ");
  assertEquals([r.sum(rsdp, 20), r.sum(rsdp, 36)], [0, 0]);
  const xsdt = r.table(Number(p.getBigUint64(24, true))), rsdt = r.table(p.getUint32(16, true));
  assertEquals([xsdt.signature, rsdt.signature], ["XSDT", "RSDT"]);
  const fadt = r.table(Number(xsdt.view.getBigUint64(36, true)));
  const madt = r.table(Number(xsdt.view.getBigUint64(44, true)));
  assertEquals([fadt.signature, madt.signature], ["FACP", "APIC"]);
  assertEquals(rsdt.view.getUint32(36, true), Number(xsdt.view.getBigUint64(36, true)));
  const dsdt = r.table(Number(fadt.view.getBigUint64(140, true)));
  const facs = r.table(fadt.view.getUint32(36, true));
  assertEquals([dsdt.signature, facs.signature], ["DSDT", "FACS"]);
  assertEquals(fadt.view.getUint32(40, true), Number(fadt.view.getBigUint64(140, true)));
  return { rsdp, blobs, fadt: fadt.view, madt: madt.view, dsdt: dsdt.view };
}

/** MADT entries as [type, bytes...]. */
function entries(madt: DataView): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let o = 44; o < madt.byteLength;) {
    const length = madt.getUint8(o + 1);
    out.push(new Uint8Array(madt.buffer, madt.byteOffset + o, length));
    o += length;
  }
  return out;
}

Deno.test("ACPI tables of a PVH domain are linked, summed and placed as under Xen", () => {
  const t = walk({ vcpus: 1, platform: "none" });
  assertEquals(t.rsdp, ACPI_RSDP_GPA);
  // Real xl reports the region 0xfc000000-0xfc00803f.
  const end = Math.max(...t.blobs.map((b) => b.gpa + b.bytes.length));
  assertEquals([Math.min(...t.blobs.map((b) => b.gpa)), end], [0xfc000000, 0xfc008040]);
  assertEquals(entries(t.madt).map((e) => [...e]), [[0, 8, 0, 0, 1, 0, 0, 0]]);
  // NO_VGA and NO_CMOS_RTC; no PM timer.
  assertEquals([t.fadt.getUint16(109, true), t.fadt.getUint32(76, true)], [0x24, 0]);
});

Deno.test("ACPI MADT lists every vCPU by its APIC id", () => {
  const t = walk({ vcpus: 128, platform: "none", apicIdShift: 1 }), lapics = entries(t.madt);
  assertEquals(lapics.length, 128);
  assertEquals(lapics.map((e) => [e[0], e[2], e[3]]), Array.from({ length: 128 }, (_, i) => [0, i, i * 2]));
  const wide = entries(walk({ vcpus: 65, platform: "none", apicIdShift: 2 }).madt)[64];
  assertEquals([wide[0], wide[1], wide[4] | wide[5] << 8, wide[12]], [9, 16, 256, 64]);
});

Deno.test("ACPI tables of a PC name IO-APIC, overrides, PM registers and soft off", () => {
  const t = walk({ vcpus: 2, platform: "pc", lowRsdp: true });
  assertEquals(t.rsdp, 0xfffc0);
  assertEquals(entries(t.madt).map((e) => e[0]), [1, 2, 2, 0, 0, 4]);
  assertEquals([t.fadt.getUint32(56, true), t.fadt.getUint32(64, true), t.fadt.getUint32(76, true)], [
    0x600,
    0x604,
    0x608,
  ]);
  const aml = new Uint8Array(t.dsdt.buffer, t.dsdt.byteOffset, t.dsdt.byteLength);
  assert(new TextDecoder("latin1").decode(aml).includes("\x08\\_S5_\x12"));
});
