-- exit_functions: each exit with the function its RIP lies in; null where no symbol covers it
--   seq: the exit
--   vcpu: virtual processor
--   reason: why it left the guest
--   rip: where
--   function: name of the symbol; [hypercall page] for the page a guest that runs identity-mapped gave to Xen
--   module: where the symbol is from
--   function_offset: bytes from its start
CREATE OR REPLACE VIEW exit_functions AS
WITH places AS (
  SELECT start, max(size) AS size, max(name) AS name, max(module) AS module FROM (
    SELECT start, size, name, module FROM functions
    UNION ALL
    SELECT arg1 // 4096 * 4096, 4096, '[hypercall page]', 'xen' FROM exits
    WHERE reason_code = 124 AND info1 = 1 AND arg0 IN (1073741824, 1073742336)
  ) GROUP BY start
)
SELECT e.seq, e.vcpu, e.reason, e.rip,
  CASE WHEN s.size = 0 OR e.rip - s.start < s.size THEN s.name END AS function,
  CASE WHEN s.size = 0 OR e.rip - s.start < s.size THEN s.module END AS module,
  CASE WHEN s.size = 0 OR e.rip - s.start < s.size THEN e.rip - s.start END AS function_offset
FROM exits e ASOF LEFT JOIN places s ON e.rip >= s.start;
