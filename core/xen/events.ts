/**
 * Event channels: ports, what they are bound to, and raising them.
 *
 * Source: Xen 4.17 event_channel.h. The other ends outside the guest (console and xenstore daemons) are functions.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { BACKEND_DOMID, Errno, GUEST_DOMID, virqIsGlobal } from "./abi.ts";
import { Fifo, FIFO_PRIORITY_DEFAULT } from "./fifo.ts";
import type { XenHost } from "./host.ts";
import type { SharedInfo } from "./shared_info.ts";
import type { Upcall } from "./upcall.ts";
import type { VcpuState } from "./vcpu.ts";

/** What a port is bound to. */
export const ChannelState = { FREE: 0, RESERVED: 1, UNBOUND: 2, INTERDOMAIN: 3, VIRQ: 5, IPI: 6 } as const;

/** One port. */
export interface Channel {
  readonly port: number;
  /** One of `ChannelState`. */
  state: number;
  /** vCPU that is told. */
  vcpu: number;
  /** UNBOUND and INTERDOMAIN: domain of the other end; INTERDOMAIN: its port. */
  remoteDom: number;
  remotePort: number;
  virq: number;
  /** FIFO: priority, an event raised before its word existed, and the queue it was last on. */
  priority: number;
  pending: boolean;
  lastVcpu: number;
  lastPriority: number;
}

/** Highest port of a domain that xl creates, and how many ports are created at a time. */
export const MAX_PORT = 1023, BUCKET = 64;

/** Event channels of the domain. */
export class EventChannels {
  readonly #channels: Channel[] = [];
  /** Present while the domain uses the FIFO ABI. */
  fifo: Fifo | null = null;
  readonly #backends = new Map<number, () => void>();

  constructor(
    readonly host: XenHost,
    readonly shared: SharedInfo,
    readonly vcpus: readonly VcpuState[],
    readonly upcall: Upcall,
  ) {
    this.#grow(0);
    this.#channels[0].state = ChannelState.RESERVED;
  }

  /** A port that exists (it may be free), or null. */
  get(port: number): Channel | null {
    return this.#channels[port] ?? null;
  }

  /** Number of ports that exist. */
  get valid(): number {
    return this.#channels.length;
  }

