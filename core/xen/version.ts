/**
 * Who Xen says it is: CPUID leaves, the hypercall page, xen_version.
 *
 * Source: Xen 4.17 arch-x86/cpuid.h, version.h, features.h.
 *
 * @module
 */
import type { CpuidResult } from "../cpu/hooks.ts";
import { Errno, GUEST_DOMID, HYPERCALL_IRET, HYPERCALL_STUBS } from "./abi.ts";
import { XEN_EXTRAVERSION, XEN_MAJOR, XEN_MINOR } from "./abi.ts";
import type { Call } from "./call.ts";
import type { Xen } from "./xen.ts";

/** Highest leaf above the base. */
const MAX_LEAF = 5;
/** Leaf 4 EAX: grant mappings reach the IOMMU, vCPU id in EBX, domid in ECX, per-vCPU upcall vector. */
const HVM_FEATURES = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6;
/** SIF_INITDOMAIN of start_info.flags. */
const SIF_INITDOMAIN = 2;

const Feature = {
  writable_page_tables: 0,
  auto_translated_physmap: 2,
  hvm_callback_vector: 8,
  hvm_safe_pvclock: 9,
  dom0: 11,
  memory_op_vnode_supported: 13,
  not_direct_mapped: 16,
} as const;

/** One of Xen's CPUID leaves; zeros for the others in hypervisors' range 0x40000000-0x400001ff, null outside it. */
export function xenCpuid(x: Xen, leaf: number, subleaf: number, vcpu: number): CpuidResult | null {
  if (leaf < 0x40000000 || leaf > 0x400001ff) return null;
  const base = x.host.config.xenCpuidBase, khz = x.host.config.tscKhz;
  const out: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  switch (leaf - base) {
    case 0:
      return { eax: base + MAX_LEAF, ebx: 0x566e6558, ecx: 0x65584d4d, edx: 0x4d4d566e };
    case 1:
      out.eax = XEN_MAJOR << 16 | XEN_MINOR;
      break;
    case 2:
      out.eax = 1;
      out.ebx = x.hypercallMsr;
      break;
    case 3:
      // Sub-leaf 0: the TSC is safe, RDTSCP is there, default mode; 1: offset and scale; 2: frequency.
      if (subleaf === 0) return { eax: 6, ebx: 0, ecx: khz, edx: 0 };
      if (subleaf === 1) return { eax: 0, ebx: 0, ecx: x.time.scale.mul, edx: x.time.scale.shift >>> 0 };
      if (subleaf === 2) out.eax = khz;
      break;
    case 4:
      if (subleaf === 0) return { eax: HVM_FEATURES, ebx: vcpu, ecx: GUEST_DOMID, edx: 0 };
      break;
  }
  return out;
}

/** Contents of the hypercall page: stub n is `mov eax, n; vmmcall (or vmcall); ret`, the rest INT3. */
export function hypercallPage(vendor: "amd" | "intel"): Uint8Array {
  const page = new Uint8Array(4096).fill(0xcc);
  for (let n = 0; n < HYPERCALL_STUBS; n++) {
    const stub = n === HYPERCALL_IRET
      ? [0x0f, 0x0b]
      : [0xb8, n, 0, 0, 0, 0x0f, 0x01, vendor === "amd" ? 0xd9 : 0xc1, 0xc3];
    page.set(stub, n * 32);
  }
  return page;
}

/** xen_version(cmd, arg). */
export function xenVersion(x: Xen, c: Call): number {
  switch (c.u32(0)) {
    case 0:
      return XEN_MAJOR << 16 | XEN_MINOR;
    case 1:
      return text(c, [[XEN_EXTRAVERSION, 16]]);
    case 2:
      return text(c, [["TypeScript", 64], ["retrovisor", 16], ["retrovisor", 32], ["", 32]]);
    case 3:
      return text(c, [["hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ", 1024]]);
    case 4:
      return text(c, [["retrovisor", 64]]);
    case 5:
      // Where the hypervisor begins; there is no hole in a 32-bit HVM guest's space.
      return c.writeLong(c.ptr(1), c.is64 ? -0x8000_0000_0000 : 0) ? 0 : -Errno.EFAULT;
    case 6:
      return features(x, c);
    case 7:
      return c.ptr(1) === 0 ? 4096 : -Errno.EINVAL;
    case 8:
      return c.write(c.ptr(1), domainHandle()) ? 0 : -Errno.EFAULT;
    case 9:
      return text(c, [["<denied>", 9]]);
    case 10:
      return -Errno.EPERM;
    default:
      return -Errno.ENOSYS;
  }
}

/** UUID of the domain: the same for every run. */
export function domainHandle(): Uint8Array {
  const handle = new Uint8Array(16);
  handle[15] = GUEST_DOMID;
  return handle;
}

/** Writes zero-padded fields of text. */
function text(c: Call, fields: [string, number][]): number {
  const bytes = new Uint8Array(fields.reduce((sum, [, size]) => sum + size, 0));
  let at = 0;
  for (const [value, size] of fields) {
    bytes.set(new TextEncoder().encode(value).subarray(0, size - 1), at);
    at += size;
  }
  return c.write(c.ptr(1), bytes) ? 0 : -Errno.EFAULT;
}

function features(x: Xen, c: Call): number {
  const s = c.struct(c.ptr(1), 8);
  if (s === null) return -Errno.EFAULT;
  if (s.u32(0) !== 0) return -Errno.EINVAL;
  let map = 0;
  for (const [name, bit] of Object.entries(Feature)) {
    if (name !== "dom0" || x.host.config.startInfoFlags & SIF_INITDOMAIN) map |= 1 << bit;
  }
  s.setU32(4, map);
  return c.write(c.ptr(1), s.bytes) ? 0 : -Errno.EFAULT;
}
