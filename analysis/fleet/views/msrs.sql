-- msrs: accesses to model-specific registers by register
--   ecx: number of the register
--   reads: RDMSR
--   writes: WRMSR
--   exceptions: accesses that ended in an exception
--   exits: all accesses
--   runs: in how many runs
SELECT arg0 % 4294967296 AS ecx, sum(CASE WHEN info1 % 2 = 0 THEN 1 ELSE 0 END) AS reads,
  sum(CASE WHEN info1 % 2 = 1 THEN 1 ELSE 0 END) AS writes,
  sum(CASE WHEN injected_vector IS NULL THEN 0 ELSE 1 END) AS exceptions, count(*) AS exits, uniqExact(run) AS runs
FROM exits WHERE reason_code = 124 GROUP BY ecx ORDER BY exits DESC, ecx
