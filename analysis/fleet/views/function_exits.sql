-- function_exits: exits by the function that caused them and by reason
--   function: name of the symbol; null: no symbol covers the address
--   reason: why it exits
--   exits: how often
SELECT function, reason, count(*) AS exits FROM exits
GROUP BY function, reason ORDER BY exits DESC, function, reason
