/**
 * grant_table_op.
 *
 * Source: Xen 4.17 grant_table.h; the sub-operations that Xen lets HVM domains call.
 *
 * @module
 */
import { DOMID_SELF, Errno, GUEST_DOMID } from "./abi.ts";
import type { Call, Struct } from "./call.ts";
import { domainOf } from "./event_op.ts";
import { Gtf, RESERVED_ENTRIES } from "./grants.ts";
import type { Xen } from "./xen.ts";

/** Status of one operation (GNTST_*). */
export const Gntst = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  permission_denied: -8,
  bad_page: -9,
  bad_copy_arg: -10,
  eagain: -12,
} as const;

/** GNTMAP_* flags. */
const MAP_DEVICE = 1, MAP_HOST = 2, MAP_APPLICATION = 8, MAP_PTE = 16;
/** GNTCOPY_* flags. */
const COPY_SOURCE_GREF = 1, COPY_DEST_GREF = 2;

/** grant_table_op(cmd, uop, count). */
export function grantTableOp(x: Xen, c: Call): number {
  const cmd = c.u32(0), count = c.u32(2);
  const known = [0, 1, 2, 5, 6, 8, 10, 11].includes(cmd);
  if (!known) return -Errno.ENOSYS;
  if (count > 0x7fffffff) return -Errno.EINVAL;
  switch (cmd) {
    case 0:
      return each(c, count, 32, 32, 18, (s) => mapStatus(x, s));
    case 1:
      return each(c, count, 24, 24, 20, () => Gntst.bad_handle);
    case 2:
      return count === 1 ? setupTable(x, c) : -Errno.EINVAL;
    case 5:
      return each(c, count, 40, 24, c.is64 ? 36 : 20, (s) => copy(x, c, s));
    case 6:
      return count === 1 ? querySize(x, c) : -Errno.EINVAL;
    case 8:
      return setVersion(x, c);
    case 10:
      return getVersion(x, c);
    default:
      return each(c, count, 12, 12, 8, (s) => swap(x, s.u32(0), s.u32(4)));
  }
}

/** Does an array of operations; each gets its 16-bit status at `statusAt`. */
function each(
  c: Call,
  count: number,
  size64: number,
  size32: number,
  statusAt: number,
  one: (s: Struct) => number,
): number {
  const size = c.is64 ? size64 : size32;
  for (let i = 0; i < count; i++) {
    const at = c.ptr(1) + i * size, s = c.struct(at, size64, size32);
    if (s === null) return -Errno.EFAULT;
    if (!c.write16(at + statusAt, one(s) & 0xffff)) return -Errno.EFAULT;
  }
  return 0;
}

/** The guest can map nothing: no other domain grants it anything, and its own pages need no grant. */
function mapStatus(x: Xen, s: Struct): number {
  const flags = s.u32(8), ref = s.u32(12), domid = s.u16(16);
  if ((flags & (MAP_DEVICE | MAP_HOST)) === 0) return Gntst.bad_gntref;
  if (flags & (MAP_DEVICE | MAP_APPLICATION | MAP_PTE)) return Gntst.general_error;
  if (domid !== GUEST_DOMID && domid !== 0) return Gntst.bad_domain;
  const entries = domid === GUEST_DOMID ? x.grants.entries : 512;
  return ref >= entries ? Gntst.bad_gntref : Gntst.general_error;
}

function setupTable(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 24, 16);
  if (s === null) return -Errno.EFAULT;
  const frames = s.u32(4), list = c.ptrAt(s, c.is64 ? 16 : 12), domain = domainOf(s.u16(0));
  let status: number = Gntst.okay;
  if (domain === null) status = Gntst.bad_domain;
  else if (domain !== "self") status = Gntst.permission_denied;
  else if (!x.grants.setup(frames)) status = Gntst.general_error;
  else {
    for (let i = 0; i < frames; i++) {
      // A frame that is not mapped has the invalid frame number, all ones.
      if (!c.writeLong(list + i * c.long, x.grants.frameGfn(i))) status = Gntst.bad_virt_addr;
    }
  }
  return c.write16(c.ptr(1) + 8, status & 0xffff) ? 0 : -Errno.EFAULT;
}

