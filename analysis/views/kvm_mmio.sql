-- kvm_mmio: accesses to unbacked guest-physical memory in the shape of KVM's tracepoint `kvm_mmio`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   type: 1 read, 2 write
--   len: bytes
--   gpa: guest-physical address
--   val: value read or written
CREATE OR REPLACE VIEW kvm_mmio AS
SELECT seq, icount, vcpu, CASE WHEN info1 // 2 % 2 = 1 THEN 2 ELSE 1 END AS type, arg1 AS len,
  coalesce(gpa, info2) AS gpa, CASE WHEN info1 // 2 % 2 = 1 THEN arg0 ELSE result END AS val
FROM exits WHERE reason_code = 1024;
