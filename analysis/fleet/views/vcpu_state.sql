-- vcpu_state: what each vCPU of each run did, as seen at its exits
--   run: name of the run
--   vcpu: virtual processor
--   exits: exits
--   hypercalls: hypercall exits
--   halts: HLT exits
--   halted_ns: virtual time between a HLT exit and the vCPU's next exit
--   first_icount: first exit
--   last_icount: last exit
SELECT run, vcpu, count(*) AS exits, sum(CASE WHEN reason_code = 129 THEN 1 ELSE 0 END) AS hypercalls,
  sum(CASE WHEN reason_code = 120 THEN 1 ELSE 0 END) AS halts,
  sum(CASE WHEN reason_code = 120 THEN coalesce(gap_ns, 0) ELSE 0 END) AS halted_ns,
  min(icount) AS first_icount, max(icount) AS last_icount
FROM exits GROUP BY run, vcpu ORDER BY run, vcpu