function querySize(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 16);
  if (s === null) return -Errno.EFAULT;
  const domain = domainOf(s.u16(0));
  if (domain === "self") {
    s.setU32(4, x.grants.frames);
    s.setU32(8, 64);
  }
  const status = domain === null
    ? Gntst.bad_domain
    : domain === "self"
    ? Gntst.okay
    : Gntst.permission_denied;
  s.setU16(12, status & 0xffff);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function setVersion(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 4);
  if (s === null) return -Errno.EFAULT;
  const version = s.u32(0);
  const rc = version === 1 || version === 2 ? x.grants.setVersion(version) : -Errno.EINVAL;
  return c.write32(c.ptr(1), x.grants.version) ? rc : -Errno.EFAULT;
}

function getVersion(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  const domain = domainOf(s.u16(0));
  if (domain === null) return -Errno.ESRCH;
  if (domain !== "self") return -Errno.EPERM;
  return c.write32(c.ptr(1) + 4, x.grants.version) ? 0 : -Errno.EFAULT;
}

function swap(x: Xen, a: number, b: number): number {
  if (a >= x.grants.entries || b >= x.grants.entries) return Gntst.bad_gntref;
  if (a === b) return Gntst.okay;
  // The entries of the rings are mapped by the back ends.
  if (a < RESERVED_ENTRIES && inUse(x, a)) return Gntst.eagain;
  if (b < RESERVED_ENTRIES && inUse(x, b)) return Gntst.eagain;
  x.grants.swap(a, b);
  return Gntst.okay;
}

function inUse(x: Xen, ref: number): boolean {
  return ref < 2 && (x.grants.entry(ref).flags & Gtf.type_mask) !== Gtf.invalid;
}

/** One side of a copy: the page and the part of it that may be touched. */
interface CopySide {
  gfn: number;
  offset: number;
  length: number;
}

/** Finds one side of a copy. @returns the side, or a status */
function copySide(x: Xen, c: Call, s: Struct, at: number, byRef: boolean, write: boolean): CopySide | number {
  const domid = s.u16(at + c.long), domain = domainOf(domid);
  if (domid !== DOMID_SELF && !byRef) return Gntst.permission_denied;
  if (domain === null) return Gntst.bad_domain;
  if (!byRef) {
    const gfn = c.longAt(s, at);
    if (!x.memory.isBacked(gfn)) return Gntst.bad_page;
    return write && !x.memory.isWritableRam(gfn) ? Gntst.general_error : { gfn, offset: 0, length: 4096 };
  }
  const ref = s.u32(at);
  if (domain === "backend") return ref >= 512 ? Gntst.bad_gntref : Gntst.general_error;
  if (ref >= x.grants.entries) return Gntst.bad_gntref;
  const e = x.grants.entry(ref);
  if ((e.flags & Gtf.type_mask) !== Gtf.permit_access || e.domid !== GUEST_DOMID) return Gntst.general_error;
  if (write && e.flags & Gtf.readonly) return Gntst.general_error;
  return x.memory.isBacked(e.gfn) ? { gfn: e.gfn, offset: e.offset, length: e.length } : Gntst.bad_page;
}

function copy(x: Xen, c: Call, s: Struct): number {
  const second = c.is64 ? 16 : 8, tail = second * 2;
  const length = s.u16(tail), flags = s.u16(tail + 2);
  const source = copySide(x, c, s, 0, (flags & COPY_SOURCE_GREF) !== 0, false);
  if (typeof source === "number") return source;
  const dest = copySide(x, c, s, second, (flags & COPY_DEST_GREF) !== 0, true);
  if (typeof dest === "number") return dest;
  const from = s.u16(c.long + 2), to = s.u16(second + c.long + 2);
  if (from + length > 4096 || to + length > 4096) return Gntst.bad_copy_arg;
  if (from < source.offset || from + length > source.offset + source.length) return Gntst.general_error;
  if (to < dest.offset || to + length > dest.offset + dest.length) return Gntst.general_error;
  if (!c.charge(length)) return Gntst.general_error;
  const mem = x.host.mem;
  mem.write(dest.gfn * 4096 + to, mem.read(source.gfn * 4096 + from, length));
  return Gntst.okay;
}
