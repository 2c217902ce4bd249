/**
 * memory_op.
 *
 * Source: Xen 4.17 memory.h; results as an unprivileged HVM domain gets them.
 *
 * @module
 */
import { Errno } from "./abi.ts";
import type { Call, Struct } from "./call.ts";
import { domainOf, targetError } from "./event_op.ts";
import type { MapEntry } from "./memory.ts";
import type { Xen } from "./xen.ts";

/** Where add_to_physmap takes pages from. */
const Space = {
  SHARED_INFO: 0,
  GRANT_TABLE: 1,
  GMFN: 2,
  GMFN_RANGE: 3,
  GMFN_FOREIGN: 4,
  DEV_MMIO: 5,
} as const;

/** Largest order of an extent for an unprivileged domain (CONFIG_DOMU_MAX_ORDER). */
const MAX_ORDER = 9;
/** Most entries of a memory map. */
const MAP_LIMIT = 1024;
/** Work charged for a change of one page's backing. */
const PAGE_WORK = 64;
/** One more than the highest frame of the (imagined) host: 4 GiB. */
const HOST_PAGES = 0x100000;
const INVALID_GFN64 = 2 ** 64, INVALID_GFN32 = 0xffffffff;

/** memory_op(cmd, arg): the sub-operation is in the low six bits of cmd, a position to resume from above. */
export function memoryOp(x: Xen, c: Call): number {
  const cmd = c.u32(0) & 0x3f, start = (c.is64 ? c.u32(0) + c.words[1] * 0x1_0000_0000 : c.u32(0)) / 64;
  const first = Math.floor(start);
  switch (cmd) {
    case 0:
    case 1:
    case 6:
      return reservation(x, c, cmd, first);
    case 7:
      return addToPhysmap(x, c, first);
    case 23:
      return addToPhysmapBatch(x, c, first);
    case 5:
    case 10:
    case 12:
    case 20:
    case 22:
      return -Errno.ENOSYS;
    case 28:
      return acquireResource(c);
  }
  if (first !== 0) return cmd === 9 || cmd === 13 || cmd > 28 ? -Errno.ENOSYS : -Errno.EINVAL;
  return simpleOp(x, c, cmd);
}

/** Sub-operations that cannot be resumed. */
function simpleOp(x: Xen, c: Call, cmd: number): number {
  switch (cmd) {
    case 2:
      return HOST_PAGES;
    case 3:
      return domainStat(c, () => x.memory.totalPages);
    case 4:
      return domainStat(c, () => x.memory.maxPages);
    case 14:
      return domainStat(c, () => x.memory.maximumGfn());
    case 9:
      return memoryMap(x, c);
    case 11:
      return exchange(c);
    case 13:
      return setMemoryMap(x, c);
    case 15:
      return removeFromPhysmap(x, c);
    case 16:
    case 17:
      return privileged(c, 40, 36, 32);
    case 18:
    case 19:
      return 0;
    case 21:
      return remoteOnly(c, 32, 24, 2);
    case 24:
      return claimPages(c);
    case 25:
      return -Errno.EOPNOTSUPP;
    case 26:
      return vnuma(c);
    case 27:
      return deviceMemoryMap(c);
    default:
      return -Errno.ENOSYS;
  }
}

function domainStat(c: Call, value: () => number): number {
  const s = c.struct(c.ptr(1), 2);
  if (s === null) return -Errno.EFAULT;
  return targetError(s.u16(0)) || value();
}

/** An operation for control domains: -EPERM once its arguments name a domain that exists. */
function privileged(c: Call, size64: number, size32: number, domidAt: number): number {
  const s = c.struct(c.ptr(1), size64, size32);
  if (s === null) return -Errno.EFAULT;
  return domainOf(s.u16(domidAt)) === null ? -Errno.ESRCH : -Errno.EPERM;
}

/** An operation on another domain only. */
function remoteOnly(c: Call, size64: number, size32: number, domidAt: number): number {
  return privileged(c, size64, size32, domidAt);
}

function acquireResource(c: Call): number {
  const s = c.struct(c.ptr(1), 32, 28);
  if (s === null) return -Errno.EFAULT;
  if (s.u32(12) !== 0) return -Errno.EINVAL;
  return domainOf(s.u16(0)) === null ? -Errno.ESRCH : -Errno.EPERM;
}

function claimPages(c: Call): number {
  const s = c.struct(c.ptr(1), 32, 20);
  if (s === null) return -Errno.EFAULT;
  const order = s.u32(c.is64 ? 16 : 8), flags = s.u32(c.is64 ? 20 : 12), domid = s.u16(c.is64 ? 24 : 16);
  if (c.ptrAt(s, 0) !== 0 || order !== 0 || flags !== 0) return -Errno.EINVAL;
  return domid === 0 || domid === 1 ? -Errno.EPERM : -Errno.EINVAL;
}

