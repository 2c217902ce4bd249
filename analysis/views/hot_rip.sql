-- hot_rip: where the guest spends its instructions: regular PC samples by address (needs sampling, `sample=N`)
--   rip: sampled address
--   function: function it lies in; null when unknown
--   function_offset: bytes from the function's start
--   cpl: privilege level
--   samples: how often
--   samples_pct: share of all regular samples, percent
CREATE OR REPLACE VIEW hot_rip AS
WITH counted AS (SELECT rip, cpl, count(*) AS samples FROM pc_samples GROUP BY rip, cpl)
SELECT c.rip, CASE WHEN f.size = 0 OR c.rip - f.start < f.size THEN f.name END AS function,
  CASE WHEN f.size = 0 OR c.rip - f.start < f.size THEN c.rip - f.start END AS function_offset, c.cpl, c.samples,
  round(100.0 * c.samples / sum(c.samples) OVER (), 2) AS samples_pct
FROM counted c ASOF LEFT JOIN functions f ON c.rip >= f.start
ORDER BY c.samples DESC, c.rip, c.cpl;
