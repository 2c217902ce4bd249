/**
 * The door itself: counts every exit, and fills in and hands over the event when somebody is attached.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { Cpu } from "./cpu/cpu.ts";
import { Attr, Seg } from "./cpu/state.ts";
import { Col, ExitEvent, type Observer, Reason } from "./exits.ts";
import type { Intercepts } from "./intercepts.ts";
import * as L from "./layout.ts";

const DR_FIRST = Reason.DR0_READ, DR_LAST = Reason.DR0_WRITE + 15;

/** One machine's exits. */
export class ExitDoor {
  #observer: Observer | null = null;
  /** The observer wants exits. */
  #wanted = false;
  /** Exits so far; also the `seq` of the next one. */
  count = 0;
  /** vCPU that runs. */
  vcpu = 0;
  /** Debug-register accesses exit (cleared by the first one where that is lazy). */
  debugArmed = true;
  /** The event being filled in; meaningful between `open` and `close` while `active`. */
  readonly event: ExitEvent = new ExitEvent();
  /** Called with the reason of each exit that somebody wants, before it happens; null: nobody samples. */
  beforeExit: ((reason: number) => void) | null = null;
  /** An event is open and somebody wants it. */
  active = false;
  #open = false;

  constructor(readonly cpu: Cpu, readonly clock: Clock, readonly intercepts: Intercepts) {}

  /** Attached observer; null, or one that wants no exits: they are counted only. */
  get observer(): Observer | null {
    return this.#observer;
  }
  set observer(observer: Observer | null) {
    this.#observer = observer;
    this.#wanted = observer?.onExit !== undefined;
  }

  /**
   * Begins an exit if the event is intercepted.
   * @param info1 EXITINFO1 as a safe integer, or -1: does not apply
   * @returns true when it exits; `close` must follow
   */
  open(reason: number, info1 = -1, info2 = -1): boolean {
    if (!this.intercepts.has(reason)) return false;
    if (reason >= DR_FIRST && reason <= DR_LAST && this.intercepts.lazyDebug) {
      if (!this.debugArmed) return false;
      this.debugArmed = false;
    }
    this.#open = true;
    if (this.#wanted) this.#fill(reason, info1, info2);
    return true;
  }

  /** Ends the exit: it is counted and handed over. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.count++;
    if (this.active) {
      this.active = false;
      this.#observer!.onExit!(this.event);
    }
  }

  /** `open` and `close` in one, for exits with nothing more to say. */
  pass(reason: number, info1 = -1, info2 = -1): boolean {
    if (!this.open(reason, info1, info2)) return false;
    this.close();
    return true;
  }

  #fill(reason: number, info1: number, info2: number): void {
    const { event: e, cpu, clock } = this, { s } = cpu;
    e.reset();
    e.seq = this.count;
    e.icount = clock.icount;
    e.timeNs = clock.now();
    e.vcpu = this.vcpu;
    e.reason = reason;
    e.cs = s.segSel(Seg.CS) & 0xffff;
    e.cpl = s.cpl;
    e.mode = modeIndex(cpu);
    e.setNumber(Col.rip, cpu.currentRip);
    e.set(Col.cr3, s.word(L.CR3), s.word(L.CR3 + 4));
    if (info1 >= 0) e.setNumber(Col.info1, info1);
    if (info2 !== -1) e.setNumber(Col.info2, info2);
    this.active = true;
    if (this.beforeExit !== null) this.beforeExit(reason);
  }
}

/** Index into `MODE_NAMES`. */
function modeIndex(cpu: Cpu): number {
  const { s } = cpu;
  if (s.realMode || s.v86) return 0;
  const cs = s.segAttr(Seg.CS);
  if (s.longMode) return cs & Attr.L ? 4 : 3;
  return cs & Attr.DB ? 2 : 1;
}
