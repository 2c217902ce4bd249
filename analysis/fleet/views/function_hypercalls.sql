-- function_hypercalls: hypercalls by the function that made them
--   function: name of the symbol; null: no symbol covers the address
--   name: hypercall
--   subop_name: sub-operation; null when it has none
--   calls: how often
SELECT function, name, subop_name, count(*) AS calls FROM hypercalls
GROUP BY function, name, subop_name ORDER BY calls DESC, function, name, subop_name
