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
WITH counted AS (
  SELECT vcpu, any_value(domid) AS domid, count(*) AS exits,
    count(*) FILTER (reason_code = 129) AS hypercalls,
    count(*) FILTER (reason_code = 120) AS halts,
    coalesce(sum(ns) FILTER (reason_code = 120), 0)::UBIGINT AS halted_ns,
    min(icount) AS first_icount, max(icount) AS last_icount, max(seq) AS last_seq,
    count(*) FILTER (cpl = 3) AS user_exits
  FROM (
    SELECT vcpu, domid, reason_code, icount, seq, cpl,
      lead(time_ns) OVER (PARTITION BY vcpu ORDER BY seq) - time_ns AS ns
    FROM exits
  ) GROUP BY vcpu
), irqs AS (SELECT vcpu, count(*) AS n FROM interrupts GROUP BY vcpu)
SELECT format('d{}v{}', c.domid, c.vcpu) AS vcpu, c.exits, c.hypercalls,
  coalesce(i.n, 0) AS interrupts,
  c.halts, c.halted_ns, c.first_icount, c.last_icount,
  l.mode AS last_mode,
  round(100.0 * c.user_exits / c.exits, 2) AS user_exits_pct
FROM counted c JOIN exits l ON l.seq = c.last_seq LEFT JOIN irqs i ON i.vcpu = c.vcpu
ORDER BY c.vcpu;
