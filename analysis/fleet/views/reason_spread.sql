-- reason_spread: how much the exits of a reason differ between runs that have any
--   reason: exit reason
--   runs: runs with such exits
--   min_count: fewest in a run
--   max_count: most in a run
--   avg_count: mean
--   total: in all runs
SELECT reason, count(*) AS runs, min(n) AS min_count, max(n) AS max_count, round(avg(n), 1) AS avg_count, sum(n) AS total
FROM (SELECT run, reason, count(*) AS n FROM exits GROUP BY run, reason) AS by_run
GROUP BY reason ORDER BY total DESC, reason
