/**
 * The x87 floating-point unit: dispatch of opcodes D8 to DF (Intel SDM volume 2, appendix A, tables ).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Cr0, Gpr } from "../state.ts";
import type { SysOpTable } from "../system/ops.ts";
import * as Env from "./env.ts";
import { copyRegister } from "./fast_regs.ts";
import {
  arithRegister,
  clearC1,
  compareRegister,
  compareToFlags,
  conditionalMove,
  exchange,
  storeRegister,
  storeRegisterQuietly,
} from "./execute.ts";
import { INDEFINITE } from "./ext.ts";
import {
  begin,
  commit,
  deliverPending,
  isEmpty,
  pop,
  push,
  pushRaw,
  rememberInstruction,
  requireAvailable,
  setEmpty,
  setTop,
  stackFault,
  top,
} from "./fpu.ts";
import { fxsaveOps } from "./fxsave.ts";
import { memoryForm } from "./memory.ts";
import { unaryGroup } from "./unary.ts";

/** Control instructions that do not wait for pending exceptions, as opcode << 8 | ModRM of the register forms. */
const NO_WAIT = new Set([0xdbe0, 0xdbe1, 0xdbe2, 0xdbe3, 0xdbe4, 0xdfe0]);

function x87(c: Core, i: Insn): void {
  const opcode = i.imm & 0xff, modrm = i.imm >>> 8 & 0xff, reg = modrm >>> 3 & 7;
  requireAvailable(c);
  if (modrm < 0xc0) {
    if (controlForm(c, i, opcode, reg)) return;
    if (deliverPending(c, i)) return;
    if (!memoryForm(c, i, opcode, reg)) raise(Vec.UD);
  } else {
    if (NO_WAIT.has(opcode << 8 | modrm)) return controlRegister(c, opcode << 8 | modrm);
    if (deliverPending(c, i)) return;
    if (!registerForm(c, opcode, reg, modrm & 7)) raise(Vec.UD);
  }
  rememberInstruction(c, i, (opcode & 7) << 8 | modrm);
}

/** Memory forms that concern control, status and environment. */
function controlForm(c: Core, i: Insn, opcode: number, reg: number): boolean {
  switch (opcode << 4 | reg) {
    case 0xd96:
      Env.storeEnvironment(c, i);
      return true;
    case 0xd97:
      Env.storeWord(c, i, false);
      return true;
    case 0xdd6:
      Env.saveState(c, i);
      return true;
    case 0xdd7:
      Env.storeWord(c, i, true);
      return true;
    case 0xd94:
      if (!deliverPending(c, i)) Env.loadEnvironment(c, i);
      return true;
    case 0xd95:
      if (!deliverPending(c, i)) Env.loadControlWord(c, i);
      return true;
    case 0xdd4:
      if (!deliverPending(c, i)) Env.restoreState(c, i);
      return true;
  }
  return false;
}

/** FNCLEX, FNINIT, FNSTSW AX; FENI, FDISI and FSETPM do nothing since the 387. */
function controlRegister(c: Core, form: number): void {
  if (form === 0xdbe2) Env.clearExceptions(c);
  else if (form === 0xdbe3) Env.initialise(c);
  else if (form === 0xdfe0) c.s.setRegSized(Gpr.AX, 16, c.s.u32[L.FSW >> 2]);
}

/** FLD ST(i). */
function loadRegister(c: Core, n: number): void {
  begin(c);
  if (isEmpty(c, n)) {
    if (stackFault(false)) pushRaw(c, INDEFINITE);
    commit(c);
  } else if (!isEmpty(c, 7)) push(c, INDEFINITE); // overflow
  else {
    setTop(c, top(c) - 1);
    copyRegister(c, n + 1, 0);
    setEmpty(c, 0, false);
    clearC1(c);
  }
}

/** Register forms by opcode and ModRM; false for an undefined encoding. */
function registerForm(c: Core, opcode: number, reg: number, n: number): boolean {
  switch (opcode) {
    case 0xd8:
      if ((reg & 6) === 2) compareRegister(c, n, true, reg & 1);
      else arithRegister(c, reg, 0, n, false);
      return true;
    case 0xd9:
      return d9(c, reg, n);
    case 0xda:
      if (reg < 4) conditionalMove(c, reg, false, n);
      else if (reg === 5 && n === 1) compareRegister(c, 1, false, 2);
      else return false;
      return true;
    case 0xdb:
      if (reg < 4) conditionalMove(c, reg, true, n);
      else if (reg === 5 || reg === 6) compareToFlags(c, n, reg === 6, false);
      else return false;
      return true;
    case 0xdc:
      if ((reg & 6) === 2) compareRegister(c, n, true, reg & 1);
      else arithRegister(c, swapped(reg), n, 0, false);
      return true;
    case 0xdd:
      return dd(c, reg, n);
    case 0xde:
      if (reg === 2) compareRegister(c, n, true, 1);
      else if (reg === 3) {
        if (n !== 1) return false;
        compareRegister(c, 1, true, 2);
      } else arithRegister(c, swapped(reg), n, 0, true);
      return true;
    default:
      return df(c, reg, n);
  }
}

/** DC and DE name the reversed subtraction and division with exchanged ModRM.reg values. */
function swapped(reg: number): number {
  return reg >= 4 ? reg ^ 1 : reg;
}

function d9(c: Core, reg: number, n: number): boolean {
  if (reg === 0) loadRegister(c, n);
  else if (reg === 1) exchange(c, n);
  else if (reg === 2) return n === 0; // FNOP
  else if (reg === 3) storeRegisterQuietly(c, n);
  else return unaryGroup(c, (reg & 3) << 3 | n);
  return true;
}

function dd(c: Core, reg: number, n: number): boolean {
  if (reg === 0) Env.free(c, n);
  else if (reg === 1) exchange(c, n);
  else if (reg === 2 || reg === 3) storeRegister(c, n, reg === 3);
  else if (reg === 4 || reg === 5) compareRegister(c, n, false, reg & 1);
  else return false;
  return true;
}

function df(c: Core, reg: number, n: number): boolean {
  if (reg === 0) {
    Env.free(c, n);
    pop(c);
  } else if (reg === 1) exchange(c, n);
  else if (reg === 2 || reg === 3) storeRegister(c, n, true);
  else if (reg === 5 || reg === 6) compareToFlags(c, n, reg === 6, true);
  else return false;
  return true;
}

/** FWAIT: waits for pending exceptions and does nothing else. */
function fwait(c: Core, i: Insn): void {
  const both = Cr0.MP | Cr0.TS;
  if ((c.s.cr0 & both) === both) raise(Vec.NM);
  deliverPending(c, i);
}

/** All operations of the x87 unit and of the state it shares with SSE. */
export const x87Ops: SysOpTable = { x87, fwait, ...fxsaveOps };
