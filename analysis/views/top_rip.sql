-- top_rip: addresses that cause exits, most frequent first
--   rip: address of the instruction
--   function: function it lies in; null when unknown
--   function_offset: bytes from the function's start
--   reason: why it exits
--   exits: how often
--   exits_pct: share of all exits, percent
CREATE OR REPLACE VIEW top_rip AS
WITH counted AS (SELECT rip, reason, count(*) AS exits FROM exits GROUP BY rip, reason)
SELECT c.rip, p.function, p.function_offset, c.reason, c.exits,
  round(100.0 * c.exits / sum(c.exits) OVER (), 2) AS exits_pct
FROM counted c LEFT JOIN exit_places p ON p.rip = c.rip ORDER BY c.exits DESC, c.rip, c.reason;
