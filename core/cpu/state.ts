/**
 * The architectural state of the active vCPU, seen from TypeScript.
 *
 * 64-bit values are pairs of unsigned 32-bit words, or, where they must be canonical linear addresses or physical
 * addresses, JavaScript numbers (canonical addresses are signed: -2^47 <= a < 2^47; all fit a double exactly).
 *
 * @module
 */
import * as L from "../layout.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import { flagsToWord, wordToFlags } from "./flags.ts";

/** Segment register numbers, in encoding order, then the two system ones. */
export const Seg = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** General register numbers, in encoding order. */
export const Gpr = { AX: 0, CX: 1, DX: 2, BX: 3, SP: 4, BP: 5, SI: 6, DI: 7 } as const;

/** Names of the 64-bit general registers, in encoding order. */
export const GPR_NAMES: readonly string[] = [
  ...Object.keys(Gpr).map((name) => `r${name.toLowerCase()}`),
  ...Array.from({ length: 8 }, (_, n) => `r${n + 8}`),
];

/**
 * Segment attributes word: bits 0-3 type, 4 S, 5-6 DPL, 7 P, 8 AVL, 9 L, 10 D/B, 11 G (the descriptor's second
 * word shifted, limit nibble taken out), plus bit 16: unusable (null selector in protected mode).
 */
export const Attr = {
  TYPE: 0xf,
  S: 0x10,
  DPL_SHIFT: 5,
  DPL: 0x60,
  P: 0x80,
  AVL: 0x100,
  L: 0x200,
  DB: 0x400,
  G: 0x800,
  UNUSABLE: 0x10000,
  /** Type bits of code/data segments. */
  ACCESSED: 1,
  WRITABLE: 2,
  READABLE: 2,
  EXPAND_DOWN: 4,
  CONFORMING: 4,
  CODE: 8,
} as const;

/** RFLAGS bits. */
export const Fl = {
  CF: 1,
  R1: 2,
  PF: 4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  VIF: 0x80000,
  VIP: 0x100000,
  ID: 0x200000,
} as const;

/** CR0, CR4, EFER bits. */
export const Cr0 = {
  PE: 1,
  MP: 2,
  EM: 4,
  TS: 8,
  ET: 0x10,
  NE: 0x20,
  WP: 0x10000,
  AM: 0x40000,
  NW: 0x20000000,
  CD: 0x40000000,
  PG: 0x80000000,
} as const;
/** @see Cr0 */
export const Cr4 = {
  VME: 1,
  PVI: 2,
  TSD: 4,
  DE: 8,
  PSE: 0x10,
  PAE: 0x20,
  MCE: 0x40,
  PGE: 0x80,
  PCE: 0x100,
  OSFXSR: 0x200,
  OSXMMEXCPT: 0x400,
  UMIP: 0x800,
  FSGSBASE: 0x10000,
  PCIDE: 0x20000,
  OSXSAVE: 0x40000,
  SMEP: 0x100000,
  SMAP: 0x200000,
} as const;
/** @see Cr0 */
export const Efer = { SCE: 1, LME: 0x100, LMA: 0x400, NXE: 0x800, SVME: 0x1000, FFXSR: 0x4000 } as const;

/** Typed access to the active vCPU's state in the WebAssembly memory. */
export class CpuState {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  readonly view: DataView;

  constructor(readonly mem: PhysMem) {
    const b = mem.memory.buffer;
    this.u8 = mem.u8;
    this.i32 = new Int32Array(b, 0, L.RAM >> 2);
    this.u32 = new Uint32Array(b, 0, L.RAM >> 2);
    this.f64 = new Float64Array(b, 0, L.CODE >> 3);
    this.view = mem.view;
  }

