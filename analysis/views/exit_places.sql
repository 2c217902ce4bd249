-- exit_places: every address that exits come from, with the function it lies in; nulls where no symbol covers it
--   rip: where exits come from
--   function: name of the symbol; [hypercall page] for the page a guest that runs identity-mapped gave to Xen
--   module: where the symbol is from
--   function_offset: bytes from its start
CREATE OR REPLACE VIEW exit_places AS
WITH places AS (
  SELECT start, max(size) AS size, max(name) AS name, max(module) AS module FROM (
    SELECT start, size, name, module FROM functions
    UNION ALL
    SELECT arg1 // 4096 * 4096, 4096, '[hypercall page]', 'xen' FROM exits
    WHERE reason_code = 124 AND info1 = 1 AND arg0 IN (1073741824, 1073742336)
  ) GROUP BY start
), addresses AS (
  -- Looked up once an address, not once an exit: a boot leaves from a few hundred places.
  SELECT DISTINCT rip FROM exits WHERE rip IS NOT NULL
)
SELECT a.rip,
  CASE WHEN s.size = 0 OR a.rip - s.start < s.size THEN s.name END AS function,
  CASE WHEN s.size = 0 OR a.rip - s.start < s.size THEN s.module END AS module,
  CASE WHEN s.size = 0 OR a.rip - s.start < s.size THEN a.rip - s.start END AS function_offset
FROM addresses a ASOF LEFT JOIN places s ON a.rip >= s.start;
