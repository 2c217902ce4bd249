-- exit_costs: what one exit costs in cycles on real processors, by preset; a file of `--costs` adds presets to these
--   preset: processor, and hypervisor where its work is in the figure
--   reason: exit reason; null: every reason that the preset does not name
--   cycles: cycles from the guest to the hypervisor and back
--   source: where the figure was published
CREATE OR REPLACE VIEW exit_costs AS
WITH builtin(preset, reason, cycles, source) AS (
  VALUES
    -- Transitions alone: the hardware's round trip, without any work of a hypervisor.
    ('prescott', NULL, 3963, 'Agesen et al., Software Techniques for Avoiding Hardware Virtualization Exits, USENIX ATC 2012, table 1'),
    ('merom', NULL, 1579, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('penryn', NULL, 1266, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('nehalem', NULL, 1009, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('westmere', NULL, 761, 'Agesen et al., USENIX ATC 2012, table 1'),
    ('sandybridge', NULL, 784, 'Agesen et al., USENIX ATC 2012, table 1'),
    -- Two reads of the TSC around VMRUN in KVM; the message does not say on which AMD processor.
    ('amd-2020-kvm', NULL, 1376, 'M. Roth, linux-kernel, December 2020, pre-run to post-run, "current v2 patch, sample 1": lkml.iu.edu/hypermail/linux/kernel/2012.2/00527.html'),
    -- With the hypervisor's work; the figure of Dall et al. as a later survey quotes the table.
    ('k8-xen', NULL, 3300, 'xen.git f64b7618e11930c5402b02a85db112b72a2beb2b (K. Fraser): null hypercall, "around 3300 cycles on my AMD X2 system"; taken for every reason'),
    ('sandybridge-kvm', NULL, 784, 'Agesen et al., USENIX ATC 2012, table 1: the transition alone'),
    ('sandybridge-kvm', 'VMEXIT_VMMCALL', 1300, 'Dall et al., ARM Virtualization: Performance and Architectural Implications, ISCA 2016, table II, as a later survey quotes it: hypercall, KVM on a Xeon E5-2450')
)
SELECT preset, reason, cycles::UBIGINT AS cycles, source FROM builtin
WHERE NOT EXISTS (FROM given_costs g WHERE g.preset = builtin.preset)
UNION ALL
SELECT preset, reason, cycles, source FROM given_costs;
