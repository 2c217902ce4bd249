-- caller_names: the function of every return address that a sampled stack begins with
--   caller_address: return address
--   caller: function that the call is in; null: no symbol covers it
CREATE OR REPLACE VIEW caller_names AS
WITH called AS (
  SELECT caller_address, greatest(caller_address, 1) - 1 AS inside
  FROM (SELECT DISTINCT stack[1] AS caller_address FROM samples WHERE len(stack) > 0)
)
SELECT c.caller_address, CASE WHEN f.size = 0 OR c.inside - f.start < f.size THEN f.name END AS caller
FROM called c ASOF LEFT JOIN functions f ON c.inside >= f.start;
