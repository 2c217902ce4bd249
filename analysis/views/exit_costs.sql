-- exit_costs: what one exit costs in cycles on real processors, by preset; a file of `--costs` adds presets to these
--   preset: processor, and hypervisor where its work is in the figure
--   reason: exit reason; null: every reason that the preset does not name
--   cycles: cycles from the guest to the hypervisor and back
--   source: where the figure was published
CREATE OR REPLACE VIEW exit_costs AS
WITH builtin(preset, reason, cycles, source) AS (
  VALUES
    -- Transitions alone: the hardware's round trip, without any work of a hypervisor.
    ('prescott', NULL, 3963, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('merom', NULL, 1579, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('penryn', NULL, 1266, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('nehalem', NULL, 1009, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('westmere', NULL, 761, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('sandybridge', NULL, 784, 'Agesen et al., USENIX ATC 2012, table 1'),
    -- VMRUN to #VMEXIT and back, as KVM measured it between two reads of the TSC.
    ('epyc', NULL, 1376, 'M. Roth, linux-kernel, December 2020, "use vmsave/vmload", current v2 patch, sample 1'),
    -- With the hypervisor's work: a null hypercall on Xen, and an emulated access to the interrupt controller.
    ('k8-xen', NULL, 3300, 'xen.git f64b7618e119: null hypercall on an AMD X2; taken for every reason'),
    ('sandybridge-xen', NULL, 784, 'Agesen et al., USENIX ATC 2012, table 1: the transition alone'),
    ('sandybridge-xen', 'VMEXIT_VMMCALL', 1228, 'Dall et al., ISCA 2016, table II: hypercall, Xen, Xeon E5-2450'),
    ('sandybridge-xen', 'VMEXIT_MSR', 1734, 'Dall et al., ISCA 2016, table II: interrupt controller trap, Xen'),
    ('sandybridge-xen', 'VMEXIT_NPF', 1734, 'Dall et al., ISCA 2016, table II: interrupt controller trap, Xen'),
    ('sandybridge-kvm', NULL, 784, 'Agesen et al., USENIX ATC 2012, table 1: the transition alone'),
    ('sandybridge-kvm', 'VMEXIT_VMMCALL', 1300, 'Dall et al., ISCA 2016, table II: hypercall, KVM, Xeon E5-2450'),
    ('sandybridge-kvm', 'VMEXIT_MSR', 2384, 'Dall et al., ISCA 2016, table II: interrupt controller trap, KVM'),
    ('sandybridge-kvm', 'VMEXIT_NPF', 2384, 'Dall et al., ISCA 2016, table II: interrupt controller trap, KVM')
)
SELECT preset, reason, cycles::UBIGINT AS cycles, source FROM builtin
WHERE NOT EXISTS (FROM given_costs g WHERE g.preset = builtin.preset)
UNION ALL
SELECT preset, reason, cycles, source FROM given_costs;
