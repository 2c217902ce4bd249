-- top_function: functions by regular PC samples and by exits; needs symbols (and sampling, for the samples)
--   function: name of the symbol; null: no symbol covers the address
--   module: where the symbol is from
--   samples: regular PC samples in it
--   samples_pct: share of all regular samples, percent; null without sampling
--   exits: exits from it
--   exits_pct: share of all exits, percent
CREATE OR REPLACE VIEW top_function AS
WITH sampled AS (
  SELECT CASE WHEN f.size = 0 OR s.rip - f.start < f.size THEN f.name END AS function,
    CASE WHEN f.size = 0 OR s.rip - f.start < f.size THEN f.module END AS module, 1 AS sample, 0 AS exit
  FROM pc_samples s ASOF LEFT JOIN functions f ON s.rip >= f.start
)
SELECT function, module,
  count(*) FILTER (sample = 1) AS samples,
  round(100.0 * count(*) FILTER (sample = 1) / nullif(sum(count(*) FILTER (sample = 1)) OVER (), 0), 2) AS samples_pct,
  count(*) FILTER (exit = 1) AS exits,
  round(100.0 * count(*) FILTER (exit = 1) / nullif(sum(count(*) FILTER (exit = 1)) OVER (), 0), 2) AS exits_pct
FROM (SELECT * FROM sampled UNION ALL SELECT function, module, 0, 1 FROM exit_functions)
GROUP BY function, module ORDER BY samples DESC, exits DESC, function;
