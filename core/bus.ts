/**
 * How devices meet the machine: port and MMIO ranges, interrupt lines, timers, snapshots.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { PhysMem } from "./mmu/physmem.ts";

/** JSON value; what device state is made of in checkpoints. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Something with state that checkpoints carry. */
export interface Snapshottable {
  /** Unique, stable name in checkpoints. */
  readonly name: string;
  save(): Json;
  load(state: Json): void;
}

/** A range of I/O ports. `size` is 1, 2 or 4 bytes; values are unsigned. */
export interface PortHandler {
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

/** A range of guest-physical addresses. `size` is 1, 2, 4 bytes (wider accesses are split); values unsigned. */
export interface MmioHandler {
  read(gpa: number, size: number): number;
  write(gpa: number, size: number, value: number): void;
}

/** What a device may use of the machine. */
export interface DeviceHost {
  readonly clock: Clock;
  readonly mem: PhysMem;
  /** Claims ports first..last (inclusive). A later claim of the same port replaces the earlier one. */
  ports(first: number, last: number, handler: PortHandler): void;
  /** Claims `[gpa, gpa + bytes)`, page-aligned. */
  mmio(gpa: number, bytes: number, handler: MmioHandler): void;
  /** Sets the level of an ISA/GSI interrupt line (0-23); routed to PIC and IO-APIC as configured. */
  irq(gsi: number, level: boolean): void;
  /** Guest output. */
  console(device: string, bytes: Uint8Array): void;
  /** Registers what goes into checkpoints. */
  snapshot(s: Snapshottable): void;
  /** Asks for a host answer through the one door in (recorded). */
  ask(kind: import("./inputs.ts").InputKind, target: string, bytes: number): Uint8Array;
  /** Ends the run: the guest asked for it or a device says so. */
  stop(outcome: import("./outcome.ts").Outcome): void;
  /** Tells the machine that an interrupt controller's output may have changed: look before the next instruction. */
  interruptsChanged(): void;
}
