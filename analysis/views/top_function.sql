-- top_function: functions by regular PC samples and by exits; needs symbols (and sampling, for the samples)
--   function: name of the symbol; null: no symbol covers the address
--   module: where the symbol is from
--   samples: regular PC samples in it
--   samples_pct: share of all regular samples, percent; null without sampling
--   exits: exits from it
--   exits_pct: share of all exits, percent
CREATE OR REPLACE VIEW top_function AS
WITH addresses AS (SELECT rip, count(*) AS n FROM pc_samples GROUP BY rip),
counted AS (
  SELECT CASE WHEN f.size = 0 OR a.rip - f.start < f.size THEN f.name END AS function,
    CASE WHEN f.size = 0 OR a.rip - f.start < f.size THEN f.module END AS module, a.n AS samples, 0 AS exits
  FROM addresses a ASOF LEFT JOIN functions f ON a.rip >= f.start
  UNION ALL
  SELECT p.function, p.module, 0, e.n
  FROM (SELECT rip, count(*) AS n FROM exits GROUP BY rip) e LEFT JOIN exit_places p ON p.rip = e.rip
)
SELECT function, module,
  sum(samples)::BIGINT AS samples,
  round(100.0 * sum(samples) / nullif(sum(sum(samples)) OVER (), 0), 2) AS samples_pct,
  sum(exits)::BIGINT AS exits,
  round(100.0 * sum(exits) / nullif(sum(sum(exits)) OVER (), 0), 2) AS exits_pct
FROM counted GROUP BY function, module ORDER BY samples DESC, exits DESC, function;
