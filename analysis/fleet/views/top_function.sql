-- top_function: functions by exits
--   function: name of the symbol; null: no symbol covers the address
--   exits: exits from it
--   exits_pct: share of all exits, percent
--   runs: in how many runs
SELECT function, count(*) AS exits, round(1e2 * count(*) / (SELECT count(*) FROM exits), 2) AS exits_pct,
  uniqExact(run) AS runs
FROM exits GROUP BY function ORDER BY exits DESC, function
