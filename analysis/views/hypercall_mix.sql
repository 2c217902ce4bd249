-- hypercall_mix: hypercalls by name and sub-operation
--   nr: hypercall number
--   name: its name
--   subop: number of the sub-operation; null when it has none
--   subop_name: its name
--   calls: how often, entries of multicalls included
--   calls_pct: share of all hypercalls, percent
--   errors: how many ended in an error number
--   in_multicall: how many were entries of a multicall
CREATE OR REPLACE VIEW hypercall_mix AS
SELECT nr, name, subop, subop_name, count(*) AS calls,
  round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS calls_pct,
  count(errno_name) AS errors,
  count(parent_seq) AS in_multicall
FROM hypercalls GROUP BY nr, name, subop, subop_name ORDER BY calls DESC, nr, subop;
