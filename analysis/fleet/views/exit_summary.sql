-- exit_summary: exits of all runs by reason with the columns of `perf kvm stat report`
--   vm_exit: exit reason
--   samples: number of exits
--   samples_pct: share of all exits, percent
--   time_pct: share of virtual time that followed such exits, percent
--   min_ns: shortest time to the vCPU's next exit
--   max_ns: longest time to the next exit
--   avg_ns: mean time to the next exit
SELECT reason AS vm_exit, count(*) AS samples,
  round(1e2 * count(*) / (SELECT count(*) FROM exits), 2) AS samples_pct,
  round(1e2 * coalesce(sum(gap_ns), 0) / (SELECT sum(gap_ns) FROM exits), 2) AS time_pct,
  min(gap_ns) AS min_ns, max(gap_ns) AS max_ns, round(avg(gap_ns), 1) AS avg_ns
FROM exits GROUP BY reason ORDER BY samples DESC, vm_exit
