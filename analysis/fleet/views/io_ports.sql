-- io_ports: port accesses of all runs by port and direction
--   port: port number
--   direction: r (in) or w (out)
--   exits: how often
--   runs: in how many runs
SELECT intDiv(info1, 65536) % 65536 AS port, CASE WHEN info1 % 2 = 1 THEN 'r' ELSE 'w' END AS direction,
  count(*) AS exits, uniqExact(run) AS runs
FROM exits WHERE reason_code = 123 GROUP BY port, direction ORDER BY exits DESC, port, direction
