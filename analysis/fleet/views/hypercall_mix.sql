-- hypercall_mix: hypercalls of all runs by name and sub-operation
--   nr: hypercall number
--   name: its name
--   subop_name: name of the sub-operation; null when it has none
--   calls: how often, entries of multicalls included
--   calls_pct: share of all hypercalls, percent
--   errors: how many ended in an error number
--   runs: in how many runs
SELECT nr, name, subop_name, count(*) AS calls,
  round(1e2 * count(*) / (SELECT count(*) FROM hypercalls), 2) AS calls_pct,
  count(errno_name) AS errors, uniqExact(run) AS runs
FROM hypercalls GROUP BY nr, name, subop_name ORDER BY calls DESC, nr, subop_name
