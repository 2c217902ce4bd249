-- function_time: where instructions are spent, by function: alone and with everything it called (needs sampling)
--   function: name of the function; [user] for unnamed code at CPL 3, [unknown] for other unnamed code
--   self: regular PC samples in it
--   self_pct: share of all regular samples, percent
--   total: samples in it or in what it called, as far as stacks could be read
--   total_pct: share of all regular samples, percent
CREATE OR REPLACE VIEW function_time AS
WITH seen AS (
  -- The same stack is sampled many times: frames are looked up once a stack.
  SELECT hash(rip, cpl, stack) AS id, any_value(rip) AS rip, any_value(cpl) AS cpl, any_value(stack) AS stack,
    count(*) AS n
  FROM pc_samples GROUP BY 1
), frames AS (
  SELECT id, cpl, n, unnest(list_concat([rip], stack)) AS address,
    (generate_subscripts(list_concat([rip], stack), 1) - 1)::INTEGER AS depth
  FROM seen
), looked_up AS (
  -- A call that never returns may be a function's last instruction: its return address is the next function's.
  SELECT id, cpl, n, depth, CASE WHEN depth = 0 THEN address ELSE greatest(address, 1) - 1 END AS inside FROM frames
), named AS (
  SELECT a.inside, CASE WHEN f.size = 0 OR a.inside - f.start < f.size THEN f.name END AS name
  FROM (SELECT DISTINCT inside FROM looked_up) a ASOF LEFT JOIN functions f ON a.inside >= f.start
), once AS (
  -- A function that called itself counts once a sample.
  SELECT l.id, l.n, coalesce(f.name, CASE WHEN l.cpl = 3 THEN '[user]' ELSE '[unknown]' END) AS function,
    min(l.depth) AS depth
  FROM looked_up l LEFT JOIN named f ON f.inside = l.inside GROUP BY ALL
), samples_taken AS (SELECT sum(n)::BIGINT AS n FROM seen)
SELECT function, coalesce(sum(o.n) FILTER (depth = 0), 0)::BIGINT AS self,
  round(100.0 * coalesce(sum(o.n) FILTER (depth = 0), 0) / any_value(s.n), 2) AS self_pct,
  sum(o.n)::BIGINT AS total,
  round(100.0 * sum(o.n) / any_value(s.n), 2) AS total_pct
FROM once o, samples_taken s GROUP BY function ORDER BY self DESC, total DESC, function;
