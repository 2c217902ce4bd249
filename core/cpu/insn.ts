/**
 * The record of one decoded instruction: what generated code reads, and what the TypeScript half of the instruction
 * set ("system operations") is handed.
 *
 * Records lie one behind the other in the `CODE` area; a block is preceded by an 8-byte header whose second word is
 * its length in instructions.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { CpuState } from "./state.ts";

/** Bytes per record. */
export const REC_SIZE = 40;
/** Field offsets inside a record. Register fields are byte offsets from `GPR` (or from `XMM` for vector registers). */
export const REC = {
  /** u16: index in the function table of the handler that executes this instruction (and perhaps more behind it). */
  HANDLER: 0,
  /** u16: index of the handler of this instruction alone, which names its form. */
  FORM: 2,
  /** u8: first register operand (ModRM.reg, or the one in the opcode), as a byte offset. */
  R0: 4,
  /** u8: second register operand (ModRM.rm when it is a register), as a byte offset. */
  R1: 5,
  /** u8: base and index registers of a memory operand as byte offsets; `ZERO` stands for none. */
  BASE: 6,
  INDEX: 7,
  /** u8: log2 of the index scale. */
  SCALE: 8,
  /** u8: segment of the memory operand: its number × `SEG_SIZE`. */
  SEG: 9,
  /** u8: instructions of the block from this one (inclusive) to its end. */
  REM: 10,
  /** u8: length in bytes. */
  LEN: 11,
  /** u32: low and high word of the linear-offset RIP of this instruction. */
  RIP_LO: 12,
  /** i64: displacement (or, for RIP-relative operands, the whole address). Direct branches: two link words instead. */
  DISP: 16,
  /** i64: immediate; for direct branches the target RIP. */
  IMM: 24,
  /** u16: system operation number (`core/cpu/system/`), or another small operand. */
  OP: 32,
  /** u8: operand size in bits/8 (1, 2, 4, 8), address size in bits/8, as the record's prefixes and mode give them. */
  OPSIZE: 34,
  ADDRSIZE: 35,
  /** u32: @see RIP_LO */
  RIP_HI: 36,
} as const;

/** Bits of `REC.OPFLAGS`, kept in the top byte of `OP`. */
export const OPF_REP = 0x4000, OPF_REPNE = 0x8000, OPF_MEM = 0x2000, OPF_MASK = 0x1fff;

/** A view of one record for TypeScript. One object, moved from record to record. */
export class Insn {
  /** Address of the record. */
  at = 0;
  constructor(readonly s: CpuState) {}

  /** System operation number. */
  get op(): number {
    return this.s.view.getUint16(this.at + REC.OP, true) & OPF_MASK;
  }
  /** True when ModRM names memory. */
  get isMem(): boolean {
    return (this.s.view.getUint16(this.at + REC.OP, true) & OPF_MEM) !== 0;
  }
  /** REP or REPE prefix (F3), REPNE prefix (F2). */
  get rep(): boolean {
    return (this.s.view.getUint16(this.at + REC.OP, true) & OPF_REP) !== 0;
  }
  get repne(): boolean {
    return (this.s.view.getUint16(this.at + REC.OP, true) & OPF_REPNE) !== 0;
  }
  /** Operand size in bytes: 1, 2, 4, 8. */
  get opsize(): number {
    return this.s.u8[this.at + REC.OPSIZE];
  }
  /** Address size in bytes: 2, 4, 8. */
  get addrsize(): number {
    return this.s.u8[this.at + REC.ADDRSIZE];
  }
  /** Register number of ModRM.reg (or opcode register) and of ModRM.rm. For 8-bit high registers see `R0` itself. */
  get reg(): number {
    return this.s.u8[this.at + REC.R0] >> 3;
  }
  get rm(): number {
    return this.s.u8[this.at + REC.R1] >> 3;
  }
  /** Segment number of the memory operand. */
  get seg(): number {
    return this.s.u8[this.at + REC.SEG] / L.SEG_SIZE;
  }
  /** Length in bytes. */
  get len(): number {
    return this.s.u8[this.at + REC.LEN];
  }
  /** Immediate: low word (unsigned), as a sign-extended number, high word. */
  get imm(): number {
    return this.s.u32[(this.at + REC.IMM) >> 2];
  }
  get immHi(): number {
    return this.s.u32[((this.at + REC.IMM) >> 2) + 1];
  }
  /** RIP of the instruction. */
  get rip(): number {
    const hi = this.s.i32[(this.at + REC.RIP_HI) >> 2], lo = this.s.u32[(this.at + REC.RIP_LO) >> 2];
    return hi === 0 ? lo : hi * 0x1_0000_0000 + lo;
  }
  /** RIP of the next instruction, wrapped to the code segment's width (16-bit code wraps at 64 KiB only on branches). */
  get nextRip(): number {
    const n = this.rip + this.len;
    return this.s.code64 ? n : n >>> 0;
  }
  /**
   * Effective address (offset in its segment) of the memory operand, wrapped to the address size, as low and high
   * word: read `eaLo`, `eaHi` after `computeEa()`.
   */
  eaLo = 0;
  eaHi = 0;
  computeEa(): void {
    const { u8, u32, at } = { u8: this.s.u8, u32: this.s.u32, at: this.at };
    const b = (L.GPR + u8[at + REC.BASE]) >> 2,
      i = (L.GPR + u8[at + REC.INDEX]) >> 2,
      sc = u8[at + REC.SCALE];
    const d = (at + REC.DISP) >> 2;
    const ilo = (u32[i] << sc) >>> 0;
    const ihi = sc === 0 ? u32[i + 1] : (u32[i + 1] << sc | u32[i] >>> (32 - sc)) >>> 0;
    let lo = u32[b] + ilo, hi = u32[b + 1] + ihi + (lo > 0xffff_ffff ? 1 : 0);
    lo = (lo >>> 0) + u32[d];
    hi = hi + u32[d + 1] + (lo > 0xffff_ffff ? 1 : 0);
    this.eaLo = lo >>> 0;
    this.eaHi = hi >>> 0;
    const size = this.addrsize;
    if (size === 4) this.eaHi = 0;
    else if (size === 2) {
      this.eaLo &= 0xffff;
      this.eaHi = 0;
    }
  }
}
