/**
 * What a debugger's client talks about: a recording that is travelled through, or a machine that runs.
 *
 * @module
 */
import type { DebugStops } from "../../core/cpu/debug_stops.ts";
import type { RetrovisorMachine } from "../../core/machine.ts";
import type { WatchHit, Watchpoint } from "../../core/mmu/watch.ts";
import type { Traveler } from "../traveler.ts";
import type { LiveDebuggee } from "./live.ts";

/** Why execution ended. */
export type Arrival =
  | { kind: "there" }
  | { kind: "breakpoint" }
  | { kind: "watchpoint"; hit: WatchHit }
  | { kind: "begin" }
  | { kind: "end" }
  | { kind: "exited" }
  | { kind: "interrupted" };

/** What both have in common. */
export interface Runs {
  readonly machine: RetrovisorMachine;
  readonly debug: DebugStops;
  /** Instructions retired. */
  readonly icount: number;
  /** Linear addresses. */
  readonly breakpoints: Set<number>;
  watchpoints: Watchpoint[];
  /** Asked now and then: true ends what goes on. */
  interrupted: () => boolean;
  /** One instruction forward. */
  step(): Promise<Arrival>;
  /** On to the next breakpoint or watchpoint, or the end. */
  resume(): Promise<Arrival>;
}

/** Either. */
export type Debuggee = Traveler | LiveDebuggee;
