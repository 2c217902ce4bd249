-- io_ports: port accesses by port and direction
--   port: port number
--   direction: r (in) or w (out)
--   xenalyze: the line xenalyze prints, `42:[r] 100004` (port in hexadecimal)
--   exits: how often
--   bytes: bytes moved
--   distinct_values: different values read or written
CREATE OR REPLACE VIEW io_ports AS
SELECT port, CASE WHEN rw = 0 THEN 'r' ELSE 'w' END AS direction,
  format('{:x}:[{}] {}', port, CASE WHEN rw = 0 THEN 'r' ELSE 'w' END, count(*)) AS xenalyze,
  count(*) AS exits, sum(size * count)::UBIGINT AS bytes, count(DISTINCT val) AS distinct_values
FROM kvm_pio GROUP BY port, rw ORDER BY exits DESC, port, direction;
