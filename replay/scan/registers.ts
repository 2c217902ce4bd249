/**
 * Registers of all vCPUs as a table.
 *
 * @module
 */
import { GPR_NAMES, Seg } from "../../core/cpu/state.ts";
import * as L from "../../core/layout.ts";
import type { RetrovisorMachine } from "../../core/machine.ts";
import { finished, Rows, type ScanTable, type Width } from "./rows.ts";

/** 64-bit registers by their place in the state. */
const WIDE: readonly (readonly [string, number])[] = [
  ...GPR_NAMES.map((name, n) => [name, L.GPR + n * 8] as const),
  ["cr0", L.CR0],
  ["cr2", L.CR2],
  ["cr3", L.CR3],
  ["cr4", L.CR4],
  ["efer", L.EFER],
];
const SEGMENTS = [["cs", Seg.CS], ["ss", Seg.SS], ["ds", Seg.DS], ["es", Seg.ES], ["fs", Seg.FS], [
  "gs",
  Seg.GS,
]] as const;
const BASES = [
  ["fs_base", L.SEG + Seg.FS * L.SEG_SIZE + L.SEG_BASE],
  ["gs_base", L.SEG + Seg.GS * L.SEG_SIZE + L.SEG_BASE],
  ["kernel_gs_base", L.MSR_KERNEL_GS_BASE],
] as const;

/** One row for each vCPU. Every vCPU is made the active one in turn, and the machine is left as it was found. */
export function registersOf(machine: RetrovisorMachine): ScanTable {
  const widths = Object.fromEntries<Width>([
    ["icount", 64],
    ["vcpu", 8],
    ["running", 8],
    ["rip", 64],
    ["rflags", 64],
    ...WIDE.map(([name]): [string, Width] => [name, 64]),
    ...SEGMENTS.map(([name]): [string, Width] => [name, 32]),
    ...BASES.map(([name]): [string, Width] => [name, 64]),
  ]);
  const rows = new Rows<string>(widths), { vcpus, cpu: { s } } = machine, active = vcpus.active;
  for (const { id } of vcpus.all) {
    if (id !== vcpus.active) {
      vcpus.park();
      vcpus.unpark(id);
    }
    const row = rows.add();
    rows.setNumber("icount", row, machine.icount);
    rows.columns.vcpu[row] = id;
    rows.columns.running[row] = id === active ? 1 : 0;
    rows.setWords("rip", row, s.word(L.RIP), s.word(L.RIP + 4));
    rows.setWords("rflags", row, s.flags, 0);
    for (const [name, at] of [...WIDE, ...BASES]) rows.setWords(name, row, s.word(at), s.word(at + 4));
    for (const [name, seg] of SEGMENTS) rows.columns[name][row] = s.segSel(seg);
  }
  if (vcpus.active !== active) {
    vcpus.park();
    vcpus.unpark(active);
  }
  return finished(rows);
}
