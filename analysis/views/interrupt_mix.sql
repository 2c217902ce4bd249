-- interrupt_mix: delivered interrupts by vector, source and event-channel port
--   vector: interrupt vector
--   source: what raised it
--   port: event channel; null for other sources
--   count: how often
--   first_icount: when first
CREATE OR REPLACE VIEW interrupt_mix AS
SELECT vector, source, port, count(*) AS count, min(icount) AS first_icount
FROM interrupts GROUP BY vector, source, port ORDER BY count DESC, vector, source, port;
