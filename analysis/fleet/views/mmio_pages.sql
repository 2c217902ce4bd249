-- mmio_pages: unbacked guest-physical pages that were touched
--   page: address of the page
--   reads: read accesses
--   writes: write accesses
--   exits: both
SELECT intDiv(coalesce(gpa, info2), 4096) * 4096 AS page,
  sum(CASE WHEN intDiv(info1, 2) % 2 = 0 THEN 1 ELSE 0 END) AS reads,
  sum(CASE WHEN intDiv(info1, 2) % 2 = 1 THEN 1 ELSE 0 END) AS writes, count(*) AS exits
FROM exits WHERE reason_code = 1024 GROUP BY page ORDER BY exits DESC, page
