/**
 * The machine as recorder, replayer, debugger and command line see it. Implemented by `core/machine.ts`, created by
 * `createMachine(config, images, inputs)`.
 *
 * @module
 */
import type { GuestImage, MachineConfig } from "./config.ts";
import type { Observer } from "./exits.ts";
import type { Inputs } from "./inputs.ts";
import type { Outcome } from "./outcome.ts";
import type { PhysMem } from "./mmu/physmem.ts";

/** One machine. */
export interface Machine {
  /** What the machine was made of. */
  readonly config: MachineConfig;
  /** Guest-physical memory. */
  readonly mem: PhysMem;
  /** Instructions retired so far. */
  readonly icount: number;
  /** Virtual nanoseconds since start. */
  readonly timeNs: number;
  /** How the run ended; null while it can go on. */
  readonly outcome: Outcome | null;
  /** Attached at the one door out; null when nobody looks. May be changed between calls of `runUntil`. */
  observer: Observer | null;
  /**
   * Virtual time up to which the clock may jump while all vCPUs are halted; beyond it `runUntil` answers "waiting".
   * Infinity unless a run is held to real time.
   */
  idleLimitNs?: number;
  /** Totals since creation. */
  readonly exitCount: number;
  /** Hypercalls since creation, entries of multicalls included. */
  readonly hypercallCount: number;
  /**
   * Runs until `icount` reaches the limit exactly, the run ends (`outcome`), or a live input is awaited.
   * @returns "limit" | "ended" | "waiting" (all vCPUs halted, nothing armed, live inputs: call `inputs.wait`)
   */
  runUntil(icountLimit: number): "limit" | "ended" | "waiting";
  /** Asks the run to stop at the next opportunity (signal, limit). */
  requestStop(outcome: Outcome): void;
  /**
   * Everything but memory pages, versioned, canonical (equal states give equal bytes): registers of every vCPU,
   * clock, devices, Xen state, pending interrupts. Bounded to a few hundred KiB.
   */
  saveState(): Uint8Array;
  /**
   * Restores what `saveState` gave; the memory pages must be restored by the caller through methods of `mem`, which see
   * to it that decoded code is dropped where its bytes change.
   */
  loadState(state: Uint8Array): void;
  /**
   * Takes the list of guest pages changed since the last call (ascending), and watches for writes from now on.
   * Invisible to the guest. A page whose backing was removed is in the list too (`mem.host` answers -1).
   */
  takeDirtyPages(): number[];
  /** RIP of the vCPU that runs, for messages. */
  where(): { vcpu: number; rip: bigint; cr3: bigint; cpl: number };
}

/** Signature of `createMachine` in `core/machine.ts`. */
export type CreateMachine = (config: MachineConfig, images: GuestImage[], inputs: Inputs) => Machine;
