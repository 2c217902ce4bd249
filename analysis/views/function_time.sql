-- function_time: where instructions are spent, by function: alone and with everything it called (needs sampling)
--   function: name of the function; [user] for unnamed code at CPL 3, [unknown] for other unnamed code
--   self: regular PC samples in it
--   self_pct: share of all regular samples, percent
--   total: samples in it or in what it called, as far as stacks could be read
--   total_pct: share of all regular samples, percent
CREATE OR REPLACE VIEW function_time AS
WITH once AS (
  -- A function that called itself counts once a sample.
  SELECT icount, vcpu, function, min(depth) AS depth FROM sample_frames GROUP BY icount, vcpu, function
), samples_taken AS (SELECT count(*) AS n FROM once WHERE depth = 0)
SELECT function, count(*) FILTER (depth = 0) AS self,
  round(100.0 * count(*) FILTER (depth = 0) / any_value(s.n), 2) AS self_pct,
  count(*) AS total,
  round(100.0 * count(*) / any_value(s.n), 2) AS total_pct
FROM once, samples_taken s GROUP BY function ORDER BY self DESC, total DESC, function;
