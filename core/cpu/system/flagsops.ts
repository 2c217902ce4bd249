/**
 * Instructions that change or copy the system flags: CLI, STI, PUSHF, POPF, CLAC, STAC
 * (Intel SDM volume 2; the virtual interrupt flag of VME and PVI is not offered).
 *
 * @module
 */
import { Reason } from "../../exits.ts";
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Fl } from "../state.ts";
import type { SysOpTable } from "./ops.ts";
import { iopl } from "./privilege.ts";
import { Stack } from "./stack.ts";

const stack = new Stack();

/** Flags that POPF may change at any privilege. */
const POPF_ALWAYS = Fl.CF | Fl.PF | Fl.AF | Fl.ZF | Fl.SF | Fl.TF | Fl.DF | Fl.OF | Fl.NT | Fl.AC | Fl.ID;

/** #GP(0) where CLI and STI are privileged: CPL above IOPL (virtual-8086 code has CPL 3). */
function requireInterruptControl(c: Core): void {
  if (c.s.cpl > iopl(c)) raise(Vec.GP, 0);
}

/** #GP(0) for PUSHF and POPF of virtual-8086 code with IOPL below 3. */
function requireVirtualIopl(c: Core): void {
  if (c.s.v86 && iopl(c) < 3) raise(Vec.GP, 0);
}

function cli(c: Core): void {
  requireInterruptControl(c);
  c.s.u32[L.FLAGS >> 2] &= ~Fl.IF;
}

/** Interrupts stay inhibited for one more instruction when they were off. */
function sti(c: Core): void {
  requireInterruptControl(c);
  const f = c.s.u32[L.FLAGS >> 2];
  if (f & Fl.IF) return;
  c.s.u32[L.FLAGS >> 2] = f | Fl.IF;
  c.s.u32[L.INT_SHADOW >> 2] = 1;
}

function pushf(c: Core, i: Insn): void {
  requireVirtualIopl(c);
  c.hooks.intercept(Reason.PUSHF, 0, 0);
  stack.current(c).push(c, i.opsize, c.s.flags & ~(Fl.RF | Fl.VM));
  stack.commit(c);
}

function popf(c: Core, i: Insn): void {
  requireVirtualIopl(c);
  const size = i.opsize, word = stack.current(c).pop(c, size);
  let mask: number = POPF_ALWAYS | Fl.RF;
  if (c.s.cpl === 0) mask |= Fl.IOPL;
  if (c.s.cpl <= iopl(c)) mask |= Fl.IF;
  if (size === 2) mask &= 0xffff;
  const old = c.s.flags;
  c.s.flags = (old & ~mask | word & mask & ~Fl.RF) >>> 0;
  stack.commit(c);
  if ((c.s.u32[L.FLAGS >> 2] ^ old) & Fl.AC) c.updateMode();
}

function setAc(on: boolean): (c: Core) => void {
  return (c) => {
    if (!c.policy.has("smap") || c.s.cpl !== 0) raise(Vec.UD);
    if (on) c.s.u32[L.FLAGS >> 2] |= Fl.AC;
    else c.s.u32[L.FLAGS >> 2] &= ~Fl.AC;
    c.updateMode();
  };
}

/** Operations of this file. */
export const flagsOps: SysOpTable = { cli, sti, pushf, popf, clac: setAc(false), stac: setAc(true) };
