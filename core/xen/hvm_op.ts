/**
 * hvm_op.
 *
 * Source: Xen 4.17 hvm/hvm_op.h.
 *
 * @module
 */
import { Errno, Param } from "./abi.ts";
import type { Call } from "./call.ts";
import { domainOf, targetError } from "./event_op.ts";
import type { Xen } from "./xen.ts";

/** Memory types of HVMOP_get_mem_type. */
const MEM_RAM_RW = 0, MEM_RAM_RO = 1, MEM_MMIO = 2;

/** hvm_op(op, arg). */
export function hvmOp(x: Xen, c: Call): number {
  if (c.isWide(0)) return -Errno.ENOSYS;
  switch (c.u32(0)) {
    case 0:
      return setParam(x, c);
    case 1:
      return getParam(x, c);
    case 5:
      if (c.ptr(1) !== 0) return -Errno.EINVAL;
      x.host.flushTlbs();
      return 0;
    case 9:
      return pagetableDying(c);
    case 10:
      return getTime(x, c);
    case 11:
      return xentrace(c);
    case 15:
      return getMemType(x, c);
    case 23:
      return setUpcallVector(x, c);
    case 24:
      return c.ptr(1) === 0 ? 0 : -Errno.EINVAL;
    case 25:
      return -Errno.EOPNOTSUPP;
    default:
      return -Errno.ENOSYS;
  }
}

function setParam(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 16);
  if (s === null) return -Errno.EFAULT;
  const index = s.u32(4);
  if (index >= 39) return -Errno.EINVAL;
  const domain = domainOf(s.u16(0));
  if (domain === null) return -Errno.ESRCH;
  // The back-end domain is no HVM domain.
  if (domain === "backend") return -Errno.EINVAL;
  const rc = x.params.set(index, [s.u32(8), s.u32(12)]);
  if (rc === "crash") {
    x.crash("the guest gave HVM_PARAM_VM86_TSS a value that cannot be");
    return -Errno.EINVAL;
  }
  if (rc === 0 && index === Param.CALLBACK_IRQ) {
    x.upcall.setVia(s.u32(8), s.u32(12));
    x.latchWidth(c.is64);
  }
  return rc;
}

function getParam(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 16);
  if (s === null) return -Errno.EFAULT;
  const index = s.u32(4);
  if (index >= 39) return -Errno.EINVAL;
  const domain = domainOf(s.u16(0));
  if (domain === null) return -Errno.ESRCH;
  if (domain === "backend") return -Errno.EINVAL;
  const value = x.params.get(index);
  if (typeof value === "number") return value;
  if (index === Param.CONSOLE_PFN) x.console.expected = true;
  s.setU32(8, value[0]);
  s.setU32(12, value[1]);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

/** Only shadow paging ever cared. */
function pagetableDying(c: Call): number {
  const s = c.struct(c.ptr(1), 16);
  if (s === null) return -Errno.EFAULT;
  const domain = domainOf(s.u16(0));
  return domain === null ? -Errno.ESRCH : domain === "self" ? -Errno.EINVAL : -Errno.EOPNOTSUPP;
}

function getTime(x: Xen, c: Call): number {
  const now = new DataView(new ArrayBuffer(8));
  now.setBigUint64(0, BigInt(x.time.now()), true);
  return c.write(c.ptr(1), new Uint8Array(now.buffer)) ? 0 : -Errno.EFAULT;
}

/** The trace buffer of Xen is not kept: the call itself is in the trace. */
function xentrace(c: Call): number {
  const s = c.struct(c.ptr(1), 32);
  if (s === null) return -Errno.EFAULT;
  return s.u16(2) > 28 || s.u16(0) & 0xf000 ? -Errno.EINVAL : 0;
}

function getMemType(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 16);
  if (s === null) return -Errno.EFAULT;
  const wrong = targetError(s.u16(0));
  if (wrong) return wrong;
  const gfn = s.u64(8);
  const type = !x.memory.isBacked(gfn) ? MEM_MMIO : x.memory.isWritableRam(gfn) ? MEM_RAM_RW : MEM_RAM_RO;
  s.setU16(2, type);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function setUpcallVector(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  const vector = s.u8(4);
  if (vector < 0x10) return -Errno.EINVAL;
  const v = x.vcpus[s.u32(0)];
  if (!v) return -Errno.ENOENT;
  v.upcallVector = vector;
  x.upcall.assert(v);
  return 0;
}
