/**
 * What surrounds a single step: instruction breakpoints, single-step traps (Intel SDM volume 3, 17.2 and 17.3).
 *
 * @module
 */
import * as L from "../layout.ts";
import type { Insn } from "./insn.ts";
import { type CpuState, Fl } from "./state.ts";
import { SYS_OPS } from "./system/ops.ts";

/** System operations that enter interrupt handlers. */
const INTERRUPTS = new Set(
  (["int_n", "int3", "into", "icebp"] as const).map((name) => SYS_OPS.indexOf(name)),
);
const OP_SYSCALL = SYS_OPS.indexOf("syscall"), OP_SYSRET = SYS_OPS.indexOf("sysret");

/** True when DR7 enables an instruction breakpoint: then instructions are stepped. */
export function instructionBreakpointsOn(s: CpuState): boolean {
  const dr7 = s.u32[(L.DR + 56) >> 2];
  if ((dr7 & 0xff) === 0) return false;
  for (let n = 0; n < 4; n++) if ((dr7 >>> (n * 2) & 3) && (dr7 >>> (16 + n * 4) & 3) === 0) return true;
  return false;
}

/**
 * Drops an RF that was just loaded unless instruction breakpoints are on. Processors clear RF after every instruction;
 * ours does so where instructions are stepped, and elsewhere never has it set.
 */
export function settleRf(s: CpuState): void {
  if (!instructionBreakpointsOn(s)) s.u32[L.FLAGS >> 2] &= ~Fl.RF;
}

/** Bits of DR6 for the enabled instruction breakpoints at a linear address; 0: none, or DR7 enables nothing. */
export function breakpointsAt(s: CpuState, la: number): number {
  const dr7 = s.u32[(L.DR + 56) >> 2];
  let hit = 0;
  for (let n = 0; n < 4; n++) {
    if ((dr7 >>> (n * 2) & 3) && (dr7 >>> (16 + n * 4) & 15) === 0 && s.num(L.DR + n * 8) === la) {
      hit |= 1 << n;
    }
  }
  return hit;
}

/**
 * True when a single-step trap follows the instruction just stepped: EFLAGS.TF was set before it. INT that entered its
 * handler cleared TF without a trap; SYSCALL and SYSRET go by the TF that they leave.
 * @param insn the system operation executed; `at` is 0 when there was none
 */
export function trapsBehind(s: CpuState, insn: Insn, before: boolean): boolean {
  const after = (s.u32[L.FLAGS >> 2] & Fl.TF) !== 0;
  if (insn.at === 0) return before;
  if (insn.op === OP_SYSCALL || insn.op === OP_SYSRET) return after;
  return before && (after || !INTERRUPTS.has(insn.op));
}
