-- function_hypercalls: hypercalls by the function that made them
--   function: name of the symbol; null: no symbol covers the address
--   name: hypercall
--   subop_name: sub-operation; null when it has none
--   calls: how often
CREATE OR REPLACE VIEW function_hypercalls AS
SELECT f.function, h.name, h.subop_name, count(*) AS calls
FROM hypercalls h LEFT JOIN exit_functions f ON f.seq = h.seq
GROUP BY ALL ORDER BY calls DESC, f.function, h.name, h.subop_name;
