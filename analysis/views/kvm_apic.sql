-- kvm_apic: local APIC accesses (MMIO page 0xfee00000 or x2APIC registers) as KVM's tracepoint `kvm_apic`
--   seq: the exit
--   icount: instructions retired before it
--   vcpu: virtual processor
--   rw: 0 read, 1 write
--   reg: offset of the register in the APIC page
--   val: value read or written
CREATE OR REPLACE VIEW kvm_apic AS
SELECT seq, icount, vcpu, write AS rw, ((ecx - 2048) * 16)::UINTEGER AS reg, data AS val
FROM kvm_msr WHERE ecx BETWEEN 2048 AND 2303
UNION ALL
SELECT seq, icount, vcpu, type - 1, (gpa % 4096)::UINTEGER, val
FROM kvm_mmio WHERE gpa // 4096 = 1043968
ORDER BY seq;
