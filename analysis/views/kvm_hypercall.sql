-- kvm_hypercall: hypercalls in the shape of KVM's tracepoint `kvm_hypercall`
--   seq: the exit
--   icount: instructions retired before it
--   nr: hypercall number
--   a0: argument
--   a1: argument
--   a2: argument
--   a3: argument
CREATE OR REPLACE VIEW kvm_hypercall AS
SELECT seq, icount, nr, arg0 AS a0, arg1 AS a1, arg2 AS a2, arg3 AS a3 FROM hypercalls WHERE parent_seq IS NULL;
