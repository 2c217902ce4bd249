-- kvm_dr: debug-register accesses, in the shape of `kvm_cr`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   rw: 0 read, 1 write
--   dr: number of the register
--   val: value read or written
CREATE OR REPLACE VIEW kvm_dr AS
SELECT seq, icount, vcpu, (reason_code // 16 - 2)::INTEGER AS rw, (reason_code % 16)::INTEGER AS dr,
  CASE WHEN reason_code >= 48 THEN arg0 ELSE result END AS val
FROM exits WHERE reason_code BETWEEN 32 AND 63;
