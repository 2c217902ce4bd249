-- kvm_inj_virq: delivered interrupts in the shape of KVM's tracepoint `kvm_inj_virq`
--   icount: instructions retired before delivery
--   vcpu: virtual processor
--   irq: vector
CREATE OR REPLACE VIEW kvm_inj_virq AS
SELECT icount, vcpu, vector AS irq FROM interrupts;
