-- caller_exits: exits by reason, by the function they are in, and by the function that called that one
--   function: function of the exit's address; null: no symbol covers it
--   caller: function that called it; null: not known, as ports and MMIO are never sampled and others only with `sample=N`
--   reason: why it exits
--   exits: how often
--   exits_pct: share of all exits, percent
CREATE OR REPLACE VIEW caller_exits AS
WITH counted AS (
  SELECT e.rip, s.caller_address, e.reason_code, count(*) AS n
  FROM exits e LEFT JOIN sampled_callers s ON s.icount = e.icount AND s.vcpu = e.vcpu AND s.rip = e.rip
  GROUP BY e.rip, s.caller_address, e.reason_code
), reasons AS (SELECT reason_code, any_value(reason) AS reason FROM exits GROUP BY reason_code)
SELECT p.function, n.caller, r.reason, sum(c.n)::BIGINT AS exits,
  round(100.0 * sum(c.n) / sum(sum(c.n)) OVER (), 2) AS exits_pct
FROM counted c JOIN reasons r ON r.reason_code = c.reason_code LEFT JOIN exit_places p ON p.rip = c.rip
  LEFT JOIN caller_names n ON n.caller_address = c.caller_address
GROUP BY p.function, n.caller, r.reason ORDER BY exits DESC, p.function, n.caller, r.reason;
