-- kvm_cr: control-register accesses in the shape of KVM's tracepoint `kvm_cr`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   rw: 0 read, 1 write
--   cr: number of the register
--   val: value read or written
CREATE OR REPLACE VIEW kvm_cr AS
SELECT seq, icount, vcpu, (reason_code // 16)::INTEGER AS rw, (reason_code % 16)::INTEGER AS cr,
  CASE WHEN reason_code >= 16 THEN arg0 ELSE result END AS val
FROM exits WHERE reason_code < 32;