function vnuma(c: Call): number {
  const s = c.struct(c.ptr(1), 40);
  if (s === null) return -Errno.EFAULT;
  if (s.u16(2) !== 0) return -Errno.EINVAL;
  return targetError(s.u16(0)) || -Errno.EOPNOTSUPP;
}

/** No device is passed through: no reserved memory. */
function deviceMemoryMap(c: Call): number {
  const s = c.struct(c.ptr(1), 24, 16);
  if (s === null) return -Errno.EFAULT;
  if (s.u32(0) & ~1) return -Errno.EINVAL;
  s.setU32(4, 0);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

/** increase_reservation, decrease_reservation and populate_physmap return how many extents were done. */
function reservation(x: Xen, c: Call, cmd: number, first: number): number {
  const s = c.struct(c.ptr(1), 32, 20);
  if (s === null) return first;
  const list = c.ptrAt(s, 0), count = c.longAt(s, c.long);
  const order = s.u32(c.is64 ? 16 : 8), flags = s.u32(c.is64 ? 20 : 12), domid = s.u16(c.is64 ? 24 : 16);
  if (count > 0xffffffff >>> 6 || first >= count || targetError(domid) || order > MAX_ORDER) return first;
  const addressBits = flags & 0xff;
  if (addressBits !== 0 && addressBits <= 12) return first;
  // Populate-on-demand of oneself is refused; increase_reservation gives pages no place in a translated domain.
  const populateOnDemand = (flags & 1 << 16) !== 0;
  let done = first;
  for (; done < count; done++) {
    if (!c.charge(PAGE_WORK << order)) break;
    if (cmd === 0) {
      if (x.memory.totalPages + (1 << order) > x.memory.maxPages) break;
      x.memory.totalPages += 1 << order;
      continue;
    }
    const entry = c.struct(list + done * c.long, c.long);
    if (entry === null) break;
    const gfn = c.longAt(entry, 0);
    if (cmd === 6 && populateOnDemand) break;
    if (!extent(x, cmd, gfn, 1 << order)) break;
  }
  return done;
}

/** One extent of decrease_reservation (1) or populate_physmap (6). */
function extent(x: Xen, cmd: number, gfn: number, pages: number): boolean {
  if (cmd === 6 && x.memory.totalPages + pages > x.memory.maxPages) return false;
  for (let i = 0; i < pages; i++) {
    const ok = cmd === 1 ? x.memory.release(gfn + i) === 0 : x.memory.populate(gfn + i);
    if (!ok) return false;
  }
  return true;
}

/** Places one page. @returns 0 or a negative error */
function addOne(x: Xen, space: number, idx: number, gfn: number): number {
  switch (space) {
    case Space.SHARED_INFO:
      return idx === 0 ? x.memory.place(x.shared.page, gfn) : -Errno.EINVAL;
    case Space.GRANT_TABLE: {
      const page = x.grants.frame(idx);
      return typeof page === "number" ? page : x.memory.place(page, gfn);
    }
    case Space.GMFN:
    case Space.GMFN_RANGE:
      return x.memory.move(idx, gfn);
    default:
      return -Errno.EINVAL;
  }
}

function addToPhysmap(x: Xen, c: Call, first: number): number {
  if (first > 0xffff) return -Errno.EDOM;
  const s = c.struct(c.ptr(1), 24, 16);
  if (s === null) return -Errno.EFAULT;
  const size = s.u16(2), space = s.u32(4), idx = c.longAt(s, 8), gfn = c.longAt(s, 8 + c.long);
  if (space === Space.GMFN_FOREIGN) return -Errno.ENOSYS;
  const domain = domainOf(s.u16(0));
  if (domain === null) return -Errno.ESRCH;
  if (domain !== "self" || space === Space.DEV_MMIO) return -Errno.EPERM;
  if (gfn >= (c.is64 ? INVALID_GFN64 : INVALID_GFN32)) return -Errno.EINVAL;
  if (space !== Space.GMFN_RANGE) return c.charge(PAGE_WORK) ? addOne(x, space, idx, gfn) : -Errno.EINVAL;
  if (size < first) return -Errno.EILSEQ;
  for (let i = first; i < size; i++) {
    if (!c.charge(PAGE_WORK)) return -Errno.EINVAL;
    const rc = addOne(x, space, idx + i, gfn + i);
    if (rc) return rc;
  }
  return 0;
}

function addToPhysmapBatch(x: Xen, c: Call, first: number): number {
  if (first > 0xffff) return -Errno.EDOM;
  const s = c.struct(c.ptr(1), 32, 20);
  if (s === null) return -Errno.EFAULT;
  const space = s.u16(2), size = s.u16(4), extra = s.u16(6);
  if (space === Space.GMFN_RANGE) return -Errno.EOPNOTSUPP;
  const domain = domainOf(s.u16(0));
  if (domain === null) return -Errno.ESRCH;
  if (domain !== "self" || space === Space.DEV_MMIO) return -Errno.EPERM;
  if (size < first) return -Errno.EILSEQ;
  if (size === first) return first ? -Errno.EILSEQ : 0;
  const idxs = c.ptrAt(s, 8), gfns = c.ptrAt(s, 8 + c.long), errs = c.ptrAt(s, 8 + c.long * 2);
  for (let i = first; i < size; i++) {
    const idx = c.struct(idxs + i * c.long, c.long), gfn = c.struct(gfns + i * c.long, c.long);
    if (idx === null || gfn === null || !c.charge(PAGE_WORK)) return -Errno.EFAULT;
    const foreign = space === Space.GMFN_FOREIGN;
    const rc = foreign ? foreignError(extra) : addOne(x, space, c.longAt(idx, 0), c.longAt(gfn, 0));
    if (!c.write32(errs + i * 4, rc >>> 0)) return -Errno.EFAULT;
  }
  return 0;
}

function foreignError(domid: number): number {
  return domainOf(domid) === null ? -Errno.ESRCH : -Errno.EPERM;
}

function removeFromPhysmap(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 16, 8);
  if (s === null) return -Errno.EFAULT;
  return targetError(s.u16(0)) || x.memory.remove(c.longAt(s, c.long));
}

