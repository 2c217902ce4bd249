-- kvm_msr: accesses to model-specific registers in the shape of KVM's tracepoint `kvm_msr`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   write: 0 RDMSR, 1 WRMSR
--   ecx: number of the register
--   data: value read or written; null when a read faulted
--   exception: 1 when the guest got an exception for it
CREATE OR REPLACE VIEW kvm_msr AS
SELECT seq, icount, vcpu, (info1 % 2)::INTEGER AS write, (arg0 % 4294967296)::UINTEGER AS ecx,
  CASE WHEN info1 % 2 = 1 THEN arg1 ELSE result END AS data,
  CASE WHEN injected_vector IS NULL THEN 0 ELSE 1 END AS exception
FROM exits WHERE reason_code = 124;
