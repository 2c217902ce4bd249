-- function_time: where instructions are spent, by function: alone and with everything it called (needs sampling)
--   function: name of the function; [user] for unnamed code at CPL 3, [unknown] for other unnamed code
--   self: regular PC samples in it
--   self_pct: share of all regular samples, percent
--   total: samples in it or in what it called, as far as stacks could be read
--   total_pct: share of all regular samples, percent
CREATE OR REPLACE VIEW function_time AS
SELECT function, count(*) FILTER (depth = 0) AS self,
  round(100.0 * count(*) FILTER (depth = 0) / (SELECT count(*) FROM pc_samples), 2) AS self_pct,
  count(DISTINCT (icount, vcpu)) AS total,
  round(100.0 * count(DISTINCT (icount, vcpu)) / (SELECT count(*) FROM pc_samples), 2) AS total_pct
FROM sample_frames GROUP BY function ORDER BY self DESC, total DESC, function;
