-- interrupt_mix: delivered interrupts by vector, source and event-channel port
--   vector: interrupt vector
--   source: what raised it
--   port: event channel; null for other sources
--   count: how often
--   runs: in how many runs
SELECT vector, source, port, count(*) AS count, uniqExact(run) AS runs
FROM interrupts GROUP BY vector, source, port ORDER BY count DESC, vector, source, port
