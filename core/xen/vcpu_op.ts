/**
 * vcpu_op.
 *
 * Source: Xen 4.17 vcpu.h, hvm/hvm_vcpu.h.
 *
 * @module
 */
import { Errno } from "./abi.ts";
import type { Call, Struct } from "./call.ts";
import { canonical } from "./call.ts";
import type { SegmentContext, VcpuContext, Word64 } from "./host.ts";
import { gpaOf, VCPU_INFO_SIZE } from "./shared_info.ts";
import { Runstate, type VcpuState } from "./vcpu.ts";
import type { Xen } from "./xen.ts";

/** Shortest and longest period of the periodic timer, in ns. */
const PERIOD_MIN_NS = 1_000_000, PERIOD_MAX_NS = 2 ** 55;

/** vcpu_op(cmd, vcpuid, arg). */
export function vcpuOp(x: Xen, c: Call): number {
  const v = x.vcpus[c.u32(1)];
  if (!v) return -Errno.ENOENT;
  const self = c.vcpu.id === v.id;
  switch (c.u32(0)) {
    case 0:
      return initialise(x, c, v);
    case 1:
      return up(x, v);
    case 2:
      return down(x, v);
    case 3:
      return v.up ? 1 : 0;
    case 4:
      return c.write(c.ptr(2), v.runstateBytes(c.is64)) ? 0 : -Errno.EFAULT;
    case 5:
      return registerRunstate(x, c, v);
    case 6:
      return setPeriodic(c, v);
    case 7:
      v.setPeriod(0);
      return 0;
    case 8:
      return self ? setSingleshot(x, c, v) : -Errno.EINVAL;
    case 9:
      if (!self) return -Errno.EINVAL;
      x.host.clock.arm(v.singleshot, Infinity);
      return 0;
    case 10:
      return registerInfo(x, c, v);
    case 11:
      if (c.ptr(2) !== 0) return -Errno.EINVAL;
      x.host.nmi(v.id);
      return 0;
    case 12:
      return -Errno.EINVAL;
    case 13:
      return registerTime(x, c, v);
    default:
      return -Errno.ENOSYS;
  }
}

/** set_timer_op(timeout ns): the one-shot timer, absolute; 0 stops it. */
export function setTimerOp(x: Xen, c: Call): number {
  const v = x.vcpus[c.vcpu.id], now = x.time.now();
  // One 64-bit argument, or two words outside 64-bit mode.
  const lo = c.words[0], hi = c.is64 ? c.words[1] : c.words[2];
  const timeout = (hi | 0) * 0x1_0000_0000 + lo;
  if (timeout === 0) x.host.clock.arm(v.singleshot, Infinity);
  // Negative, or more than 2^50 ns away: a tick in 100 ms, as Xen does for wrapped jiffies.
  else if (timeout < 0 || timeout - now >= 2 ** 50) x.host.clock.arm(v.singleshot, now + 100_000_000);
  else x.host.clock.arm(v.singleshot, timeout);
  return 0;
}

function up(x: Xen, v: VcpuState): number {
  if (!v.initialised) return -Errno.EINVAL;
  if (!v.up) {
    v.up = true;
    x.time.runstate(v, Runstate.RUNNABLE);
    x.host.up(v.id);
  }
  return 0;
}

function down(x: Xen, v: VcpuState): number {
  if (!x.vcpus.some((other) => other !== v && other.up)) {
    x.shutdown(0);
    return 0;
  }
  if (v.up) {
    v.up = false;
    x.time.runstate(v, Runstate.OFFLINE);
    x.host.down(v.id);
  }
  return 0;
}

function registerRunstate(x: Xen, c: Call, v: VcpuState): number {
  const s = c.struct(c.ptr(2), 8);
  if (s === null) return -Errno.EFAULT;
  const addr = c.ptrAt(s, 0);
  v.runstateAddr = addr === 0 || Number.isNaN(addr) ? null : addr;
  x.time.writeRunstate(v, c.vcpu);
  return 0;
}

function registerTime(x: Xen, c: Call, v: VcpuState): number {
  const s = c.struct(c.ptr(2), 8);
  if (s === null) return -Errno.EFAULT;
  const addr = c.ptrAt(s, 0);
  v.timeAddr = addr === 0 || Number.isNaN(addr) ? null : addr;
  x.time.update(v, c.vcpu);
  return 0;
}

function setPeriodic(c: Call, v: VcpuState): number {
  const s = c.struct(c.ptr(2), 8);
  if (s === null) return -Errno.EFAULT;
  const period = s.u64(0);
  if (period < PERIOD_MIN_NS || period > PERIOD_MAX_NS) return -Errno.EINVAL;
  v.setPeriod(period);
  return 0;
}

function setSingleshot(x: Xen, c: Call, v: VcpuState): number {
  const s = c.struct(c.ptr(2), 16, 12);
  if (s === null) return -Errno.EFAULT;
  const at = s.u64(0);
  if (at < x.time.now()) {
    x.host.clock.arm(v.singleshot, Infinity);
    x.time.timerEvent(v.id);
  } else x.host.clock.arm(v.singleshot, at);
  return 0;
}

