/**
 * A machine that runs, under a debugger: held up at its stops, and written to through its one door in, so that a
 * recording of it holds what the debugger changed.
 *
 * @module
 */
import { DebugStops } from "../../core/cpu/debug_stops.ts";
import { DEBUGGER_MEMORY } from "../../core/debugger_input.ts";
import type { RetrovisorMachine } from "../../core/machine.ts";
import { PAGE_SIZE } from "../../core/mmu/physmem.ts";
import type { Watchpoint } from "../../core/mmu/watch.ts";
import type { LiveInputs } from "../inputs.ts";
import type { RunGate } from "../runner.ts";
import type { Arrival, Runs } from "./debuggee.ts";

/** Most bytes of memory in one input. */
const WRITE_BYTES = 128;

/** Why a write was refused, in one sentence. */
export class WriteRefused extends Error {
  override name = "WriteRefused";
}

/** One machine that runs. Give it to the run as its gate. */
export class LiveDebuggee implements Runs, RunGate {
  readonly live = true;
  readonly debug: DebugStops;
  readonly breakpoints: Set<number> = new Set();
  watchpoints: Watchpoint[] = [];
  interrupted: () => boolean = () => false;
  limit = Infinity;
  #held = true;
  #arrive: ((a: Arrival) => void) | null = null;
  #go: (() => void) | null = null;

  /**
   * @param inputs the machine's, through which writes go
   * @param label what this is, for people
   */
  constructor(readonly machine: RetrovisorMachine, readonly inputs: LiveInputs, readonly label: string) {
    this.debug = new DebugStops(machine.cpu.s, machine.cpu.mmu, machine.cpu.code, machine.clock);
    machine.cpu.debug = this.debug;
  }

  get icount(): number {
    return this.machine.icount;
  }

  /** @see RunGate.open */
  open(): Promise<void> {
    if (!this.#held && this.#arrive !== null && this.interrupted()) this.#stop({ kind: "interrupted" });
    if (!this.#held) return Promise.resolve();
    return new Promise((resolve) => this.#go = resolve);
  }

  /** @see RunGate.ran */
  ran(): void {
    const { stop } = this.debug;
    if (stop !== null) {
      this.#stop(stop.watch === null ? { kind: "breakpoint" } : { kind: "watchpoint", hit: stop.watch });
    } else if (this.machine.outcome !== null) this.#stop({ kind: "exited" });
    else if (this.icount >= this.limit) this.#stop({ kind: "there" });
  }

  #stop(how: Arrival): void {
    this.#held = this.machine.outcome === null;
    this.limit = Infinity;
    this.debug.stop = null;
    this.#arrive?.(how);
    this.#arrive = null;
  }

  #run(limit: number): Promise<Arrival> {
    if (this.machine.outcome !== null) return Promise.resolve({ kind: "exited" });
    this.debug.stop = null;
    this.limit = limit;
    this.#held = false;
    const { promise, resolve } = Promise.withResolvers<Arrival>();
    this.#arrive = resolve;
    this.#go?.();
    return promise;
  }

  /** One instruction. A vCPU that waits for something is waited for. */
  step(): Promise<Arrival> {
    this.debug.set(new Set(), this.watchpoints);
    return this.#run(this.icount + 1);
  }

  /** On to the next stop, or the end of the run. */
  resume(): Promise<Arrival> {
    this.debug.set(this.breakpoints, this.watchpoints);
    this.debug.skipHere();
    return this.#run(Infinity);
  }

  /** Runs up to an icount, whatever lies on the way. */
  runTo(icount: number): Promise<Arrival> {
    if (this.icount >= icount) return Promise.resolve({ kind: "there" });
    this.debug.set(new Set(), []);
    return this.#run(icount);
  }

  /** A client has come: the machine is held up where it is. */
  hold(): void {
    this.#held = this.machine.outcome === null;
  }

  /** The client has gone, or the run is over: the machine runs on by itself. */
  release(): void {
    this.debug.set(new Set(), []);
    this.debug.condition = null;
    this.limit = Infinity;
    this.#held = false;
    this.#arrive?.({ kind: "exited" });
    this.#arrive = null;
    this.#go?.();
  }

  /** Writes a register's first bytes. @throws WriteRefused */
  writeRegister(vcpu: number, name: string, bytes: Uint8Array): void {
    this.#write(`v${vcpu}.${name}`, bytes);
  }

  /** Writes guest-physical memory. @throws WriteRefused */
  writePhysical(gpa: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const at = gpa + done, n = Math.min(bytes.length - done, WRITE_BYTES, PAGE_SIZE - at % PAGE_SIZE);
      const payload = new Uint8Array(8 + n);
      new DataView(payload.buffer).setBigUint64(0, BigInt(at), true);
      payload.set(bytes.subarray(done, done + n), 8);
      this.#write(DEBUGGER_MEMORY, payload);
      done += n;
    }
  }

  /** What a replay must find at this very instruction count again has to come before anything else there. */
  #write(target: string, payload: Uint8Array): void {
    const { machine } = this;
    if (machine.outcome !== null) {
      throw new WriteRefused("The machine has ended: it cannot be changed any more");
    }
    if (this.debug.enteredIcount === this.icount) {
      throw new WriteRefused("An interrupt or fault has just been taken here: stepi once, then write");
    }
    if (!this.inputs.push(target, payload, "debugger")) {
      throw new WriteRefused("Too much input is waiting for the machine: let it run first");
    }
    machine.runUntil(this.icount);
  }
}
