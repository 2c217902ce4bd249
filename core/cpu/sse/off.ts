/**
 * What MMX and SSE instructions raise while the control registers forbid them.
 *
 * Source: Intel SDM volume 3, tables 12-1 and 13-1 (CR0.EM, CR0.TS, CR4.OSFXSR).
 *
 * @module
 */
import { raise, Vec } from "../hooks.ts";
import { Cr0, Cr4 } from "../state.ts";
import type { SysOpTable } from "../system/ops.ts";

/** System operations of this file. */
export const vectorOffOps: SysOpTable = {
  vector_off(c, i): void {
    const { cr0, cr4 } = c.s;
    if (cr0 & Cr0.EM || (i.imm === 1 && !(cr4 & Cr4.OSFXSR))) raise(Vec.UD);
    raise(Vec.NM);
  },
};
