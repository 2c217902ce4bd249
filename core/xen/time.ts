/**
 * Time as the guest sees it: time records, wall clock, run state areas, timer events.
 *
 * Source: Xen 4.17 xen.h (vcpu_time_info, wall clock), vcpu.h (run state, timers). The TSC and the clock run in
 * lockstep, so a time record stays exact from the moment it is written.
 *
 * @module
 */
import { Virq } from "./abi.ts";
import type { EventChannels } from "./events.ts";
import type { XenHost, XenVcpu } from "./host.ts";
import type { SharedInfo, TimeScale } from "./shared_info.ts";
import { timeScale } from "./shared_info.ts";
import { Runstate, type VcpuState } from "./vcpu.ts";

/** Keeps time records and run state areas. */
export class Time {
  readonly scale: TimeScale;

  constructor(
    readonly host: XenHost,
    readonly shared: SharedInfo,
    readonly vcpus: readonly VcpuState[],
    readonly events: EventChannels,
  ) {
    this.scale = timeScale(host.config.tscKhz);
  }

  /** System time in whole nanoseconds. */
  now(): number {
    return Math.floor(this.host.clock.now());
  }

  /** Writes a vCPU's time record, and its copy at the registered address through `through`'s page tables. */
  update(v: VcpuState, through: XenVcpu | null): void {
    const record = this.shared.writeTime(v.id, this.host.tscNow(), this.now(), this.scale);
    if (v.timeAddr !== null) through?.copyToGuest(v.timeAddr, record);
  }

  /** Writes every vCPU's record and the wall clock: at the start, and when the layout is latched. */
  updateAll(): void {
    this.shared.writeWallclock(this.host.wallclock());
    for (const v of this.vcpus) this.update(v, null);
  }

  /** Enters a run state; a vCPU that begins to run finds its registered area up to date. */
  runstate(v: VcpuState, state: number): void {
    if (v.runstate === state) return;
    v.enter(state);
    if (state === Runstate.RUNNING) this.writeRunstate(v, this.host.vcpus[v.id]);
  }

  /** Writes a vCPU's run state to its registered address; nothing when there is none or it is not mapped. */
  writeRunstate(v: VcpuState, through: XenVcpu): void {
    if (v.runstateAddr === null) return;
    through.copyToGuest(v.runstateAddr, v.runstateBytes(!this.shared.is32));
  }

  /** VIRQ_TIMER for a vCPU. */
  timerEvent(vcpu: number): void {
    this.events.raiseVirq(vcpu, Virq.TIMER);
  }
}
