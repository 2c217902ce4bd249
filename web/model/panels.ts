/**
 * What the page shows of one range of time: plain values, small enough to send for every movement of the brush.
 *
 * @module
 */
import type { Flame } from "./flame.ts";

/** A range of virtual time, end excluded. */
export interface TimeRange {
  startNs: number;
  endNs: number;
}

/** Counts of one exit reason by bucket. */
export interface ReasonSeries {
  reason: string;
  total: number;
  counts: number[];
}

/** One vCPU by bucket. */
export interface Lane {
  vcpu: number;
  exits: number[];
  /** Share of the bucket's time that it was halted, 0 to 1. */
  halted: number[];
  interrupts: number[];
  totalExits: number;
  totalInterrupts: number;
  /** Share of the whole range. */
  haltedShare: number;
}

/** A function, or an address, that causes exits. */
export interface Hotspot {
  /** Function; null when no symbol covers the address. */
  name: string | null;
  /** Address in hexadecimal; null in the table by function. */
  address: string | null;
  exits: number;
  /** The most frequent reasons, most frequent first. */
  reasons: [reason: string, exits: number][];
}

/** One row of the hypercall mix. */
export interface CallCount {
  name: string;
  subop: string | null;
  calls: number;
  failed: number;
}

/** One row of the interrupt mix. */
export interface InterruptCount {
  vector: number;
  source: string;
  count: number;
}

/** One line of console output. */
export interface ConsoleLine {
  timeNs: number;
  device: string;
  text: string;
}

/** Everything about a range. */
export interface Panels {
  range: TimeRange;
  bucketNs: number;
  exits: number;
  hypercalls: number;
  interrupts: number;
  samples: number;
  series: ReasonSeries[];
  lanes: Lane[];
  byFunction: Hotspot[];
  byAddress: Hotspot[];
  /** How many rows the two tables would have. */
  functionCount: number;
  addressCount: number;
  calls: CallCount[];
  interruptMix: InterruptCount[];
  /** Stacks of exits, and of regular samples. */
  exitFlame: Flame;
  sampleFlame: Flame;
  lines: ConsoleLine[];
  lineCount: number;
}
