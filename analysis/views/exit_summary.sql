-- exit_summary: exits by reason with the columns of `perf kvm stat report`; time is virtual, up to the vCPU's next exit
--   vm_exit: exit reason
--   samples: number of exits
--   samples_pct: share of all exits, percent
--   time_pct: share of virtual time that followed such exits, percent; null when no time passed
--   min_ns: shortest time to the next exit
--   max_ns: longest time to the next exit
--   avg_ns: mean time to the next exit
CREATE OR REPLACE VIEW exit_summary AS
SELECT e.reason::VARCHAR AS vm_exit,
  count(*) AS samples,
  round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS samples_pct,
  round(100.0 * coalesce(sum(g.ns), 0) / nullif(sum(sum(g.ns)) OVER (), 0), 2) AS time_pct,
  min(g.ns) AS min_ns,
  max(g.ns) AS max_ns,
  round(avg(g.ns), 1) AS avg_ns
FROM exits e LEFT JOIN exit_gaps g ON g.seq = e.seq
GROUP BY 1
ORDER BY samples DESC, vm_exit;
