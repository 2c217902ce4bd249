-- inter_exit_hist: how many instructions run between one exit and the vCPU's next, in powers of two
--   from_instructions: lower bound, inclusive
--   to_instructions: upper bound, exclusive
--   exits: exits with such a distance to the next
--   exits_pct: share, percent
CREATE OR REPLACE VIEW inter_exit_hist AS
WITH counted AS (
  SELECT CASE WHEN instructions = 0 THEN 0 ELSE length(ltrim(bin(instructions), '0')) END AS k, sum(n)::BIGINT AS n
  FROM (SELECT instructions, count(*) AS n FROM exit_gaps GROUP BY instructions) GROUP BY k
)
SELECT CASE WHEN k = 0 THEN 0 ELSE (2 ** (k - 1))::UBIGINT END AS from_instructions,
  CASE WHEN k = 0 THEN 1 ELSE (2 ** k)::HUGEINT END AS to_instructions,
  n AS exits,
  round(100.0 * n / sum(n) OVER (), 2) AS exits_pct
FROM counted ORDER BY k;
