-- kvm_cpuid: CPUID executions in the shape of KVM's tracepoint `kvm_cpuid`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   function: leaf (EAX)
--   index: subleaf (ECX)
--   rax: answer
--   rbx: answer
--   rcx: answer
--   rdx: answer
CREATE OR REPLACE VIEW kvm_cpuid AS
SELECT seq, icount, vcpu, (arg0 % 4294967296)::UINTEGER AS function, (coalesce(arg1, 0) % 4294967296)::UINTEGER AS index,
  result % 4294967296 AS rax, result // 4294967296 AS rbx, arg2 % 4294967296 AS rcx, arg2 // 4294967296 AS rdx
FROM exits WHERE reason_code = 114;
