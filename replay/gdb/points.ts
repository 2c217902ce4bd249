/**
 * A client's breakpoints and watchpoints: packets `Z` and `z`.
 *
 * @module
 */
import { WatchKind, type Watchpoint } from "../../core/mmu/watch.ts";
import type { Traveler } from "../traveler.ts";
import type { Target } from "./target.ts";

/** Most points of each sort; longest watched range in bytes. */
const POINTS_MAX = 1024, LENGTH_MAX = 4096;

/** The points of one client. */
export class Points {
  readonly #software = new Set<number>();
  readonly #hardware = new Set<number>();
  readonly #watch = new Map<string, Watchpoint>();

  constructor(readonly traveler: Traveler) {}

  /** Adds or removes one. @returns the answer */
  change(packet: string, target: Target): string {
    const m = /^([Zz])([0-9]),([0-9a-f]{1,16}),([0-9a-f]{1,8})$/i.exec(packet);
    if (m === null) return "E01";
    const add = m[1] === "Z", kind = Number(m[2]), length = parseInt(m[4], 16);
    const address = target.linear(m[3]);
    if (kind > WatchKind.ACCESS) return "";
    if (address === null) return "E01";
    if (kind < WatchKind.WRITE) {
      const set = kind === 0 ? this.#software : this.#hardware;
      if (add && set.size >= POINTS_MAX) return "E.Too many breakpoints";
      if (add) set.add(address);
      else set.delete(address);
      return "OK";
    }
    const key = `${kind},${address},${length}`;
    if (!add) this.#watch.delete(key);
    else if (length === 0 || length > LENGTH_MAX) return `E.A watchpoint has 1 to ${LENGTH_MAX} bytes`;
    else if (this.#watch.size >= POINTS_MAX) return "E.Too many watchpoints";
    else this.#watch.set(key, { kind, address, length });
    return "OK";
  }

  /** True when a hardware breakpoint is at an address. */
  isHardware(address: number): boolean {
    return this.#hardware.has(address) && !this.#software.has(address);
  }

  /** Gives them to the traveler. */
  apply(): void {
    const { breakpoints } = this.traveler;
    breakpoints.clear();
    for (const a of this.#software) breakpoints.add(a);
    for (const a of this.#hardware) breakpoints.add(a);
    this.traveler.watchpoints = [...this.#watch.values()];
  }
}
