/**
 * console_io, vm_assist, physdev_op, and the hypercalls that an unprivileged HVM domain is refused.
 *
 * Source: Xen 4.17 xen.h, physdev.h, platform.h, sysctl.h, domctl.h, hvm/dm_op.h; errors in the order Xen checks.
 *
 * @module
 */
import { Errno } from "./abi.ts";
import type { Call } from "./call.ts";
import { domainOf } from "./event_op.ts";
import type { Xen } from "./xen.ts";

/** Interface versions of the control hypercalls. */
const PLATFORM_VERSION = 0x03000001, SYSCTL_VERSION = 0x15, DOMCTL_VERSION = 0x15;
/** Most bytes one console_io call prints; the rest of a longer write is dropped. */
export const CONSOLE_IO_LIMIT = 1024 * 1024;
/** SIF_INITDOMAIN: Xen's own console is this domain's. */
const SIF_INITDOMAIN = 2;
/** VMASST_TYPE_runstate_update_flag: the only type for HVM domains. */
const ASSIST_RUNSTATE = 5;
/** Most buffers of a dm_op. */
const DM_BUFFERS = 3;
const DOMCTL_CREATEDOMAIN = 1, DOMCTL_SHADOW_OP = 10;

/** console_io(cmd, count, buffer): writes are taken from every domain, as a debug build of Xen does. */
export function consoleIo(x: Xen, c: Call): number {
  const cmd = c.u32(0), count = c.u32(1), owner = (x.host.config.startInfoFlags & SIF_INITDOMAIN) !== 0;
  if (cmd === 0) return consoleWrite(x, c, count);
  if (!owner) return -Errno.EPERM;
  if (cmd !== 1) return -Errno.ENOSYS;
  if (count > 0x7fffffff) return -Errno.E2BIG;
  const bytes = x.console.takeInput(count);
  return c.write(c.ptr(2), bytes) ? bytes.length : -Errno.EFAULT;
}

function consoleWrite(x: Xen, c: Call, count: number): number {
  const total = Math.min(count, CONSOLE_IO_LIMIT);
  for (let done = 0; done < total;) {
    const n = Math.min(total - done, 4096), bytes = c.read(c.ptr(2) + done, n);
    if (bytes === null) return -Errno.EFAULT;
    x.console.log(bytes);
    done += n;
  }
  return 0;
}

/** vm_assist(cmd, type). */
export function vmAssist(x: Xen, c: Call): number {
  const cmd = c.u32(0), type = c.u32(1);
  if (type !== ASSIST_RUNSTATE) return -Errno.EINVAL;
  if (cmd > 1) return -Errno.ENOSYS;
  x.assists = cmd === 0 ? x.assists | 1 << type : x.assists & ~(1 << type);
  return 0;
}

/** physdev_op(cmd, arg): nothing of it without pass-through. */
export function physdevOp(): number {
  return -Errno.ENOSYS;
}

/** mmuext_op(uops, count, pdone, foreigndom): for PV domains only. */
export function mmuextOp(c: Call): number {
  const domid = c.u32(3) & 0xffff;
  // Naming oneself other than as DOMID_SELF is refused like an unknown domain.
  if (domid === 1 || domainOf(domid) === null) return -Errno.ESRCH;
  return domid === 0 ? -Errno.EPERM : -Errno.EINVAL;
}

/** platform_op(op). */
export function platformOp(c: Call): number {
  const s = c.struct(c.ptr(0), 136);
  if (s === null) return -Errno.EFAULT;
  return s.u32(4) === PLATFORM_VERSION ? -Errno.EPERM : -Errno.EACCES;
}

/** sysctl(op). */
export function sysctl(c: Call): number {
  const s = c.struct(c.ptr(0), 136);
  if (s === null) return -Errno.EFAULT;
  return s.u32(4) === SYSCTL_VERSION ? -Errno.EPERM : -Errno.EACCES;
}

/** domctl(op). */
export function domctl(c: Call): number {
  const s = c.struct(c.ptr(0), 144);
  if (s === null) return -Errno.EFAULT;
  if (s.u32(4) !== DOMCTL_VERSION) return -Errno.EACCES;
  return s.u32(0) !== DOMCTL_CREATEDOMAIN && s.u16(8) > 1 ? -Errno.ESRCH : -Errno.EPERM;
}

/** The continuation of a paging domctl. */
export function pagingDomctlCont(c: Call): number {
  const s = c.struct(c.ptr(0), 144);
  if (s === null) return -Errno.EFAULT;
  if (s.u32(4) !== DOMCTL_VERSION || s.u32(0) !== DOMCTL_SHADOW_OP) return -Errno.EOPNOTSUPP;
  return s.u16(8) > 1 ? -Errno.ESRCH : -Errno.EPERM;
}

/** dm_op(domid, nr_bufs, bufs): for device models of other domains. */
export function dmOp(c: Call): number {
  const domid = c.u32(0) & 0xffff;
  if (c.u32(1) > DM_BUFFERS) return -Errno.E2BIG;
  const domain = domainOf(domid);
  if (domain === null) return -Errno.ESRCH;
  return domain === "self" ? -Errno.EPERM : -Errno.EINVAL;
}
