-- top_rip: addresses that cause exits, most frequent first
--   rip: address of the instruction
--   function: function it lies in; null when unknown
--   reason: why it exits
--   exits: how often
--   runs: in how many runs
SELECT rip, function, reason, count(*) AS exits, uniqExact(run) AS runs
FROM exits GROUP BY rip, function, reason ORDER BY exits DESC, rip, function, reason
