/**
 * The architectural state of two machines compared: registers of every vCPU, and guest memory.
 *
 * @module
 */
import { GPR_NAMES, Seg } from "../../core/cpu/state.ts";
import * as L from "../../core/layout.ts";
import type { RetrovisorMachine } from "../../core/machine.ts";
import { PAGE_SIZE } from "../../core/mmu/physmem.ts";

/** Value of a register as words, low first. */
export type Words = readonly number[];

/** 64-bit registers by their place in the state. */
const WIDE: readonly (readonly [string, number])[] = [
  ...GPR_NAMES.map((name, n) => [name, L.GPR + n * 8] as const),
  ["rip", L.RIP],
  ["cr0", L.CR0],
  ["cr2", L.CR2],
  ["cr3", L.CR3],
  ["cr4", L.CR4],
  ["cr8", L.CR8],
  ["efer", L.EFER],
  ["xcr0", L.XCR0],
  ["gdtr.base", L.GDTR],
  ["idtr.base", L.IDTR],
  ...Array.from({ length: 8 }, (_, n) => [`dr${n}`, L.DR + n * 8] as const),
  ["star", L.MSR_STAR],
  ["lstar", L.MSR_LSTAR],
  ["cstar", L.MSR_CSTAR],
  ["sfmask", L.MSR_SFMASK],
  ["kernel_gs_base", L.MSR_KERNEL_GS_BASE],
  ["sysenter_cs", L.MSR_SYSENTER_CS],
  ["sysenter_esp", L.MSR_SYSENTER_ESP],
  ["sysenter_eip", L.MSR_SYSENTER_EIP],
  ["tsc_aux", L.MSR_TSC_AUX],
  ["pat", L.MSR_PAT],
  ["fip", L.FIP],
  ["fdp", L.FDP],
];
const NARROW: readonly (readonly [string, number])[] = [
  ["gdtr.limit", L.GDTR + 8],
  ["idtr.limit", L.IDTR + 8],
  ["cpl", L.CPL],
  ["mxcsr", L.MXCSR],
  ["fcw", L.FCW],
  ["fsw", L.FSW],
  ["ftw", L.FTW],
  ["fop", L.FOP],
  ["fcs", L.FCS],
  ["fds", L.FDS],
];
const SEGMENTS = Object.entries(Seg);

/** Every register of every vCPU by name (`vcpu1.rax` beyond the first); the machine is left as it was. */
export function registersOf(m: RetrovisorMachine): Map<string, Words> {
  const out = new Map<string, Words>(), { vcpus, cpu: { s } } = m, active = vcpus.active;
  const words = (at: number, n: number): Words => Array.from({ length: n }, (_, i) => s.word(at + i * 4));
  for (const { id } of vcpus.all) {
    if (id !== vcpus.active) {
      vcpus.park();
      vcpus.unpark(id);
    }
    const put = (name: string, w: Words) => out.set(id === 0 ? name : `vcpu${id}.${name}`, w);
    for (const [name, at] of WIDE) put(name, words(at, 2));
    put("rflags", [s.flags]);
    for (const [name, at] of NARROW) put(name, words(at, 1));
    for (const [name, n] of SEGMENTS) {
      const at = L.SEG + n * L.SEG_SIZE;
      put(name.toLowerCase(), words(at + L.SEG_SEL, 1));
      put(`${name.toLowerCase()}.base`, words(at + L.SEG_BASE, 2));
      put(`${name.toLowerCase()}.limit`, words(at + L.SEG_LIMIT, 1));
      put(`${name.toLowerCase()}.attributes`, words(at + L.SEG_ATTR, 1));
    }
    for (let n = 0; n < 16; n++) put(`xmm${n}`, words(L.XMM + n * 16, 4));
    for (let n = 0; n < 8; n++) {
      const [a, b, c] = words(L.FPR + n * 16, 3);
      put(`fpr${n}`, [a, b, c & 0xffff]);
    }
    put("halted", [m.cpu.halted ? 1 : 0]);
  }
  if (vcpus.active !== active) {
    vcpus.park();
    vcpus.unpark(active);
  }
  out.set("active vcpu", [active]);
  return out;
}

/** A register that differs. */
export interface RegisterDifference {
  name: string;
  a: string;
  b: string;
}

/** Registers that differ. */
export function differingRegisters(a: RetrovisorMachine, b: RetrovisorMachine): RegisterDifference[] {
  const inA = registersOf(a), inB = registersOf(b);
  return [...inA].filter(([name, w]) => {
    const other = inB.get(name);
    return other === undefined || w.some((v, i) => v !== other[i]);
  }).map(([name, w]) => ({ name, a: hexWords(w), b: hexWords(inB.get(name) ?? []) }));
}

function hexWords(words: Words): string {
  const all = [...words].reverse().map((w) => (w >>> 0).toString(16).padStart(8, "0")).join("");
  return `0x${all.replace(/^0+(?=.)/, "")}`;
}

/** Bytes of guest memory that differ: bits that do, by guest-physical address. */
export type MemoryDifference = Map<number, number>;

/** Most differing bytes that are told apart: beyond, two runs have nothing to do with each other. */
export const DIFFERING_MAX = 1 << 20;

/** Compares all of guest memory. */
export function differingMemory(a: RetrovisorMachine, b: RetrovisorMachine): MemoryDifference {
  const out: MemoryDifference = new Map();
  const wordsA = new Int32Array(a.mem.memory.buffer), wordsB = new Int32Array(b.mem.memory.buffer);
  for (let gfn = 0; gfn < a.mem.hostPage.length && out.size < DIFFERING_MAX; gfn++) {
    const ha = a.mem.hostPage[gfn], hb = b.mem.hostPage[gfn];
    if (ha === 0 && hb === 0) continue;
    const n = PAGE_SIZE / 4;
    if (ha !== 0 && hb !== 0) {
      let i = 0;
      while (i < n && wordsA[ha * n + i] === wordsB[hb * n + i]) i++;
      if (i === n) continue;
    }
    for (let i = 0; i < PAGE_SIZE; i++) differs(a, b, gfn * PAGE_SIZE + i, out);
  }
  return out;
}

/** Compares one byte, and notes it when it differs. Memory that only one of them has reads as all ones. */
export function differs(
  a: RetrovisorMachine,
  b: RetrovisorMachine,
  gpa: number,
  into: MemoryDifference,
): void {
  const bits = a.mem.read8(gpa) ^ b.mem.read8(gpa);
  if (bits !== 0) into.set(gpa, bits);
  else into.delete(gpa);
}

/** True when all bits of one difference are in the other. */
export function within(inner: MemoryDifference, outer: MemoryDifference): boolean {
  for (const [gpa, bits] of inner) if (bits & ~(outer.get(gpa) ?? 0)) return false;
  return true;
}
