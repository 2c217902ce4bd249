-- kvm_inj_exception: exceptions given to the guest as the answer to an exit, as KVM's tracepoint `kvm_inj_exception`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   exception: vector
--   has_error: 1 when it pushes an error code
--   error_code: that code; null without one
CREATE OR REPLACE VIEW kvm_inj_exception AS
SELECT seq, icount, vcpu, injected_vector AS exception, CASE WHEN error_code IS NULL THEN 0 ELSE 1 END AS has_error,
  error_code
FROM exits WHERE injected_vector < 32;
