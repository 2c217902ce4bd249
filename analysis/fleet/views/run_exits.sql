-- run_exits: exits by run and reason
--   run: name of the run
--   reason: exit reason
--   count: how often
SELECT run, reason, count(*) AS count FROM exits GROUP BY run, reason ORDER BY run, reason
