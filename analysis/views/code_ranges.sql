-- code_ranges: what addresses are called, one row a start address: symbols, and the guest's hypercall page
--   start: first address
--   size: bytes; 0: unknown, up to whatever follows
--   name: name of the symbol; [hypercall page] for the page a guest that runs identity-mapped gave to Xen
CREATE OR REPLACE VIEW code_ranges AS
SELECT start, max(size) AS size, max(name) AS name FROM (
  SELECT start, coalesce(size, 0) AS size, name FROM symbols
  UNION ALL
  SELECT arg1 // 4096 * 4096, 4096, '[hypercall page]' FROM exits
  WHERE reason_code = 124 AND info1 = 1 AND arg0 IN (1073741824, 1073742336)
) GROUP BY start;