  /** Takes the lowest free port. @returns the channel, or a negative error */
  allocate(): Channel | number {
    const limit = Math.min(MAX_PORT, this.#maxPorts() - 1);
    for (let port = 0; port <= limit; port++) {
      if (port >= this.#channels.length) this.#grow(port);
      const chn = this.#channels[port];
      if (chn.state !== ChannelState.FREE || this.fifo?.isBusy(port)) continue;
      chn.priority = FIFO_PRIORITY_DEFAULT;
      return chn;
    }
    return -Errno.ENOSPC;
  }

  /** Connects a new port to a back end outside the guest, as the domain builder and the daemons do. */
  connectBackend(backendPort: number, notify: () => void): number {
    const chn = this.allocate();
    if (typeof chn === "number") throw new RangeError("Cannot connect a back end: no event channel is free");
    chn.state = ChannelState.INTERDOMAIN;
    chn.remoteDom = BACKEND_DOMID;
    chn.remotePort = backendPort;
    this.#backends.set(backendPort, notify);
    return chn.port;
  }

  /** A back end raises its event in the guest (dropped when the guest has closed the port). */
  notifyGuest(port: number, backendPort: number): void {
    const chn = this.#channels[port];
    if (!chn || chn.state !== ChannelState.INTERDOMAIN) return;
    if (chn.remoteDom === BACKEND_DOMID && chn.remotePort === backendPort) this.raise(chn);
  }

  /** Sends through a port. @returns 0 or a negative error */
  send(port: number): number {
    const chn = this.#channels[port];
    if (!chn) return -Errno.EINVAL;
    switch (chn.state) {
      case ChannelState.INTERDOMAIN: {
        if (chn.remoteDom === GUEST_DOMID) this.raise(this.#channels[chn.remotePort]);
        else this.#backends.get(chn.remotePort)?.();
        return 0;
      }
      case ChannelState.IPI:
        this.raise(chn);
        return 0;
      case ChannelState.UNBOUND:
        return 0;
      default:
        return -Errno.EINVAL;
    }
  }

  /** Closes a port; a local other end becomes unbound. @returns 0 or a negative error */
  close(port: number): number {
    const chn = this.#channels[port];
    if (!chn || chn.state === ChannelState.FREE || chn.state === ChannelState.RESERVED) return -Errno.EINVAL;
    if (chn.state === ChannelState.VIRQ) {
      this.vcpus[virqIsGlobal(chn.virq) ? 0 : chn.vcpu].virqPort[chn.virq] = 0;
    } else if (chn.state === ChannelState.INTERDOMAIN && chn.remoteDom === GUEST_DOMID) {
      const other = this.#channels[chn.remotePort];
      other.state = ChannelState.UNBOUND;
      other.remoteDom = GUEST_DOMID;
      other.remotePort = 0;
    }
    this.#clearPending(chn);
    chn.state = ChannelState.FREE;
    chn.vcpu = 0;
    chn.pending = false;
    return 0;
  }

  /** EVTCHNOP_reset: closes every port and goes back to the 2-level ABI. */
  reset(): void {
    for (let port = 1; port < this.#channels.length; port++) this.close(port);
    this.fifo = null;
  }

  /** Clears the mask and raises the event again when it is pending. */
  unmask(chn: Channel): void {
    if (this.fifo) {
      this.fifo.clearMask(chn.port);
      if (this.fifo.isPending(chn.port)) this.raise(chn);
      return;
    }
    const { shared } = this;
    if (!shared.clearMask(chn.port) || !shared.isPending(chn.port)) return;
    if (!shared.setSelector(chn.vcpu, Math.floor(chn.port / shared.wordBits))) this.#upcallFor(chn);
  }

  /** Makes a bound port pending on its vCPU. */
  raise(chn: Channel): void {
    if (this.fifo) {
      const { poll, upcall } = this.fifo.setPending(chn);
      if (upcall) this.#upcallFor(chn);
      if (poll) this.#wakePollers(chn.port);
      return;
    }
    const { shared } = this;
    if (shared.setPending(chn.port)) return;
    if (!shared.isMasked(chn.port)) {
      if (!shared.setSelector(chn.vcpu, Math.floor(chn.port / shared.wordBits))) this.#upcallFor(chn);
    }
    this.#wakePollers(chn.port);
  }

  /** Raises a per-vCPU virtual interrupt, when the guest has bound it. */
  raiseVirq(vcpu: number, virq: number): void {
    const port = this.vcpus[vcpu].virqPort[virq];
    if (port === 0) return;
    this.raise(this.#channels[port]);
  }

  /** Is the port pending? For SCHEDOP_poll; negative error when there is no such port. */
  poll(port: number): number {
    const chn = this.#channels[port];
    if (!chn) return -Errno.EINVAL;
    if (chn.state === ChannelState.FREE || chn.state === ChannelState.RESERVED) return 0;
    return (this.fifo ? this.fifo.isPending(port) : this.shared.isPending(port)) ? 1 : 0;
  }

  /** Switches to the FIFO ABI: what is pending now is raised again when its word exists. */
  startFifo(fifo: Fifo): void {
    for (const chn of this.#channels) {
      if (chn.port === 0) continue;
      if (this.shared.isPending(chn.port)) chn.pending = true;
      chn.priority = FIFO_PRIORITY_DEFAULT;
    }
    this.fifo = fifo;
  }

  /** Raises events that waited for the event words from `first` on. */
  replayPending(first: number): void {
    for (let port = first; port < Math.min(this.#channels.length, this.fifo?.ports ?? 0); port++) {
      if (this.#channels[port].pending) this.raise(this.#channels[port]);
    }
  }

  save(): Json {
    const used = this.#channels.filter((c) =>
      c.state !== ChannelState.FREE || c.pending || c.lastPriority + c.lastVcpu !== 0
    );
    return {
      valid: this.#channels.length,
      channels: used.map((c) => ({ ...c })),
      fifo: this.fifo?.save() ?? null,
    };
  }

  load(state: Json): void {
    const s = state as unknown as { valid: number; channels: Channel[]; fifo: Json };
    this.#channels.length = 0;
    while (this.#channels.length < s.valid) this.#grow(this.#channels.length);
    for (const c of s.channels) this.#channels[c.port] = { ...c };
    this.fifo = s.fifo === null ? null : new Fifo(this.shared.page.mem, this.vcpus.length);
    if (s.fifo !== null) this.fifo?.load(s.fifo);
  }

  #maxPorts(): number {
    return this.fifo ? 1 << 17 : this.shared.wordBits * this.shared.wordBits;
  }

  #grow(port: number): void {
    while (this.#channels.length <= port) {
      for (let i = 0; i < BUCKET; i++) {
        this.#channels.push({
          port: this.#channels.length,
          state: ChannelState.FREE,
          vcpu: 0,
          remoteDom: 0,
          remotePort: 0,
          virq: 0,
          priority: FIFO_PRIORITY_DEFAULT,
          pending: false,
          lastVcpu: 0,
          lastPriority: 0,
        });
      }
    }
  }

  #clearPending(chn: Channel): void {
    if (this.fifo) this.fifo.clearPending(chn.port);
    else this.shared.clearPending(chn.port);
  }

  #upcallFor(chn: Channel): void {
    const v = this.vcpus[chn.vcpu];
    if (this.shared.setUpcallPending(v.id)) return;
    v.raisedPort = chn.port;
    v.raisedIcount = this.host.clock.icount;
    this.upcall.assert(v);
  }

  #wakePollers(port: number): void {
    for (const v of this.vcpus) {
      if (v.pollPort !== 0 && (v.pollPort < 0 || v.pollPort === port)) this.host.wake(v.id);
    }
  }
}
