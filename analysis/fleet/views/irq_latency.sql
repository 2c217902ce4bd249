-- irq_latency: instructions from raising an interrupt to its delivery, by vector and source
--   vector: interrupt vector
--   source: what raised it
--   count: how often
--   min_instructions: shortest
--   avg_instructions: mean
--   p50_instructions: median
--   p95_instructions: 95th percentile
--   max_instructions: longest
SELECT vector, source, count(*) AS count, min(icount - raised_icount) AS min_instructions,
  round(avg(icount - raised_icount), 1) AS avg_instructions,
  arrayElement(arraySort(groupArray(icount - raised_icount)), intDiv(count(*) * 50 + 99, 100)) AS p50_instructions,
  arrayElement(arraySort(groupArray(icount - raised_icount)), intDiv(count(*) * 95 + 99, 100)) AS p95_instructions,
  max(icount - raised_icount) AS max_instructions
FROM interrupts WHERE raised_icount <= icount GROUP BY vector, source ORDER BY count DESC, vector, source
