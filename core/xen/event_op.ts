/**
 * event_channel_op.
 *
 * Source: Xen 4.17 event_channel.h; results as an unprivileged domain gets them.
 *
 * @module
 */
import { BACKEND_DOMID, DOMID_SELF, Errno, GUEST_DOMID, NR_VIRQS, virqIsGlobal } from "./abi.ts";
import type { Call } from "./call.ts";
import { ChannelState } from "./events.ts";
import { Fifo, FIFO_CONTROL_SIZE, FIFO_LINK_BITS, FIFO_PRIORITY_LOWEST } from "./fifo.ts";
import type { Xen } from "./xen.ts";

/** EVTCHNSTAT_* by channel state. */
const STATUS: Readonly<Record<number, number>> = {
  [ChannelState.FREE]: 0,
  [ChannelState.RESERVED]: 0,
  [ChannelState.UNBOUND]: 1,
  [ChannelState.INTERDOMAIN]: 2,
  [ChannelState.VIRQ]: 4,
  [ChannelState.IPI]: 5,
};

/** Physical interrupts that a guest without pass-through may name; none can be bound to it as an HVM domain. */
const NR_PIRQS = 16;

/** Which domain a number means to the guest: itself, the back-end domain, or none. */
export function domainOf(domid: number): "self" | "backend" | null {
  if (domid === DOMID_SELF || domid === GUEST_DOMID) return "self";
  return domid === BACKEND_DOMID ? "backend" : null;
}

/** Error for operations that are for a domain on itself: 0 when it is the guest. */
export function targetError(domid: number): number {
  const d = domainOf(domid);
  return d === null ? -Errno.ESRCH : d === "self" ? 0 : -Errno.EPERM;
}

/** event_channel_op(cmd, arg). */
export function eventChannelOp(x: Xen, c: Call): number {
  switch (c.u32(0)) {
    case 0:
      return bindInterdomain(x, c);
    case 1:
      return bindVirq(x, c);
    case 2:
      return bindPirq(c);
    case 3:
      return withPort(c, 4, (port) => x.events.close(port));
    case 4:
      return withPort(c, 4, (port) => x.events.send(port));
    case 5:
      return status(x, c);
    case 6:
      return allocUnbound(x, c);
    case 7:
      return bindIpi(x, c);
    case 8:
      return bindVcpu(x, c);
    case 9:
      return withPort(c, 4, (port) => {
        const chn = x.events.get(port);
        if (!chn) return -Errno.EINVAL;
        x.events.unmask(chn);
        return 0;
      });
    case 10:
    case 14:
      return reset(x, c);
    case 11:
      return initControl(x, c);
    case 12:
      return expandArray(x, c);
    case 13:
      return setPriority(x, c);
    default:
      return -Errno.ENOSYS;
  }
}

function withPort(c: Call, size: number, then: (port: number) => number): number {
  const s = c.struct(c.ptr(1), size);
  return s === null ? -Errno.EFAULT : then(s.u32(0));
}

