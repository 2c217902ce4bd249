/**
 * Return addresses on a guest's stack: by a Linux kernel's own ORC tables, or by frame pointers.
 *
 * Reads guest memory without a trace: no fault, no accessed bit, nothing in the TLB.
 *
 * @module
 */
import { OrcReg, type OrcTable, OrcType } from "./boot/orc.ts";
import type { Cpu } from "./cpu/cpu.ts";
import { Gpr } from "./cpu/state.ts";
import * as L from "./layout.ts";

/** Most return addresses of a stack. */
export const FRAMES_MAX = 32;

/** struct pt_regs (Linux `arch/x86/include/asm/ptrace.h`): offsets of what is needed. */
const REGS = { R13: 16, BP: 32, R10: 56, DX: 96, DI: 112, IP: 128, CS: 136, SP: 152 } as const;
/** Kernel text lies in the upper 2 GiB; addresses are signed numbers. */
const TEXT_LOWEST = -0x8000_0000;
const TWO32 = 0x1_0000_0000;
/** Bytes at the beginning of a function within which it may still have, or never get, a frame. */
const SMALL_FUNCTION = 64;
/** Numbers of registers that `Gpr` does not name. */
const R10 = 10, R13 = 13;

/** Walks stacks of one processor. */
export class Unwinder {
  constructor(readonly cpu: Cpu) {}

  /**
   * By ORC.
   * @param rip signed linear address of the instruction
   * @param slide how far the kernel has moved itself
   * @returns return addresses, innermost first; those of interrupted code are among them
   */
  orc(table: OrcTable, slide: number, rip: number): bigint[] {
    const { s } = this.cpu, stack: bigint[] = [];
    const reg = (r: number) => s.num(L.GPR + r * 8);
    let ip = rip, sp = reg(Gpr.SP), bp = reg(Gpr.BP);
    // Where saved registers are: in the processor (0), at an address of pt_regs, or nowhere (NaN).
    let regs = 0, exact = true;
    const saved = (field: number, now: number) => regs === 0 ? reg(now) : this.#word(regs + field, true);
    while (stack.length < FRAMES_MAX) {
      // A return address may be the first of the next function: a call that never returns.
      if (!table.find((exact ? ip : ip - 1) - slide)) break;
      const { spReg, bpReg, spOffset, bpOffset, type } = table;
      let cfa = NaN;
      if (spReg === OrcReg.SP) cfa = sp + spOffset;
      else if (spReg === OrcReg.BP) cfa = bp + spOffset;
      else if (spReg === OrcReg.SP_INDIRECT) cfa = this.#word(sp, true) + spOffset;
      else if (spReg === OrcReg.BP_INDIRECT) cfa = this.#word(bp + spOffset, true);
      else if (spReg === OrcReg.R10) cfa = saved(REGS.R10, R10);
      else if (spReg === OrcReg.R13) cfa = saved(REGS.R13, R13);
      else if (spReg === OrcReg.DI) cfa = saved(REGS.DI, Gpr.DI);
      else if (spReg === OrcReg.DX) cfa = saved(REGS.DX, Gpr.DX);
      if (Number.isNaN(cfa) || type === OrcType.END) break;
      const frame = type === OrcType.REGS_PARTIAL ? cfa - REGS.IP : cfa;
      if (type === OrcType.CALL) {
        ip = this.#word(cfa - 8, true);
        sp = cfa;
        regs = NaN;
      } else {
        // Interrupted user code ends the kernel's stack.
        if ((this.#word(frame + REGS.CS, true) & 3) !== 0) break;
        ip = this.#word(frame + REGS.IP, true);
        sp = this.#word(frame + REGS.SP, true);
        regs = type === OrcType.REGS ? frame : NaN;
      }
      exact = type !== OrcType.CALL;
      if (bpReg === OrcReg.PREV_SP) bp = this.#word(cfa + bpOffset, true);
      else if (bpReg === OrcReg.BP) bp = this.#word(bp + bpOffset, true);
      else if (regs > 0 || regs < 0) bp = this.#word(regs + REGS.BP, true);
      if (!(ip >= TEXT_LOWEST && ip < 0)) break;
      stack.push(BigInt.asUintN(64, BigInt(ip)));
    }
    return stack;
  }

  /**
   * By frame pointers: frames must ascend, and what they return to must follow a call. A small function without a frame
   * shows in what lies on top of the stack: a return address behind a direct call of that function.
   * @param rip signed linear address of the instruction
   */
  framePointers(rip: number): bigint[] {
    const { s } = this.cpu, wide = s.code64, size = wide ? 8 : 4, stack: bigint[] = [];
    const top = this.#word(wide ? s.num(L.GPR + Gpr.SP * 8) : s.lo(Gpr.SP), wide);
    if (this.#calls(top, rip)) stack.push(BigInt.asUintN(64, BigInt(top)));
    let fp = wide ? s.num(L.GPR + Gpr.BP * 8) : s.lo(Gpr.BP);
    while (stack.length < FRAMES_MAX && fp !== 0) {
      const up = this.#word(fp, wide), ret = this.#word(fp + size, wide);
      if (Number.isNaN(up) || Number.isNaN(ret) || !this.#followsCall(ret)) break;
      stack.push(BigInt.asUintN(64, BigInt(ret)));
      if (up <= fp) break;
      fp = up;
    }
    return stack;
  }

  /** An aligned word as a signed number (64 bits) or unsigned (32 bits); NaN where there is no memory. */
  #word(la: number, wide: boolean): number {
    if (Number.isNaN(la) || la % (wide ? 8 : 4) !== 0) return NaN;
    const { mmu } = this.cpu, gpa = mmu.tryTranslate(la);
    if (gpa < 0 || mmu.mem.host(gpa) < 0) return NaN;
    const lo = mmu.mem.read32(gpa);
    return wide ? (mmu.mem.read32(gpa + 4) | 0) * TWO32 + lo : lo;
  }

  /** CALL rel32 (E8), or CALL r/m (FF /2) in one of its lengths, ends at the address. */
  #followsCall(ret: number): boolean {
    if (!Number.isSafeInteger(ret)) return false;
    if (this.#byte(ret - 5) === 0xe8) return true;
    return [2, 3, 4, 6, 7].some((n) =>
      this.#byte(ret - n) === 0xff && (this.#byte(ret - n + 1) >> 3 & 7) === 2
    );
  }

  /** True when a CALL rel32 that ends at `ret` goes to a function, perhaps over one JMP rel32, that `rip` is early in. */
  #calls(ret: number, rip: number): boolean {
    if (!Number.isSafeInteger(ret) || this.#byte(ret - 5) !== 0xe8) return false;
    let target = ret + this.#int32(ret - 4);
    if (this.#byte(target) === 0xe9) target += 5 + this.#int32(target + 1);
    return rip >= target && rip - target < SMALL_FUNCTION;
  }

  /** Four bytes of code at any address, signed. */
  #int32(la: number): number {
    return this.#byte(la) | this.#byte(la + 1) << 8 | this.#byte(la + 2) << 16 | this.#byte(la + 3) << 24;
  }

  #byte(la: number): number {
    const { mmu } = this.cpu, gpa = mmu.tryTranslate(la);
    return gpa < 0 || mmu.mem.host(gpa) < 0 ? -1 : mmu.mem.read8(gpa);
  }
}
