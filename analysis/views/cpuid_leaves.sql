-- cpuid_leaves: CPUID executions by leaf and subleaf
--   leaf: EAX
--   subleaf: ECX; null for leaves that have none and were asked with varying ECX
--   space: basic, hypervisor or extended
--   exits: how often
--   first_icount: when first
CREATE OR REPLACE VIEW cpuid_leaves AS
SELECT function AS leaf,
  CASE WHEN function IN (4, 7, 11, 13, 15, 16, 18, 20, 23, 24, 29, 30, 31, 2147483677, 1073741827, 1073742083)
       THEN index END AS subleaf,
  CASE WHEN function >= 2147483648 THEN 'extended' WHEN function >= 1073741824 THEN 'hypervisor' ELSE 'basic' END AS space,
  count(*) AS exits, min(icount) AS first_icount
FROM kvm_cpuid GROUP BY 1, 2, 3 ORDER BY exits DESC, leaf, subleaf;