function allocUnbound(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  const wrong = targetError(s.u16(0));
  if (wrong) return wrong;
  const chn = x.events.allocate();
  if (typeof chn === "number") return chn;
  const remote = s.u16(2);
  chn.state = ChannelState.UNBOUND;
  chn.remoteDom = remote === DOMID_SELF ? GUEST_DOMID : remote;
  s.setU32(4, chn.port);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function bindInterdomain(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 12);
  if (s === null) return -Errno.EFAULT;
  const domain = domainOf(s.u16(0));
  if (domain === null) return -Errno.ESRCH;
  const local = x.events.allocate();
  if (typeof local === "number") return local;
  const remote = domain === "self" ? x.events.get(s.u32(4)) : null;
  if (!remote || remote.state !== ChannelState.UNBOUND || remote.remoteDom !== GUEST_DOMID) {
    return -Errno.EINVAL;
  }
  local.state = remote.state = ChannelState.INTERDOMAIN;
  local.remoteDom = remote.remoteDom = GUEST_DOMID;
  local.remotePort = remote.port;
  remote.remotePort = local.port;
  // Notifications may have been lost while the other end was unbound.
  x.events.raise(local);
  s.setU32(8, local.port);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function bindVirq(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 12);
  if (s === null) return -Errno.EFAULT;
  const virq = s.u32(0), vcpu = s.u32(4);
  if (virq >= NR_VIRQS || (virqIsGlobal(virq) && vcpu !== 0)) return -Errno.EINVAL;
  const v = x.vcpus[vcpu];
  if (!v) return -Errno.ENOENT;
  if (v.virqPort[virq] !== 0) return -Errno.EEXIST;
  const chn = x.events.allocate();
  if (typeof chn === "number") return chn;
  chn.state = ChannelState.VIRQ;
  chn.vcpu = vcpu;
  chn.virq = virq;
  v.virqPort[virq] = chn.port;
  s.setU32(8, chn.port);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function bindPirq(c: Call): number {
  const s = c.struct(c.ptr(1), 12);
  if (s === null) return -Errno.EFAULT;
  return s.u32(0) >= NR_PIRQS ? -Errno.EINVAL : -Errno.EPERM;
}

function bindIpi(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  const vcpu = s.u32(0);
  if (!x.vcpus[vcpu]) return -Errno.ENOENT;
  const chn = x.events.allocate();
  if (typeof chn === "number") return chn;
  chn.state = ChannelState.IPI;
  chn.vcpu = vcpu;
  s.setU32(4, chn.port);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function bindVcpu(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  const vcpu = s.u32(4);
  if (!x.vcpus[vcpu]) return -Errno.ENOENT;
  const chn = x.events.get(s.u32(0));
  if (!chn) return -Errno.EINVAL;
  const movable = chn.state === ChannelState.UNBOUND || chn.state === ChannelState.INTERDOMAIN ||
    (chn.state === ChannelState.VIRQ && virqIsGlobal(chn.virq));
  if (!movable) return -Errno.EINVAL;
  chn.vcpu = vcpu;
  return 0;
}

function status(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 24);
  if (s === null) return -Errno.EFAULT;
  const domain = domainOf(s.u16(0));
  if (domain === null) return -Errno.ESRCH;
  // The back-end domain's ports exist, but are none of the guest's business.
  if (domain === "backend") return -Errno.EPERM;
  const chn = x.events.get(s.u32(4));
  if (!chn) return -Errno.EINVAL;
  s.setU32(8, STATUS[chn.state]);
  s.setU32(12, chn.vcpu);
  if (chn.state === ChannelState.UNBOUND || chn.state === ChannelState.INTERDOMAIN) {
    s.setU16(16, chn.remoteDom);
    if (chn.state === ChannelState.INTERDOMAIN) s.setU32(20, chn.remotePort);
  } else if (chn.state === ChannelState.VIRQ) s.setU32(16, chn.virq);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function reset(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 2);
  if (s === null) return -Errno.EFAULT;
  const wrong = targetError(s.u16(0));
  if (wrong) return wrong;
  x.events.reset();
  return 0;
}

function initControl(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 24);
  if (s === null) return -Errno.EFAULT;
  const gfn = s.u64(0), offset = s.u32(8), vcpu = s.u32(12);
  if (!x.vcpus[vcpu]) return -Errno.ENOENT;
  if (offset > 4096 - FIFO_CONTROL_SIZE || offset & 7) return -Errno.EINVAL;
  const fifo = x.events.fifo ?? new Fifo(x.host.mem, x.vcpus.length);
  const rc = fifo.mapControl(vcpu, gfn, offset);
  if (rc) return rc;
  if (x.events.fifo === null) x.events.startFifo(fifo);
  s.bytes[16] = FIFO_LINK_BITS;
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function expandArray(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  const fifo = x.events.fifo;
  if (fifo === null) return -Errno.EOPNOTSUPP;
  const first = fifo.ports, rc = fifo.expand(s.u64(0));
  if (rc === 0) x.events.replayPending(first);
  return rc;
}

function setPriority(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  const chn = x.events.get(s.u32(0));
  if (!chn) return -Errno.EINVAL;
  if (x.events.fifo === null) return -Errno.EOPNOTSUPP;
  if (s.u32(4) > FIFO_PRIORITY_LOWEST) return -Errno.EINVAL;
  chn.priority = s.u32(4);
  return 0;
}
