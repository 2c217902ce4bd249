-- kvm_page_fault: nested page faults, and page faults where they are intercepted, as KVM's tracepoint `kvm_page_fault`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   guest_rip: where
--   fault_address: guest-physical (nested) or linear address
--   error_code: page-fault error code
--   nested: true for a nested fault
CREATE OR REPLACE VIEW kvm_page_fault AS
SELECT seq, icount, vcpu, rip AS guest_rip,
  CASE WHEN reason_code = 1024 THEN coalesce(gpa, info2) ELSE coalesce(gla, info2) END AS fault_address,
  info1 AS error_code, reason_code = 1024 AS nested
FROM exits WHERE reason_code IN (1024, 78);
