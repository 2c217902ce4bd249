-- function_exits: exits by the function that caused them and by reason
--   function: name of the symbol; null: no symbol covers the address
--   reason: why it exits
--   exits: how often
CREATE OR REPLACE VIEW function_exits AS
WITH counted AS (SELECT rip, reason, count(*) AS n FROM exits GROUP BY rip, reason)
SELECT p.function, c.reason, sum(c.n)::BIGINT AS exits FROM counted c LEFT JOIN exit_places p ON p.rip = c.rip
GROUP BY p.function, c.reason ORDER BY exits DESC, p.function, c.reason;
