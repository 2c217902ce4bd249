/**
 * sched_op: yielding, blocking, polling, watchdogs, and the end of the domain.
 *
 * Source: Xen 4.17 sched.h.
 *
 * @module
 */
import type { Timer } from "../clock.ts";
import type { Json } from "../bus.ts";
import { Errno } from "./abi.ts";
import type { Call } from "./call.ts";
import { domainOf } from "./event_op.ts";
import { Runstate } from "./vcpu.ts";
import type { Xen } from "./xen.ts";

/** Most ports SCHEDOP_poll takes. */
const POLL_PORTS = 128;
/** Watchdog timers of a domain. */
const WATCHDOGS = 2;

/** sched_op(cmd, arg). */
export function schedOp(x: Xen, c: Call): number {
  switch (c.u32(0)) {
    case 0:
      x.host.yield(c.vcpu.id);
      return 0;
    case 1:
      if (x.host.block(c.vcpu.id)) x.time.runstate(x.vcpus[c.vcpu.id], Runstate.BLOCKED);
      return 0;
    case 2:
    case 5: {
      const s = c.struct(c.ptr(1), 4);
      if (s === null) return -Errno.EFAULT;
      if (c.u32(0) === 2) x.shutdown(s.u32(0) & 0xff);
      else x.shutdownCode ??= s.u32(0) & 0xff;
      return 0;
    }
    case 3:
      return poll(x, c);
    case 4: {
      const s = c.struct(c.ptr(1), 8);
      if (s === null) return -Errno.EFAULT;
      const domid = s.u16(0);
      return domid > 1 || domainOf(domid) === null ? -Errno.ESRCH : -Errno.EPERM;
    }
    case 6: {
      const s = c.struct(c.ptr(1), 8);
      return s === null ? -Errno.EFAULT : x.watchdogs.set(s.u32(0), s.u32(4));
    }
    case 7:
      return -Errno.EPERM;
    default:
      return -Errno.ENOSYS;
  }
}

/** Waits until one of the ports is pending, an interrupt comes, or the timeout (absolute ns) has passed. */
function poll(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 24, 16);
  if (s === null) return -Errno.EFAULT;
  const ports = c.ptrAt(s, 0), count = s.u32(c.long), timeout = s.u64(c.is64 ? 16 : 8);
  if (count > POLL_PORTS) return -Errno.EINVAL;
  let port = 0;
  for (let i = 0; i < count; i++) {
    const entry = c.struct(ports + i * 4, 4);
    if (entry === null) return -Errno.EFAULT;
    port = entry.u32(0);
    const pending = x.events.poll(port);
    if (pending !== 0) return Math.min(pending, 0);
  }
  const v = x.vcpus[c.vcpu.id];
  v.pollPort = count === 1 && port !== 0 ? port : -1;
  if (x.host.block(v.id)) {
    x.time.runstate(v, Runstate.BLOCKED);
    if (timeout !== 0) x.host.clock.arm(v.poll, timeout);
  } else v.pollPort = 0;
  return 0;
}

/** The domain's watchdogs: each ends the run when it is not set again in time. */
export class Watchdogs {
  readonly #timers: Timer[] = [];
  readonly #used: boolean[] = [];

  constructor(readonly xen: Xen) {
    for (let i = 0; i < WATCHDOGS; i++) {
      this.#timers.push(xen.host.clock.timer(`xen-watchdog${i}`, () => xen.shutdown(4)));
      this.#used.push(false);
    }
  }

  /** SCHEDOP_watchdog: id 0 takes a new one; seconds 0 gives one back. @returns its id, 0, or a negative error */
  set(id: number, seconds: number): number {
    const clock = this.xen.host.clock;
    if (id > WATCHDOGS) return -Errno.EINVAL;
    if (id === 0) {
      const free = this.#used.indexOf(false);
      if (free < 0) return -Errno.ENOSPC;
      this.#used[free] = true;
      clock.arm(this.#timers[free], clock.now() + seconds * 1e9);
      return free + 1;
    }
    if (!this.#used[id - 1]) return -Errno.EINVAL;
    this.#used[id - 1] = seconds !== 0;
    clock.arm(this.#timers[id - 1], seconds === 0 ? Infinity : clock.now() + seconds * 1e9);
    return 0;
  }

  save(): Json {
    return [...this.#used];
  }
  load(state: Json): void {
    (state as boolean[]).forEach((used, i) => this.#used[i] = used);
  }
}
