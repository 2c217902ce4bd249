/**
 * The one door in: whatever the guest cannot compute itself enters here, live when recording and from the trace
 * when replaying. Nothing else in `core/` reads a host clock, random source, or environment.
 *
 * @module
 */

/** What kind of thing entered. */
export type InputKind = "console" | "rtc" | "entropy" | "net" | "fault" | "debugger";

/** One thing the guest could not compute. */
export interface Input {
  /** Position among the inputs of the run, from 0. */
  seq: number;
  /** Instructions retired when it was applied. */
  icount: number;
  /** Virtual nanoseconds when it was applied (differs between inputs at one icount while vCPUs are halted). */
  timeNs: number;
  /** Virtual processor it is for. */
  vcpu: number;
  /** What kind of thing it is. */
  kind: InputKind;
  /** Which device or facility, e.g. "xen", "uart0", "rtc". */
  target: string;
  /** The thing itself. */
  payload: Uint8Array;
}

/** When the next pushed input is due, if that is known (replay). */
export interface Due {
  /** Instructions retired. */
  icount: number;
  /** Virtual nanoseconds. */
  timeNs: number;
}

/** Source of inputs. */
export interface Inputs {
  /**
   * Pull: the machine needs an answer now (the wall clock at boot, entropy). The answer is recorded.
   * @param bytes length the answer must have
   */
  ask(kind: InputKind, target: string, bytes: number, icount: number, timeNs: number): Uint8Array;
  /** Push: the next input that is due at this point, or null. Called until it answers null. */
  poll(
    icount: number,
    timeNs: number,
  ): { kind: InputKind; target: string; payload: Uint8Array; vcpu: number } | null;
  /** When the next pushed input is due; null when that is not known (live) or there is none. */
  nextDue(): Due | null;
  /** icount at which a pushed input is due whatever the time is then, besides `nextDue`; null (or no method): none. */
  nextIcount?(): number | null;
  /**
   * Every vCPU is halted and no timer is armed (or the run is paced to real time): wait for a pushed input.
   * Resolves true when one may be there, false when none will ever come.
   */
  wait(timeoutMs: number): Promise<boolean>;
}

/** No input ever; the wall clock answers a fixed time. For tests. */
export class NoInputs implements Inputs {
  /** @param epochSeconds what the real-time clock says at start. */
  constructor(readonly epochSeconds: number = 1_000_000_000) {}
  ask(kind: InputKind, _target: string, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    if (kind === "rtc" && bytes >= 8) {
      const v = new DataView(out.buffer);
      v.setUint32(0, this.epochSeconds >>> 0, true);
      v.setUint32(4, Math.floor(this.epochSeconds / 0x1_0000_0000), true);
    }
    return out;
  }
  poll(): null {
    return null;
  }
  nextDue(): null {
    return null;
  }
  wait(): Promise<boolean> {
    return Promise.resolve(false);
  }
}
