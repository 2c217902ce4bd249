-- exit_callers: each exit with the function it is in and, where its stack was sampled, the function that called that one
--   seq: the exit
--   vcpu: virtual processor
--   reason: why it left the guest
--   rip: where
--   function: function of the address; null: no symbol covers it
--   caller: function that called it; null: its stack was not sampled (see `sample=N`), or not readable
--   caller_address: return address in the caller
CREATE OR REPLACE VIEW exit_callers AS
WITH stacks AS (
  SELECT icount, vcpu, rip, any_value(stack[1]) AS caller_address FROM samples WHERE len(stack) > 0 GROUP BY ALL
), called AS (
  SELECT e.seq, s.caller_address, greatest(s.caller_address, 1) - 1 AS inside
  FROM exits e JOIN stacks s ON s.icount = e.icount AND s.vcpu = e.vcpu AND s.rip = e.rip
), named AS (
  SELECT c.seq, c.caller_address, CASE WHEN f.size = 0 OR c.inside - f.start < f.size THEN f.name END AS caller
  FROM called c ASOF LEFT JOIN functions f ON c.inside >= f.start
)
SELECT e.seq, e.vcpu, e.reason, e.rip, e.function, n.caller, n.caller_address
FROM exit_functions e LEFT JOIN named n ON n.seq = e.seq;