function memoryMap(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 16, 8);
  if (s === null) return -Errno.EFAULT;
  const map = x.memory.map ?? x.host.memoryMap();
  if (map.length === 0) return -Errno.ENOSYS;
  const count = Math.min(s.u32(0), map.length);
  if (!c.write(c.ptrAt(s, c.long), encodeMap(map.slice(0, count)))) return -Errno.EFAULT;
  s.setU32(0, count);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}

function encodeMap(map: MapEntry[]): Uint8Array {
  const bytes = new Uint8Array(map.length * 20), v = new DataView(bytes.buffer);
  map.forEach((e, i) => {
    v.setBigUint64(i * 20, BigInt(e.addr), true);
    v.setBigUint64(i * 20 + 8, BigInt(e.size), true);
    v.setUint32(i * 20 + 16, e.type, true);
  });
  return bytes;
}

function setMemoryMap(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 24, 12);
  if (s === null) return -Errno.EFAULT;
  const at = c.long, count = s.u32(at);
  if (count > MAP_LIMIT) return -Errno.EINVAL;
  const wrong = targetError(s.u16(0));
  if (wrong) return wrong;
  const entries = c.struct(c.ptrAt(s, at + c.long), count * 20);
  if (entries === null) return -Errno.EFAULT;
  x.memory.map = decodeMap(entries, count);
  return 0;
}

function decodeMap(s: Struct, count: number): MapEntry[] {
  const out: MapEntry[] = [];
  for (let i = 0; i < count; i++) {
    // Above 2^53 a value cannot be kept exactly; no such address can be backed.
    const addr = Math.min(s.u64(i * 20), Number.MAX_SAFE_INTEGER);
    const size = Math.min(s.u64(i * 20 + 8), Number.MAX_SAFE_INTEGER);
    out.push({ addr, size, type: s.u32(i * 20 + 16) });
  }
  return out;
}

/** Exchange of pages: a translated domain's pages cannot be taken, after the checks of the arguments. */
function exchange(c: Call): number {
  const s = c.struct(c.ptr(1), 72, 44);
  if (s === null) return -Errno.EFAULT;
  const out = c.is64 ? 32 : 20, order = c.is64 ? 16 : 8, domid = c.is64 ? 24 : 16;
  const doneAt = c.is64 ? 64 : 40, inOrder = s.u32(order), outOrder = s.u32(out + order);
  const inCount = c.longAt(s, c.long), outCount = c.longAt(s, out + c.long), done = c.longAt(s, doneAt);
  if (Math.max(inOrder, outOrder) > MAX_ORDER) return -Errno.EPERM;
  if (done > inCount || s.u16(domid) !== s.u16(out + domid)) return -Errno.EINVAL;
  if (inCount * 2 ** inOrder !== outCount * 2 ** outOrder) return -Errno.EINVAL;
  if (done === inCount) return 0;
  return targetError(s.u16(domid)) || -Errno.EOPNOTSUPP;
}
