/**
 * System operations that transfer control: far branches, software interrupts, returns, fast system calls.
 *
 * @module
 */
import { Reason } from "../../exits.ts";
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Fl } from "../state.ts";
import { deliver, enterHandler } from "./exceptions.ts";
import { callFar, callFarMem, jumpFar, jumpFarMem, returnFar } from "./far.ts";
import { syscall, sysenter, sysexit, sysret } from "./fast_calls.ts";
import { iret } from "./iret.ts";
import type { SysOpTable } from "./ops.ts";

function intN(core: Core, insn: Insn): void {
  const { s } = core;
  if (s.v86 && (s.u32[L.FLAGS >> 2] & Fl.IOPL) !== Fl.IOPL) raise(Vec.GP, 0);
  core.hooks.intercept(Reason.SWINT, insn.imm, 0);
  deliver(core, insn.imm & 0xff, -1, "software");
}

/** INT3 and INTO: exceptions to the machine, software interrupts to the gates. */
function softwareException(core: Core, vector: number): void {
  core.hooks.exception(vector, -1);
  deliver(core, vector, -1, "software");
}

function into(core: Core): void {
  if (core.s.code64) raise(Vec.UD);
  if (core.s.flags & Fl.OF) softwareException(core, Vec.OF);
}

/** INT1: #DB that heeds no gate's DPL; DR6 does not change. */
function icebp(core: Core): void {
  core.hooks.intercept(Reason.ICEBP, 0, 0);
  enterHandler(core, Vec.DB, -1, false, 1, false);
}

/** The operations listed under "Control transfer" in `ops.ts`. */
export const transferOps: SysOpTable = {
  jmp_far_ptr: (c, i) => jumpFar(c, i.immHi & 0xffff, i.imm, 0),
  call_far_ptr: (c, i) => callFar(c, i.immHi & 0xffff, i.imm, 0, i.opsize),
  jmp_far_mem: jumpFarMem,
  call_far_mem: callFarMem,
  ret_far: (c, i) => returnFar(c, i.opsize, i.imm & 0xffff),
  iret,
  int_n: intN,
  int3: (c) => softwareException(c, Vec.BP),
  into,
  icebp,
  syscall,
  sysret,
  sysenter,
  sysexit,
};
