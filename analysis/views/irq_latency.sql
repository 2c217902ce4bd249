-- irq_latency: instructions from raising an interrupt to its delivery, by vector and source
--   vector: interrupt vector
--   source: what raised it
--   count: how often
--   min_instructions: shortest
--   avg_instructions: mean
--   p50_instructions: median
--   p95_instructions: 95th percentile
--   max_instructions: longest
CREATE OR REPLACE VIEW irq_latency AS
SELECT vector, source, count(*) AS count,
  min(icount - raised_icount) AS min_instructions,
  round(avg(icount - raised_icount), 1) AS avg_instructions,
  quantile_disc(icount - raised_icount, 0.5) AS p50_instructions,
  quantile_disc(icount - raised_icount, 0.95) AS p95_instructions,
  max(icount - raised_icount) AS max_instructions
FROM interrupts WHERE raised_icount <= icount GROUP BY vector, source ORDER BY count DESC, vector, source;
