-- mmio_pages: unbacked guest-physical pages that were touched
--   gpa: address of the page
--   reads: read accesses
--   writes: write accesses
--   exits: both
CREATE OR REPLACE VIEW mmio_pages AS
SELECT gpa // 4096 * 4096 AS gpa, count(*) FILTER (type = 1) AS reads, count(*) FILTER (type = 2) AS writes,
  count(*) AS exits
FROM kvm_mmio GROUP BY 1 ORDER BY exits DESC, gpa;
