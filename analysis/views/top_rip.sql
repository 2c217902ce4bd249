-- top_rip: addresses that cause exits, most frequent first
--   rip: address of the instruction
--   function: function it lies in; null when unknown
--   function_offset: bytes from the function's start
--   reason: why it exits
--   exits: how often
--   exits_pct: share of all exits, percent
CREATE OR REPLACE VIEW top_rip AS
SELECT rip, any_value(function) AS function, any_value(function_offset) AS function_offset, reason,
  count(*) AS exits,
  round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS exits_pct
FROM exit_functions GROUP BY rip, reason ORDER BY exits DESC, rip, reason;
