-- caller_exits: exits by reason, by the function they are in, and by the function that called that one
--   function: function of the exit's address; null: no symbol covers it
--   caller: function that called it; null: not known, as ports and MMIO are never sampled and others only with `sample=N`
--   reason: why it exits
--   exits: how often
--   exits_pct: share of all exits, percent
CREATE OR REPLACE VIEW caller_exits AS
SELECT function, caller, reason, count(*) AS exits,
  round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS exits_pct
FROM exit_callers GROUP BY function, caller, reason ORDER BY exits DESC, function, caller, reason;