  /** Low and high word of a general register. */
  lo(r: number): number {
    return this.u32[(L.GPR >> 2) + r * 2];
  }
  /** @see lo */
  hi(r: number): number {
    return this.u32[(L.GPR >> 2) + r * 2 + 1];
  }
  /** Writes all 64 bits of a general register. */
  setReg(r: number, lo: number, hi: number): void {
    this.u32[(L.GPR >> 2) + r * 2] = lo;
    this.u32[(L.GPR >> 2) + r * 2 + 1] = hi;
  }
  /** Writes a register at operand size: 64 bits; 32 (zero-extends); 16 or 8 (merges). */
  setRegSized(r: number, bits: number, lo: number, hi = 0): void {
    const i = (L.GPR >> 2) + r * 2;
    if (bits === 64) {
      this.u32[i] = lo;
      this.u32[i + 1] = hi;
    } else if (bits === 32) {
      this.u32[i] = lo;
      this.u32[i + 1] = 0;
    } else if (bits === 16) this.u32[i] = (this.u32[i] & 0xffff0000) | (lo & 0xffff);
    else this.u32[i] = (this.u32[i] & 0xffffff00) | (lo & 0xff);
  }

  /** A 64-bit state field as a number; exact for canonical and physical addresses. Signed. */
  num(off: number): number {
    const hi = this.i32[(off >> 2) + 1], lo = this.u32[off >> 2];
    return hi === 0 ? lo : hi * 0x1_0000_0000 + lo;
  }
  /** Stores a signed safe integer in a 64-bit state field. */
  setNum(off: number, value: number): void {
    this.u32[off >> 2] = value;
    this.i32[(off >> 2) + 1] = value >= 0 && value <= 0xffff_ffff ? 0 : Math.floor(value / 0x1_0000_0000);
  }
  /** Low word, high word of any 64-bit state field. */
  word(off: number): number {
    return this.u32[off >> 2];
  }
  /** Stores both words of a 64-bit state field. */
  setWords(off: number, lo: number, hi: number): void {
    this.u32[off >> 2] = lo;
    this.u32[(off >> 2) + 1] = hi;
  }

  /** RIP, canonical. */
  get rip(): number {
    return this.num(L.RIP);
  }
  set rip(v: number) {
    this.setNum(L.RIP, v);
  }

  /** All of RFLAGS as one word (lazy flags evaluated). */
  get flags(): number {
    return flagsToWord(this);
  }
  set flags(v: number) {
    wordToFlags(this, v);
  }

  get cr0(): number {
    return this.u32[L.CR0 >> 2];
  }
  get cr4(): number {
    return this.u32[L.CR4 >> 2];
  }
  get efer(): number {
    return this.u32[L.EFER >> 2];
  }
  get cpl(): number {
    return this.i32[L.CPL >> 2];
  }

  /** Segment fields. Base as a signed number. */
  segBase(s: number): number {
    return this.num(L.SEG + s * L.SEG_SIZE + L.SEG_BASE);
  }
  segLimit(s: number): number {
    return this.u32[(L.SEG + s * L.SEG_SIZE + L.SEG_LIMIT) >> 2];
  }
  segAttr(s: number): number {
    return this.u32[(L.SEG + s * L.SEG_SIZE + L.SEG_ATTR) >> 2];
  }
  segSel(s: number): number {
    return this.u32[(L.SEG + s * L.SEG_SIZE + L.SEG_SEL) >> 2];
  }
  /** Sets a segment register's hidden and visible parts. The mode must be recomputed by the caller afterwards. */
  setSeg(s: number, sel: number, base: number, limit: number, attr: number): void {
    const o = L.SEG + s * L.SEG_SIZE;
    this.setNum(o + L.SEG_BASE, base);
    this.u32[(o + L.SEG_LIMIT) >> 2] = limit;
    this.u32[(o + L.SEG_ATTR) >> 2] = attr;
    this.u32[(o + L.SEG_SEL) >> 2] = sel;
  }

  /** In long mode (EFER.LMA), and executing 64-bit code. */
  get longMode(): boolean {
    return (this.efer & Efer.LMA) !== 0;
  }
  get code64(): boolean {
    return this.longMode && (this.segAttr(Seg.CS) & Attr.L) !== 0;
  }
  get realMode(): boolean {
    return (this.cr0 & Cr0.PE) === 0;
  }
  get v86(): boolean {
    return (this.u32[L.FLAGS >> 2] & Fl.VM) !== 0;
  }
}
