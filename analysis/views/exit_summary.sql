-- exit_summary: exits by reason with the columns of `perf kvm stat report`; time is virtual, up to the vCPU's next exit
--   vm_exit: exit reason
--   samples: number of exits
--   samples_pct: share of all exits, percent
--   time_pct: share of virtual time that followed such exits, percent; null when no time passed
--   min_ns: shortest time to the next exit
--   max_ns: longest time to the next exit
--   avg_ns: mean time to the next exit
CREATE OR REPLACE VIEW exit_summary AS
SELECT reason AS vm_exit,
  count(*) AS samples,
  round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS samples_pct,
  round(100.0 * coalesce(sum(ns), 0) / nullif(sum(sum(ns)) OVER (), 0), 2) AS time_pct,
  min(ns) AS min_ns,
  max(ns) AS max_ns,
  round(avg(ns), 1) AS avg_ns
FROM (SELECT reason, lead(time_ns) OVER (PARTITION BY vcpu ORDER BY seq) - time_ns AS ns FROM exits)
GROUP BY reason
ORDER BY samples DESC, vm_exit;
