-- cpuid_leaves: CPUID executions by leaf
--   leaf: EAX
--   exits: how often
--   runs: in how many runs
SELECT arg0 % 4294967296 AS leaf, count(*) AS exits, uniqExact(run) AS runs
FROM exits WHERE reason_code = 114 GROUP BY leaf ORDER BY exits DESC, leaf
