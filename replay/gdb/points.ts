/**
 * A client's breakpoints and watchpoints: packets `Z` and `z`.
 *
 * @module
 */
import { WatchKind, type Watchpoint } from "../../core/mmu/watch.ts";
import { evaluate, EXPRESSION_BYTES_MAX, ExpressionError } from "./agent_expression.ts";
import type { Debuggee } from "./debuggee.ts";
import { unhex } from "./packets.ts";
import type { Target } from "./target.ts";

/** Most points of each sort; longest watched range in bytes. */
const POINTS_MAX = 1024, LENGTH_MAX = 4096;
/** Most conditions of one breakpoint. */
const CONDITIONS_MAX = 16;

/** The points of one client. */
export class Points {
  readonly #software = new Set<number>();
  readonly #hardware = new Set<number>();
  readonly #watch = new Map<string, Watchpoint>();
  /** Conditions of breakpoints by address: one that holds is enough. */
  readonly #conditions = new Map<number, readonly Uint8Array[]>();

  /** Adds or removes one. @returns the answer */
  change(packet: string, target: Target): string {
    const m = /^([Zz])([0-9]),([0-9a-f]{1,16}),([0-9a-f]{1,8})((?:;.*)?)$/is.exec(packet);
    const conditions = parseConditions(m?.[5] ?? "");
    if (m === null || conditions === null) return "E01";
    const add = m[1] === "Z", kind = Number(m[2]), length = parseInt(m[4], 16);
    const address = target.linear(m[3]);
    if (kind > WatchKind.ACCESS) return "";
    if (address === null) return "E01";
    if (kind < WatchKind.WRITE) {
      const set = kind === 0 ? this.#software : this.#hardware;
      if (add && set.size >= POINTS_MAX) return "E.Too many breakpoints";
      if (add) set.add(address);
      else set.delete(address);
      if (add && conditions.length > 0) this.#conditions.set(address, conditions);
      else this.#conditions.delete(address);
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

  /** Gives them to what is debugged. */
  apply(to: Debuggee, target: Target): void {
    const { breakpoints, debug } = to;
    breakpoints.clear();
    for (const a of this.#software) breakpoints.add(a);
    for (const a of this.#hardware) breakpoints.add(a);
    to.watchpoints = [...this.#watch.values()];
    debug.condition = this.#conditions.size === 0 ? null : (address) => this.#holds(address, target);
  }

  /** True when there is no condition, or one that is not zero or cannot be evaluated. */
  #holds(address: number, target: Target): boolean {
    const conditions = this.#conditions.get(address);
    if (conditions === undefined) return true;
    const around = target.surroundings();
    return conditions.some((c) => {
      try {
        return evaluate(c, around) !== 0n;
      } catch (e) {
        if (e instanceof ExpressionError) return true;
        throw e;
      }
    });
  }
}

/** Reads `;X<length>,<bytes>` as often as it comes. @returns null when it is something else */
function parseConditions(text: string): Uint8Array[] | null {
  const out: Uint8Array[] = [];
  let rest = text.replace(/;cmds:.*$/s, "");
  while (rest !== "") {
    const m = /^;?X([0-9a-f]{1,4}),/i.exec(rest), bytes = m === null ? 0 : parseInt(m[1], 16);
    const hex = m === null ? "" : rest.slice(m[0].length, m[0].length + bytes * 2);
    const sound = m !== null && bytes > 0 && bytes <= EXPRESSION_BYTES_MAX && hex.length === bytes * 2 &&
      /^[0-9a-f]*$/i.test(hex) && out.length < CONDITIONS_MAX;
    if (!sound) return null;
    out.push(unhex(hex));
    rest = rest.slice(m[0].length + hex.length);
  }
  return out;
}
