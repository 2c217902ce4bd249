/**
 * What Xen keeps for each vCPU: whether it is up, its timers, run state and event bindings.
 *
 * Source: Xen 4.17 vcpu.h.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import type { Clock, Timer } from "../clock.ts";
import { NR_VIRQS } from "./abi.ts";

/** Run states (vcpu.h RUNSTATE_*). */
export const Runstate = { RUNNING: 0, RUNNABLE: 1, BLOCKED: 2, OFFLINE: 3 } as const;

/** Callbacks of a vCPU's timers. */
export interface VcpuTimers {
  timerEvent(vcpu: number): void;
  pollTimeout(vcpu: number): void;
}

/** One vCPU as Xen knows it. */
export class VcpuState {
  up: boolean;
  initialised: boolean;
  /** Linear addresses of registered areas; null when there is none. */
  runstateAddr: number | null = null;
  timeAddr: number | null = null;
  runstate: number;
  /** Virtual time at which the run state was entered, and time spent in each. */
  runstateEntry = 0;
  readonly runstateTime: number[] = [0, 0, 0, 0];
  /** Vector set by HVMOP_set_evtchn_upcall_vector; 0: none. */
  upcallVector = 0;
  /** The local APIC was disabled when the upcall was raised: it is raised again when that changes. */
  upcallRefused = false;
  /** Port bound to each virtual interrupt; 0: none. */
  readonly virqPort: number[] = new Array<number>(NR_VIRQS).fill(0);
  /** SCHEDOP_poll: 0 not polling, -1 any port, otherwise the one port. */
  pollPort = 0;
  periodicNs = 0;
  /** Port whose event raised the upcall last, and when; for the trace. */
  raisedPort = -1;
  raisedIcount = 0;
  readonly singleshot: Timer;
  readonly periodic: Timer;
  readonly poll: Timer;
  readonly #clock: Clock;

  constructor(readonly id: number, clock: Clock, on: VcpuTimers) {
    this.#clock = clock;
    this.up = this.initialised = id === 0;
    this.runstate = id === 0 ? Runstate.RUNNING : Runstate.OFFLINE;
    this.singleshot = clock.timer(`xen-v${id}-singleshot`, () => on.timerEvent(id));
    this.periodic = clock.timer(`xen-v${id}-periodic`, (now) => {
      on.timerEvent(id);
      this.#nextPeriod(now);
    });
    this.poll = clock.timer(`xen-v${id}-poll`, () => on.pollTimeout(id));
  }

  /** Starts (or, with 0, stops) the periodic timer. */
  setPeriod(ns: number): void {
    this.periodicNs = ns;
    this.#clock.arm(this.periodic, ns > 0 ? this.#clock.now() + ns : Infinity);
  }

  /** Enters a run state and accounts for the time in the last one. */
  enter(state: number): void {
    const now = this.#clock.now();
    this.runstateTime[this.runstate] += now - this.runstateEntry;
    this.runstate = state;
    this.runstateEntry = now;
  }

  /** `vcpu_runstate_info` in the layout of the given width, with the time in the current state up to now. */
  runstateBytes(is64: boolean): Uint8Array {
    const bytes = new Uint8Array(is64 ? 48 : 44), v = new DataView(bytes.buffer);
    const put = (o: number, ns: number) => {
      v.setUint32(o, ns >>> 0, true);
      v.setUint32(o + 4, Math.floor(ns / 0x1_0000_0000), true);
    };
    const first = is64 ? 8 : 4, now = Math.floor(this.#clock.now());
    v.setUint32(0, this.runstate, true);
    put(first, now);
    for (let i = 0; i < 4; i++) {
      const current = i === this.runstate ? now - this.runstateEntry : 0;
      put(first + 8 + i * 8, Math.floor(this.runstateTime[i] + current));
    }
    return bytes;
  }

  save(): Json {
    return {
      up: this.up,
      initialised: this.initialised,
      runstateAddr: this.runstateAddr,
      timeAddr: this.timeAddr,
      runstate: this.runstate,
      runstateEntry: this.runstateEntry,
      runstateTime: [...this.runstateTime],
      upcallVector: this.upcallVector,
      upcallRefused: this.upcallRefused,
      virqPort: [...this.virqPort],
      pollPort: this.pollPort,
      periodicNs: this.periodicNs,
      raisedPort: this.raisedPort,
      raisedIcount: this.raisedIcount,
    };
  }

  load(state: Json): void {
    const s = state as Record<string, Json>;
    this.up = s.up as boolean;
    this.initialised = s.initialised as boolean;
    this.runstateAddr = s.runstateAddr as number | null;
    this.timeAddr = s.timeAddr as number | null;
    this.runstate = s.runstate as number;
    this.runstateEntry = s.runstateEntry as number;
    (s.runstateTime as number[]).forEach((ns, i) => this.runstateTime[i] = ns);
    this.upcallVector = s.upcallVector as number;
    this.upcallRefused = s.upcallRefused as boolean;
    (s.virqPort as number[]).forEach((port, i) => this.virqPort[i] = port);
    this.pollPort = s.pollPort as number;
    this.periodicNs = s.periodicNs as number;
    this.raisedPort = s.raisedPort as number;
    this.raisedIcount = s.raisedIcount as number;
  }

  #nextPeriod(now: number): void {
    if (this.periodicNs > 0) this.#clock.arm(this.periodic, now + this.periodicNs);
  }
}
