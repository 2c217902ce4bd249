/**
 * Numbers of Xen's guest ABI: errors, hypercalls, parameters, virtual interrupts.
 *
 * Source: Xen 4.17 public headers (xen.h, errno.h, hvm/params.h, event_channel.h, sched.h).
 *
 * @module
 */

/** Error numbers (errno.h); hypercalls return them negated. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  EROFS: 30,
  EDOM: 33,
  ERANGE: 34,
  ENOSYS: 38,
  ENODATA: 61,
  EOVERFLOW: 75,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ENOBUFS: 105,
} as const;

const ERRNO_NAMES = new Map<number, string>(Object.entries(Errno).map(([name, value]) => [value, name]));

/** Name of the error a result stands for, e.g. -22 is "EINVAL"; null when the result is no error. */
export function errnoName(result: number): string | null {
  if (result >= 0 || result < -4095) return null;
  return ERRNO_NAMES.get(-result) ?? `E${-result}`;
}

/** Hypercall numbers (xen.h). */
export const Hypercall = {
  platform_op: 7,
  memory_op: 12,
  multicall: 13,
  set_timer_op: 15,
  xen_version: 17,
  console_io: 18,
  grant_table_op: 20,
  vm_assist: 21,
  vcpu_op: 24,
  mmuext_op: 26,
  xsm_op: 27,
  sched_op: 29,
  event_channel_op: 32,
  physdev_op: 33,
  hvm_op: 34,
  sysctl: 35,
  domctl: 36,
  argo_op: 39,
  xenpmu_op: 40,
  dm_op: 41,
  hypfs_op: 42,
  arch_1: 49,
} as const;

/** Number of stubs in a hypercall page (32 bytes each). */
export const HYPERCALL_STUBS = 128;

/** The hypercall whose stub is UD2 for HVM guests. */
export const HYPERCALL_IRET = 23;

/** HVM parameters (hvm/params.h). */
export const Param = {
  CALLBACK_IRQ: 0,
  STORE_PFN: 1,
  STORE_EVTCHN: 2,
  PAE_ENABLED: 4,
  IDENT_PT: 12,
  DM_DOMAIN: 13,
  VM86_TSS: 15,
  CONSOLE_PFN: 17,
  CONSOLE_EVTCHN: 18,
  ACPI_IOPORTS_LOCATION: 19,
  MEMORY_EVENT_CR0: 20,
  MEMORY_EVENT_CR3: 21,
  MEMORY_EVENT_CR4: 22,
  MEMORY_EVENT_INT3: 23,
  NESTEDHVM: 24,
  MEMORY_EVENT_SINGLE_STEP: 25,
  BUFIOREQ_EVTCHN: 26,
  MEMORY_EVENT_MSR: 30,
  VM_GENERATION_ID_ADDR: 34,
  ALTP2M: 35,
  X87_FIP_WIDTH: 36,
  VM86_TSS_SIZED: 37,
} as const;
/** Number of HVM parameters. */
export const HVM_NR_PARAMS = 39;

/** Virtual interrupts (xen.h). */
export const Virq = { TIMER: 0, DEBUG: 1, XENOPROF: 7, XENPMU: 13, ARCH_0: 16 } as const;
/** Number of virtual interrupts. */
export const NR_VIRQS = 24;

/** True when a virtual interrupt belongs to the domain rather than to one vCPU. */
export function virqIsGlobal(virq: number): boolean {
  return virq !== Virq.TIMER && virq !== Virq.DEBUG && virq !== Virq.XENOPROF && virq !== Virq.XENPMU;
}

/** Domain numbers: the guest's own, the one with the back ends, and the name for "myself" (xen.h). */
export const GUEST_DOMID = 1, BACKEND_DOMID = 0, DOMID_SELF = 0x7ff0;

/** Guest frames that the domain builder sets up: xl's special pages of a PVH domain. */
export const SPECIAL_PAGES_GFN = 0xfeff8, SPECIAL_PAGES = 8;
/** xenstore ring, identity page table and console ring among the special pages. */
export const STORE_GFN = 0xfeffc, IDENT_PT_GFN = 0xfeffe, CONSOLE_GFN = 0xfefff;
/** Event channels that the domain builder allocates. */
export const STORE_PORT = 1, CONSOLE_PORT = 2;

/** Version presented to the guest. */
export const XEN_MAJOR = 4, XEN_MINOR = 17, XEN_EXTRAVERSION = ".6";

/** Most vCPUs an HVM domain may have. */
export const HVM_MAX_VCPUS = 128;
