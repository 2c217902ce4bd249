-- kvm_exit: every exit in the shape of KVM's tracepoint `kvm_exit`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu_id: virtual processor
--   exit_reason: SVM exit code
--   guest_rip: where
--   isa: 2 (SVM)
--   info1: EXITINFO1
--   info2: EXITINFO2
--   intr_info: vector injected on the way back; null: none
--   error_code: its error code; null: none
CREATE OR REPLACE VIEW kvm_exit AS
SELECT seq, icount, vcpu AS vcpu_id, reason_code AS exit_reason, rip AS guest_rip, 2 AS isa, info1, info2,
  injected_vector AS intr_info, error_code
FROM exits;
