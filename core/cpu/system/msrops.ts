/**
 * RDMSR and WRMSR.
 *
 * @module
 */
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import { readMsr, writeMsr } from "../msr.ts";
import { Gpr } from "../state.ts";
import type { SysOpTable } from "./ops.ts";
import { requireCpl0 } from "./privilege.ts";

function rdmsr(c: Core): void {
  if (!c.policy.has("msr")) raise(Vec.UD);
  requireCpl0(c);
  const msr = c.s.lo(Gpr.CX);
  if (!c.hooks.msrRead(msr)) readMsr(c, msr);
  c.s.setReg(Gpr.AX, c.msrLo, 0);
  c.s.setReg(Gpr.DX, c.msrHi, 0);
}

function wrmsr(c: Core): void {
  if (!c.policy.has("msr")) raise(Vec.UD);
  requireCpl0(c);
  const msr = c.s.lo(Gpr.CX), lo = c.s.lo(Gpr.AX), hi = c.s.lo(Gpr.DX);
  if (!c.hooks.msrWrite(msr, lo, hi)) writeMsr(c, msr, lo, hi);
}

/** Operations of this file. */
export const msrOps: SysOpTable = { rdmsr, wrmsr };
