/**
 * What hypercalls and their sub-operations are called, for the trace.
 *
 * Source: Xen 4.17 public headers (xen.h, memory.h, event_channel.h, sched.h, vcpu.h, grant_table.h, version.h,
 * hvm/hvm_op.h, physdev.h).
 *
 * @module
 */

/** How a hypercall is shown: its name, number of arguments, and the names of its sub-operations (argument 0). */
export interface HypercallShape {
  name: string;
  args: number;
  /** Sub-operation names by number; absent when argument 0 is no sub-operation. */
  subops?: Readonly<Record<number, string>>;
}

function numbered(names: string): Record<number, string> {
  const out: Record<number, string> = {};
  names.split(" ").forEach((name, i) => {
    if (name !== "-") out[i] = name;
  });
  return out;
}

const MEMORY = numbered(
  "increase_reservation decrease_reservation maximum_ram_page current_reservation maximum_reservation " +
    "machphys_mfn_list populate_physmap add_to_physmap - memory_map machine_memory_map exchange machphys_mapping " +
    "set_memory_map maximum_gpfn remove_from_physmap set_pod_target get_pod_target get_sharing_freed_pages " +
    "get_sharing_shared_pages paging_op access_op sharing_op add_to_physmap_batch claim_pages " +
    "machphys_compat_mfn_list get_vnumainfo reserved_device_memory_map acquire_resource",
);
const EVTCHN = numbered(
  "bind_interdomain bind_virq bind_pirq close send status alloc_unbound bind_ipi bind_vcpu unmask reset " +
    "init_control expand_array set_priority reset_cont",
);
const SCHED = numbered("yield block shutdown poll remote_shutdown shutdown_code watchdog pin_override");
const VCPU = numbered(
  "initialise up down is_up get_runstate_info register_runstate_memory_area set_periodic_timer " +
    "stop_periodic_timer set_singleshot_timer stop_singleshot_timer register_vcpu_info send_nmi get_physid " +
    "register_vcpu_time_memory_area",
);
const GNTTAB = numbered(
  "map_grant_ref unmap_grant_ref setup_table dump_table transfer copy query_size unmap_and_replace set_version " +
    "get_status_frames get_version swap_grant_ref cache_flush",
);
const VERSION = numbered(
  "version extraversion compile_info capabilities changeset platform_parameters get_features pagesize " +
    "guest_handle commandline build_id",
);
const HVM = numbered(
  "set_param get_param set_pci_intx_level set_isa_irq_level set_pci_link_route flush_tlbs track_dirty_vram " +
    "modified_memory set_mem_type pagetable_dying get_time xentrace set_mem_access get_mem_access inject_trap " +
    "get_mem_type inject_msi create_ioreq_server get_ioreq_server_info map_io_range_to_ioreq_server " +
    "unmap_io_range_from_ioreq_server destroy_ioreq_server set_ioreq_server_state set_evtchn_upcall_vector " +
    "guest_request_vm_event altp2m",
);
const PHYSDEV = numbered(
  "- - - - - irq_status_query set_iopl set_iobitmap apic_read apic_write alloc_irq_vector free_irq_vector eoi " +
    "map_pirq unmap_pirq manage_pci_add manage_pci_remove pirq_eoi_gmfn_v1 - restore_msi manage_pci_add_ext " +
    "setup_gsi - get_free_pirq pci_mmcfg_reserved pci_device_add pci_device_remove restore_msi_ext " +
    "pirq_eoi_gmfn_v2 dbgp_op prepare_msix release_msix",
);

const SHAPES: Readonly<Record<number, HypercallShape>> = {
  0: { name: "set_trap_table", args: 1 },
  1: { name: "mmu_update", args: 4 },
  2: { name: "set_gdt", args: 2 },
  3: { name: "stack_switch", args: 2 },
  4: { name: "set_callbacks", args: 3 },
  5: { name: "fpu_taskswitch", args: 1 },
  6: { name: "sched_op_compat", args: 2 },
  7: { name: "platform_op", args: 1 },
  8: { name: "set_debugreg", args: 2 },
  9: { name: "get_debugreg", args: 1 },
  10: { name: "update_descriptor", args: 2 },
  12: { name: "memory_op", args: 2, subops: MEMORY },
  13: { name: "multicall", args: 2 },
  14: { name: "update_va_mapping", args: 3 },
  15: { name: "set_timer_op", args: 1 },
  16: { name: "event_channel_op_compat", args: 1 },
  17: { name: "xen_version", args: 2, subops: VERSION },
  18: { name: "console_io", args: 3, subops: { 0: "write", 1: "read" } },
  19: { name: "physdev_op_compat", args: 1 },
  20: { name: "grant_table_op", args: 3, subops: GNTTAB },
  21: { name: "vm_assist", args: 2, subops: { 0: "enable", 1: "disable" } },
  22: { name: "update_va_mapping_otherdomain", args: 4 },
  23: { name: "iret", args: 0 },
  24: { name: "vcpu_op", args: 3, subops: VCPU },
  25: { name: "set_segment_base", args: 2 },
  26: { name: "mmuext_op", args: 4 },
  27: { name: "xsm_op", args: 1 },
  28: { name: "nmi_op", args: 2 },
  29: { name: "sched_op", args: 2, subops: SCHED },
  30: { name: "callback_op", args: 2, subops: { 0: "register", 1: "unregister" } },
  31: { name: "xenoprof_op", args: 2 },
  32: { name: "event_channel_op", args: 2, subops: EVTCHN },
  33: { name: "physdev_op", args: 2, subops: PHYSDEV },
  34: { name: "hvm_op", args: 2, subops: HVM },
  35: { name: "sysctl", args: 1 },
  36: { name: "domctl", args: 1 },
  37: { name: "kexec_op", args: 2 },
  38: { name: "tmem_op", args: 1 },
  39: {
    name: "argo_op",
    args: 5,
    subops: { 1: "register_ring", 2: "unregister_ring", 3: "sendv", 4: "notify" },
  },
  40: { name: "xenpmu_op", args: 2 },
  41: { name: "dm_op", args: 3 },
  42: { name: "hypfs_op", args: 5 },
  48: { name: "mca", args: 1 },
  49: { name: "paging_domctl_cont", args: 1 },
};

const UNKNOWN: HypercallShape = { name: "unknown", args: 5 };

/** Shape of a hypercall; unknown numbers are called "unknown" and show five arguments. */
export function hypercallShape(nr: number): HypercallShape {
  return SHAPES[nr] ?? UNKNOWN;
}

/** Mask of the sub-operation in argument 0: memory_op and grant_table_op carry a position in the upper bits. */
export function subopMask(nr: number): number {
  if (nr === 12) return 0x3f;
  if (nr === 20) return 0xfffff;
  return 0xffffffff;
}
