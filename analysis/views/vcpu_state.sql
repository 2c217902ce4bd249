-- vcpu_state: what each vCPU did, as seen at its exits
--   vcpu: name as Xen prints it, d1v0
--   exits: exits
--   hypercalls: hypercall exits
--   interrupts: interrupts delivered to it
--   halts: HLT exits
--   halted_ns: virtual time between a HLT exit and the vCPU's next exit
--   first_icount: first exit
--   last_icount: last exit
--   last_mode: processor mode at the last exit
--   user_exits_pct: share of exits from CPL 3, percent
CREATE OR REPLACE VIEW vcpu_state AS
WITH halts AS (
  SELECT vcpu, sum(ns)::UBIGINT AS ns FROM exit_gaps WHERE reason = 'VMEXIT_HLT' GROUP BY vcpu
), irqs AS (SELECT vcpu, count(*) AS n FROM interrupts GROUP BY vcpu)
SELECT format('d{}v{}', any_value(e.domid), e.vcpu) AS vcpu, count(*) AS exits,
  count(*) FILTER (e.reason = 'VMEXIT_VMMCALL') AS hypercalls,
  coalesce(any_value(i.n), 0) AS interrupts,
  count(*) FILTER (e.reason = 'VMEXIT_HLT') AS halts,
  coalesce(any_value(h.ns), 0)::UBIGINT AS halted_ns,
  min(e.icount) AS first_icount, max(e.icount) AS last_icount,
  arg_max(e.mode::VARCHAR, e.seq) AS last_mode,
  round(100.0 * count(*) FILTER (e.cpl = 3) / count(*), 2) AS user_exits_pct
FROM exits e LEFT JOIN halts h ON h.vcpu = e.vcpu LEFT JOIN irqs i ON i.vcpu = e.vcpu
GROUP BY e.vcpu ORDER BY e.vcpu;
