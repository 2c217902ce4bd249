/**
 * Delivery of exceptions and interrupts, with double- and triple-fault classification (Intel SDM volume 3, chapter 6).
 *
 * @module
 */
import * as L from "../../layout.ts";
import type { Core } from "../core.ts";
import { GuestFault, raise, Vec } from "../hooks.ts";
import { Cr0, Efer, Fl, Seg } from "../state.ts";
import { enterLong } from "./gates64.ts";
import { enterProtected } from "./gates.ts";
import { loadRealSegment } from "./segments.ts";
import { Stack } from "./stack.ts";

/**
 * What is delivered: a fault (RIP is the instruction's), a trap, an external interrupt (NMI too), or INT n, INT3, INTO.
 */
export type EventKind = "fault" | "trap" | "external" | "software";

/** DR7.GD, cleared when #DB is delivered. */
const DR7_GD = 0x2000;

const stack = new Stack();

/**
 * Delivers an event to the guest at the RIP now in the state. The address of a page fault is in `FAULT_ADDR`.
 *
 * For kind "software" a fault on the way is raised as `GuestFault` and nothing has changed; for the others faults on
 * the way are delivered in turn.
 *
 * @param error error code, or -1 when the vector pushes none
 * @returns "shutdown" on a triple fault
 */
export function deliver(
  core: Core,
  vector: number,
  error: number,
  kind: EventKind,
): "delivered" | "shutdown" {
  if (kind === "software") {
    enterHandler(core, vector, error, true, 0, false);
    return "delivered";
  }
  let resume = kind === "fault", exception = kind !== "external";
  for (;;) {
    if (exception) announce(core, vector, error);
    try {
      const rf = resume && vector !== Vec.DB && vector !== Vec.DF;
      enterHandler(core, vector, error, false, 1, rf);
      if (vector === Vec.NMI && !exception) core.nmiBlocked = true;
      return "delivered";
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault;
      const next = exception ? combine(vector, fault.vector) : fault.vector;
      if (next < 0) return "shutdown";
      error = next === Vec.DF ? 0 : fault.error;
      vector = next;
      exception = resume = true;
    }
  }
}

/** Tells the machine, and sets what the exception leaves in control and debug registers. */
function announce(core: Core, vector: number, error: number): void {
  const { s } = core;
  core.hooks.exception(vector, error);
  if (vector === Vec.PF) s.setWords(L.CR2, s.word(L.FAULT_ADDR), s.word(L.FAULT_ADDR + 4));
  else if (vector === Vec.DB) s.u32[(L.DR + 7 * 8) >> 2] &= ~DR7_GD;
}

/** Delivers #DB after adding conditions (B0-B3, BD, BS, BT) to DR6. @see deliver */
export function deliverDebug(core: Core, dr6: number, kind: "fault" | "trap"): "delivered" | "shutdown" {
  core.s.u32[(L.DR + 6 * 8) >> 2] |= dr6;
  return deliver(core, Vec.DB, -1, kind);
}

/** Vectors of contributory exceptions (SDM table 6-4): #DE #TS #NP #SS #GP, and #CP. */
const CONTRIBUTORY = 1 << 0 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 21;

/**
 * Vector to deliver when delivering exception `first` raised `second` (SDM table 6-5).
 * @returns -1 for shutdown
 */
export function combine(first: number, second: number): number {
  const contributory = (CONTRIBUTORY >> second & 1) !== 0;
  if (first === Vec.DF) return contributory || second === Vec.PF ? -1 : second;
  if (first === Vec.PF) return contributory || second === Vec.PF ? Vec.DF : second;
  return contributory && CONTRIBUTORY >> first & 1 ? Vec.DF : second;
}

/**
 * Enters a handler, by the rules of the current mode. Raises before anything has changed.
 * @param software INT n, INT3 or INTO: the gate's DPL counts
 * @param ext EXT bit of error codes raised on the way
 * @param rf set RF in the RFLAGS image
 */
export function enterHandler(
  core: Core,
  vector: number,
  error: number,
  software: boolean,
  ext: number,
  rf: boolean,
): void {
  const { s } = core, flags = rf ? (s.flags | Fl.RF) >>> 0 : s.flags;
  if (s.efer & Efer.LMA) enterLong(core, vector, error, software, ext, flags);
  else if (s.cr0 & Cr0.PE) enterProtected(core, vector, error, software, ext, flags);
  else enterReal(core, vector, flags);
}

/** Through the interrupt vector table. No error codes. */
function enterReal(core: Core, vector: number, flags: number): void {
  const { s, mmu } = core;
  if (vector * 4 + 3 > s.u32[(L.IDTR + 8) >> 2]) raise(Vec.GP, 0);
  const at = s.num(L.IDTR) + vector * 4;
  const ip = mmu.read16(at, true), cs = mmu.read16(at + 2, true);
  const top = stack.current(core);
  top.reserve(core, 6);
  if (ip > s.segLimit(Seg.CS)) raise(Vec.GP, 0);
  top.push(core, 2, flags);
  top.push(core, 2, s.segSel(Seg.CS));
  top.push(core, 2, s.word(L.RIP));
  top.commit(core);
  loadRealSegment(s, Seg.CS, cs);
  s.setWords(L.RIP, ip, 0);
  s.u32[L.FLAGS >> 2] &= ~(Fl.IF | Fl.TF | Fl.AC | Fl.RF);
  core.updateMode();
}
