-- kvm_pio: port accesses in the shape of KVM's tracepoint `kvm_pio`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   rw: 0 in, 1 out
--   port: port number
--   size: bytes an element
--   count: elements moved by this exit: 1, because each element of a string exits
--   remaining: elements left before this one (REP); null without REP
--   val: value read or written
CREATE OR REPLACE VIEW kvm_pio AS
SELECT seq, icount, vcpu,
  CASE WHEN info1 % 2 = 1 THEN 0 ELSE 1 END AS rw,
  (info1 // 65536 % 65536)::USMALLINT AS port,
  CASE WHEN info1 // 16 % 2 = 1 THEN 1 WHEN info1 // 32 % 2 = 1 THEN 2 WHEN info1 // 64 % 2 = 1 THEN 4 END AS size,
  1 AS count,
  arg1 AS remaining,
  CASE WHEN info1 % 2 = 1 THEN result ELSE arg0 END AS val
FROM exits WHERE reason_code = 123;
