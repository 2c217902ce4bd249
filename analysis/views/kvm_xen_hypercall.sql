-- kvm_xen_hypercall: hypercalls in the shape of KVM's tracepoint `kvm_xen_hypercall`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   cpl: privilege level of the caller
--   nr: hypercall number
--   a0: argument
--   a1: argument
--   a2: argument
--   a3: argument
--   a4: argument
--   a5: argument
CREATE OR REPLACE VIEW kvm_xen_hypercall AS
SELECT h.seq, h.icount, h.vcpu, e.cpl, h.nr, h.arg0 AS a0, h.arg1 AS a1, h.arg2 AS a2, h.arg3 AS a3, h.arg4 AS a4,
  h.arg5 AS a5
FROM hypercalls h LEFT JOIN exits e ON e.seq = h.seq;
