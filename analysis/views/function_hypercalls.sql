-- function_hypercalls: hypercalls by the function that made them
--   function: name of the symbol; null: no symbol covers the address
--   name: hypercall
--   subop_name: sub-operation; null when it has none
--   calls: how often
CREATE OR REPLACE VIEW function_hypercalls AS
WITH counted AS (
  SELECT e.rip, h.name, h.subop_name, count(*) AS n
  FROM hypercalls h LEFT JOIN (SELECT seq, rip FROM exits WHERE reason_code = 129) e ON e.seq = h.seq
  GROUP BY e.rip, h.name, h.subop_name
)
SELECT p.function, c.name, c.subop_name, sum(c.n)::BIGINT AS calls
FROM counted c LEFT JOIN exit_places p ON p.rip = c.rip
GROUP BY p.function, c.name, c.subop_name ORDER BY calls DESC, p.function, c.name, c.subop_name;
