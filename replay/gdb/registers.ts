/**
 * The registers that gdb sees, in its order, with its names: target descriptions of the features `org.gnu.gdb.i386.*`
 * (gdb's manual, "i386 Features"), and a feature of our own for what belongs to kernels.
 *
 * @module
 */
import { flagsToWord } from "../../core/cpu/flags.ts";
import { type CpuState, Seg } from "../../core/cpu/state.ts";
import * as L from "../../core/layout.ts";

/** What gdb takes the processor for. */
export type Architecture = "i8086" | "i386" | "x86-64";

/** All of them; 16-bit code has the registers of 32-bit code, and is disassembled as what it is. */
export const ARCHITECTURES: readonly Architecture[] = ["i8086", "i386", "x86-64"];

/** One register. */
export interface Register {
  name: string;
  bits: number;
  type: string;
  group?: string;
  /** Little-endian bytes of the value into `out`. */
  read(s: CpuState, out: Uint8Array): void;
}

interface Feature {
  name: string;
  types: string;
  registers: Register[];
}

const GPR64 = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
const GPR32 = "eax ecx edx ebx esp ebp esi edi".split(" ");
/** Register numbers in gdb's order of 64-bit names. */
const ORDER64 = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
const SEGMENTS: readonly [string, number][] = [
  ["cs", Seg.CS],
  ["ss", Seg.SS],
  ["ds", Seg.DS],
  ["es", Seg.ES],
  [
    "fs",
    Seg.FS,
  ],
  ["gs", Seg.GS],
];

const EFLAGS: readonly [string, number][] = [
  ["CF", 0],
  ["", 1],
  ["PF", 2],
  ["AF", 4],
  ["ZF", 6],
  ["SF", 7],
  ["TF", 8],
  ["IF", 9],
  ["DF", 10],
  ["OF", 11],
  ["NT", 14],
  ["RF", 16],
  ["VM", 17],
  ["AC", 18],
  ["VIF", 19],
  ["VIP", 20],
  ["ID", 21],
];
const MXCSR_BITS = "IE DE ZE OE UE PE DAZ IM DM ZM OM UM PM".split(" ");

function copy(from: number): Register["read"] {
  return (s, out) => out.set(s.u8.subarray(from, from + out.length));
}
function word(value: (s: CpuState) => number): Register["read"] {
  return (s, out) => {
    const v = value(s);
    for (let i = 0; i < out.length; i++) out[i] = i < 4 ? v >>> i * 8 : 0;
  };
}
/** A linear address, which is canonical (signed). */
function address(value: (s: CpuState) => number): Register["read"] {
  return (s, out) => {
    const v = value(s), hi = Math.floor(v / 0x1_0000_0000);
    for (let i = 0; i < out.length; i++) out[i] = i < 4 ? v >>> i * 8 : hi >> (i - 4) * 8;
  };
}

/** Linear address of the next instruction: outside 64-bit code, CS's base is in it, so that gdb finds the bytes. */
export function programCounter(s: CpuState): number {
  if (s.code64) return s.rip;
  return (s.segBase(Seg.CS) + s.rip % 0x1_0000_0000) % 0x1_0000_0000;
}

function core(arch: Architecture): Register[] {
  const wide = arch === "x86-64", bits = wide ? 64 : 32;
  const pointer = (n: string) => n.endsWith("sp") || n.endsWith("bp");
  const general = wide
    ? GPR64.map((name, i) => ({ name, at: L.GPR + ORDER64[i] * 8 }))
    : GPR32.map((name, i) => ({ name, at: L.GPR + i * 8 }));
  return [
    ...general.map(({ name, at }) => ({
      name,
      bits,
      type: pointer(name) ? "data_ptr" : wide ? "int64" : "int32",
      read: copy(at),
    })),
    { name: wide ? "rip" : "eip", bits, type: "code_ptr", read: address(programCounter) },
    { name: "eflags", bits: 32, type: "eflags_bits", read: word(flagsToWord) },
    ...SEGMENTS.map(([name, n]) => ({
      name,
      bits: 32,
      type: "int32",
      read: word((s: CpuState) => s.segSel(n)),
    })),
    ...Array.from({ length: 8 }, (_, i) => ({ name: `st${i}`, bits: 80, type: "i387_ext", read: stack(i) })),
    ...([
      ["fctrl", (s) => s.word(L.FCW)],
      ["fstat", (s) => s.word(L.FSW)],
      ["ftag", (s) => s.word(L.FTW)],
      ["fiseg", (s) => s.word(L.FCS)],
      ["fioff", (s) => s.word(L.FIP)],
      ["foseg", (s) => s.word(L.FDS)],
      ["fooff", (s) => s.word(L.FDP)],
      ["fop", (s) => s.word(L.FOP)],
    ] as [string, (s: CpuState) => number][]).map(([name, value]) => ({
      name,
      bits: 32,
      type: "int",
      group: "float",
      read: word(value),
    })),
  ];
}

