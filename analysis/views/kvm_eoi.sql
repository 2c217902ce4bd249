-- kvm_eoi: ends of interrupts as the guest signals them to its local APIC
--   seq: the exit
--   icount: instructions retired before it
--   apicid: virtual processor
CREATE OR REPLACE VIEW kvm_eoi AS
SELECT seq, icount, vcpu AS apicid FROM kvm_apic WHERE reg = 176 AND rw = 1;
