-- exit_functions: each exit with the function its RIP lies in; null where no symbol covers it
--   seq: the exit
--   vcpu: virtual processor
--   reason: why it left the guest
--   rip: where
--   function: name of the symbol
--   module: where the symbol is from
--   function_offset: bytes from its start
CREATE OR REPLACE VIEW exit_functions AS
SELECT e.seq, e.vcpu, e.reason::VARCHAR AS reason, e.rip,
  CASE WHEN s.size = 0 OR e.rip - s.start < s.size THEN s.name END AS function,
  CASE WHEN s.size = 0 OR e.rip - s.start < s.size THEN s.module END AS module,
  CASE WHEN s.size = 0 OR e.rip - s.start < s.size THEN e.rip - s.start END AS function_offset
FROM exits e ASOF LEFT JOIN (
  SELECT start, max(coalesce(size, 0)) AS size, min(name) AS name, min(module) AS module FROM symbols GROUP BY start
) s ON e.rip >= s.start;