/** ST(i): the physical register that TOP (bits 11-13 of the status word) and i select. */
function stack(i: number): Register["read"] {
  return (s, out) => {
    const at = L.FPR + ((s.word(L.FSW) >>> 11) + i & 7) * 16;
    out.set(s.u8.subarray(at, at + 10));
  };
}

function sse(arch: Architecture): Register[] {
  const count = arch === "x86-64" ? 16 : 8;
  return [
    ...Array.from({ length: count }, (_, i) => ({
      name: `xmm${i}`,
      bits: 128,
      type: "vec128",
      read: copy(L.XMM + i * 16),
    })),
    { name: "mxcsr", bits: 32, type: "mxcsr_bits", group: "vector", read: word((s) => s.word(L.MXCSR)) },
  ];
}

const CONTROL: readonly [string, number][] = [
  ["cr0", L.CR0],
  ["cr2", L.CR2],
  ["cr3", L.CR3],
  ["cr4", L.CR4],
  [
    "cr8",
    L.CR8,
  ],
  ["efer", L.EFER],
];

function system(arch: Architecture): Register[] {
  const bits = arch === "x86-64" ? 64 : 32;
  return CONTROL.map(([name, at]) => ({
    name,
    bits,
    type: bits === 64 ? "int64" : "int32",
    group: "system",
    read: copy(at),
  }));
}

const VECTOR_TYPES: readonly (readonly [string, string, number])[] = [
  ["v4_float", "ieee_single", 4],
  ["v2_double", "ieee_double", 2],
  ["v16_int8", "int8", 16],
  ["v8_int16", "int16", 8],
  ["v4_int32", "int32", 4],
  ["v2_int64", "int64", 2],
];

function flagsType(id: string, fields: readonly (readonly [string, number])[]): string {
  return `<flags id="${id}" size="4">${
    fields.map(([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`).join("")
  }</flags>`;
}

function vectorTypes(): string {
  const vectors = VECTOR_TYPES.map(([id, type, count]) =>
    `<vector id="${id}" type="${type}" count="${count}"/>`
  );
  const fields = VECTOR_TYPES.map(([id]) => `<field name="${id}" type="${id}"/>`);
  return `${vectors.join("")}<union id="vec128">${
    fields.join("")
  }<field name="uint128" type="uint128"/></union>${
    flagsType("mxcsr_bits", [...MXCSR_BITS.map((n, i) => [n, i] as const), ["FZ", 15]])
  }`;
}

/** All registers of an architecture by feature. */
function features(arch: Architecture): Feature[] {
  const base = (at: number) => address((s) => s.num(at));
  const list: Feature[] = [
    { name: "org.gnu.gdb.i386.core", types: flagsType("eflags_bits", EFLAGS), registers: core(arch) },
    { name: "org.gnu.gdb.i386.sse", types: vectorTypes(), registers: sse(arch) },
  ];
  if (arch === "x86-64") {
    list.push({
      name: "org.gnu.gdb.i386.segments",
      types: "",
      registers: ([["fs_base", Seg.FS], ["gs_base", Seg.GS]] as const).map(([name, n]) => ({
        name,
        bits: 64,
        type: "int64",
        read: base(L.SEG + n * L.SEG_SIZE + L.SEG_BASE),
      })),
    });
  }
  list.push({ name: "org.retrovisor.system", types: "", registers: system(arch) });
  return list;
}

/** Registers of an architecture in the order of their numbers, and the description that says so. */
export function describeTarget(arch: Architecture): { registers: Register[]; xml: string } {
  const all = features(arch);
  const body = all.map((f) => {
    const regs = f.registers.map((r) =>
      `<reg name="${r.name}" bitsize="${r.bits}" type="${r.type}"${r.group ? ` group="${r.group}"` : ""}/>`
    );
    return `<feature name="${f.name}">${f.types}${regs.join("\n")}</feature>\n`;
  });
  const architecture = arch === "x86-64" ? "i386:x86-64" : arch;
  const xml = `<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target version="1.0">` +
    `<architecture>${architecture}</architecture>\n${body.join("")}</target>\n`;
  return { registers: all.flatMap((f) => f.registers), xml };
}
