/**
 * The x87 register stack and status word as instructions see them (Intel SDM volume 1, 8.1).
 *
 * The tag word in the state says only empty (3) or not (0) for each physical register; what a non-empty register holds
 * is read off its contents when a tag word is stored, as processors do.
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { raise, Vec } from "../hooks.ts";
import type { Insn } from "../insn.ts";
import { Cr0, Seg } from "../state.ts";
import { type Ext, ext, INDEFINITE } from "./ext.ts";
import { Ex, FpContext } from "./round.ts";

/** Status word bits beyond the exception flags. */
export const Sw = { ES: 0x80, C0: 0x100, C1: 0x200, C2: 0x400, TOP: 0x3800, C3: 0x4000, B: 0x8000 } as const;

/** The one context of the instruction in hand. */
export const ctx: FpContext = new FpContext();

const FSW = L.FSW >> 2, FCW = L.FCW >> 2, FTW = L.FTW >> 2;

/** TOP of the register stack, 0 to 7. */
export function top(c: Core): number {
  return c.s.u32[FSW] >>> 11 & 7;
}

/** Moves TOP. */
export function setTop(c: Core, t: number): void {
  c.s.u32[FSW] = c.s.u32[FSW] & ~Sw.TOP | (t & 7) << 11;
}

/** Physical register of ST(i). */
function physical(c: Core, i: number): number {
  return (top(c) + i) & 7;
}

/** True when ST(i) is empty. */
export function isEmpty(c: Core, i: number): boolean {
  return (c.s.u32[FTW] >>> physical(c, i) * 2 & 3) === 3;
}

/** Marks ST(i) empty, or not. */
export function setEmpty(c: Core, i: number, empty: boolean): void {
  const shift = physical(c, i) * 2;
  c.s.u32[FTW] = c.s.u32[FTW] & ~(3 << shift) | (empty ? 3 << shift : 0);
}

/** Contents of ST(i), whatever its tag. */
export function st(c: Core, i: number): Ext {
  return readRegister(c, physical(c, i));
}

/** Contents of a physical register. */
export function readRegister(c: Core, p: number): Ext {
  const at = (L.FPR + p * 16) >> 2, { u32 } = c.s, top16 = u32[at + 2] & 0xffff;
  return ext(top16 >>> 15, top16 & 0x7fff, BigInt(u32[at + 1]) << 32n | BigInt(u32[at]));
}

/** Stores to ST(i) and marks it not empty. */
export function setSt(c: Core, i: number, v: Ext): void {
  const p = physical(c, i), at = (L.FPR + p * 16) >> 2, { u32 } = c.s;
  u32[at] = Number(v.sig & 0xffff_ffffn);
  u32[at + 1] = Number(v.sig >> 32n);
  u32[at + 2] = v.sign << 15 | v.exp;
  u32[FTW] &= ~(3 << p * 2);
}

/** Releases ST(0). */
export function pop(c: Core): void {
  setEmpty(c, 0, true);
  setTop(c, top(c) + 1);
}

/** #NM when the FPU is emulated or belongs to another task. */
export function requireAvailable(c: Core): void {
  if (c.s.cr0 & (Cr0.EM | Cr0.TS)) raise(Vec.NM);
}

/**
 * Delivers a pending unmasked exception before a waiting instruction: #MF, or with CR0.NE clear the FERR# signal
 * through the machine's `fpuError`, if it has one (true: the instruction waits and is tried again).
 */
export function deliverPending(c: Core, i: Insn): boolean {
  if (!(c.s.u32[FSW] & Sw.ES)) return false;
  if (c.s.cr0 & Cr0.NE) raise(Vec.MF);
  if (c.hooks.fpuError === undefined || !c.hooks.fpuError()) return false;
  c.s.rip = i.rip;
  return true;
}

/** Recomputes ES and B from flags and masks: after anything that writes either. */
export function updateSummary(c: Core): void {
  const pending = c.s.u32[FSW] & ~c.s.u32[FCW] & 0x3f;
  c.s.u32[FSW] = c.s.u32[FSW] & ~(Sw.ES | Sw.B) | (pending ? Sw.ES | Sw.B : 0);
}

/** Records where the instruction is, for FSTENV and exception handlers. */
export function rememberInstruction(c: Core, i: Insn, opcode: number): void {
  const { s } = c;
  s.setNum(L.FIP, i.rip);
  s.u32[L.FCS >> 2] = s.segSel(Seg.CS);
  s.u32[L.FOP >> 2] = opcode & 0x7ff;
}

/** Records the memory operand (effective address, selector). */
export function rememberOperand(c: Core, i: Insn): void {
  c.s.setWords(L.FDP, i.eaLo, i.eaHi);
  c.s.u32[L.FDS >> 2] = c.s.segSel(i.seg);
}

/** Begins an operation under the control word. */
export function begin(c: Core): FpContext {
  return ctx.begin(c.s.u32[FCW]);
}

/** Ends an operation: exception flags, C1, summary. */
export function commit(c: Core): void {
  c.s.u32[FSW] = c.s.u32[FSW] & ~Sw.C1 | ctx.flags | (ctx.roundedUp ? Sw.C1 : 0);
  if (ctx.flags) updateSummary(c);
}

/** Ends an operation that leaves C1 alone unless a stack fault clears it: exception flags, summary. */
export function commitKeepingC1(c: Core): void {
  if (ctx.flags) commitFlags(c);
}

function commitFlags(c: Core): void {
  c.s.u32[FSW] = c.s.u32[FSW] & ~(ctx.flags & Ex.SF ? Sw.C1 : 0) | ctx.flags;
  updateSummary(c);
}

/** Sets C3, C2, C0 (given in their places in ZF, PF, CF order as `Order`); C1 is `commit`'s. */
export function setConditions(c: Core, order: number): void {
  const bits = (order & 1 ? Sw.C0 : 0) | (order & 4 ? Sw.C2 : 0) | (order & 0x40 ? Sw.C3 : 0);
  c.s.u32[FSW] = c.s.u32[FSW] & ~(Sw.C0 | Sw.C2 | Sw.C3) | bits;
}

/** Flags a stack fault in the context; `overflow` sets C1. True when it is masked: the indefinite is the result. */
export function stackFault(overflow: boolean): boolean {
  ctx.flags |= Ex.IE | Ex.SF;
  ctx.roundedUp = overflow;
  return (ctx.masks & Ex.IE) !== 0;
}

/**
 * Pushes a value, or the indefinite on stack overflow; nothing when an invalid operand is not masked. An unmasked
 * denormal operand is pushed all the same, as current processors do.
 */
export function push(c: Core, v: Ext): void {
  if (!isEmpty(c, 7)) {
    ctx.flags &= ~(Ex.DE | Ex.PE);
    if (stackFault(true)) pushRaw(c, INDEFINITE);
  } else if (!ctx.unmasked(Ex.IE)) pushRaw(c, v);
  commit(c);
}

/** Pushes without checks. */
export function pushRaw(c: Core, v: Ext): void {
  setTop(c, top(c) - 1);
  setSt(c, 0, v);
}