function registerInfo(x: Xen, c: Call, v: VcpuState): number {
  const s = c.struct(c.ptr(2), 16);
  if (s === null) return -Errno.EFAULT;
  const gfn = s.u64(0), offset = s.u32(8), align = x.shared.is32 ? 4 : 8;
  if (offset > 4096 - VCPU_INFO_SIZE || offset & align - 1) return -Errno.ENXIO;
  if (x.shared.infoGpa[v.id] >= 0) return -Errno.EINVAL;
  if (v.id !== c.vcpu.id && v.up) return -Errno.EINVAL;
  if (!x.memory.isWritableRam(gfn)) return -Errno.EINVAL;
  x.shared.register(v.id, gpaOf(gfn) + offset);
  // Something may have been raised on the way: have the guest look at everything once.
  x.shared.setAllSelectors(v.id);
  if (!x.shared.setUpcallPending(v.id)) x.upcall.assert(v);
  x.time.update(v, c.vcpu);
  return 0;
}

function initialise(x: Xen, c: Call, v: VcpuState): number {
  if (!x.shared.hasInfo(v.id)) return -Errno.EINVAL;
  const s = c.struct(c.ptr(2), 128);
  if (s === null) return -Errno.EFAULT;
  if (v.initialised) return -Errno.EEXIST;
  if (s.u32(4) !== 0) return -Errno.EINVAL;
  const mode = s.u32(0);
  const context = mode === 0 ? context32(s) : mode === 1 ? context64(s) : null;
  if (context === null || !x.host.initialise(v.id, context)) return -Errno.EINVAL;
  v.initialised = true;
  return 0;
}

const LME = 0x100, LMA = 0x400;

function efer(lo: number, hi: number): Word64 {
  return [(lo & LME ? lo | LMA : lo) >>> 0, hi];
}

/** vcpu_hvm_x86_32 at offset 8; null when Xen would refuse it. */
function context32(s: Struct): VcpuContext | null {
  const word = (i: number): Word64 => [s.u32(8 + i * 4), 0];
  // Five segments: bases at 72, limits at 92, attributes at 112; CS, DS, SS, ES, TR.
  const segment = (i: number): SegmentContext => {
    let attributes = s.u16(112 + i * 2);
    // Present segments come accessed, the TSS busy.
    if (attributes & 0x80) attributes |= i === 4 ? 2 : 1;
    return { base: s.u32(72 + i * 4), limit: s.u32(92 + i * 4), attributes };
  };
  if (s.u32(60) !== 0 || s.u16(122) !== 0 || s.u16(124) !== 0 || s.u16(126) !== 0) return null;
  const [cs, ds, ss, es, tr] = [0, 1, 2, 3, 4].map(segment);
  if (![cs, ds, ss, es, tr].every((seg, i) => segmentOk(seg, i))) return null;
  const scaled = cs.attributes & 0x800 ? cs.limit * 4096 + 4095 : cs.limit;
  if (s.u32(40) > scaled) return null;
  const dpl = (seg: SegmentContext) => seg.attributes >>> 5 & 3;
  if (dpl(ss) !== dpl(cs)) return null;
  if (ds.attributes & 0x80 && dpl(ds) > dpl(cs)) return null;
  if (es.attributes & 0x80 && dpl(es) > dpl(cs)) return null;
  if (s.u32(64) & LMA && !(s.u32(64) & LME)) return null;
  return {
    mode: 32,
    gpr: [0, 1, 2, 3, 4, 5, 6, 7].map(word),
    rip: word(8),
    rflags: word(9),
    cr0: word(10),
    cr3: word(11),
    cr4: word(12),
    efer: efer(s.u32(64), s.u32(68)),
    cs,
    ds,
    ss,
    es,
    tr,
  };
}

/** Checks that Xen makes on a segment (0 CS, 1 DS, 2 SS, 3 ES, 4 TR): reserved bits, type, presence. */
function segmentOk(seg: SegmentContext, index: number): boolean {
  const a = seg.attributes, type = a & 0xf;
  if (a & 0xf000) return false;
  if (a === 0) return index === 1 || index === 3;
  if ((a & 0x80) === 0) return false;
  const system = (a & 0x10) === 0;
  if (index === 4) return system && type === 0xb;
  if (system) return false;
  if (index === 0) return (type & 8) !== 0;
  // SS must be writable data; DS and ES must be readable.
  return index === 2 ? (type & 0xa) === 2 : (type & 0xa) !== 8;
}

/** vcpu_hvm_x86_64 at offset 8: started in 64-bit mode with flat segments. */
function context64(s: Struct): VcpuContext | null {
  const word = (i: number): Word64 => [s.u32(8 + i * 8), s.u32(12 + i * 8)];
  const rip = word(8), cr0 = word(10), cr4 = word(12), mode = word(13);
  if (Number.isNaN(canonical(rip[0], rip[1]))) return null;
  if (!(cr0[0] & 0x80000000) || !(cr4[0] & 0x20) || !(mode[0] & LME)) return null;
  const data = (): SegmentContext => ({ base: 0, limit: 0xffffffff, attributes: 0xc93 });
  return {
    mode: 64,
    gpr: [0, 1, 2, 3, 4, 5, 6, 7].map(word),
    rip,
    rflags: word(9),
    cr0,
    cr3: word(11),
    cr4,
    efer: efer(mode[0], mode[1]),
    cs: { base: 0, limit: 0xffffffff, attributes: 0xa9b },
    ds: data(),
    ss: data(),
    es: data(),
    tr: { base: 0, limit: 0x67, attributes: 0x8b },
  };
}
