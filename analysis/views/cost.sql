-- cost: what the exits would cost on real processors, in cycles of theirs: `WHERE preset = 'sandybridge-kvm'`
--   preset: processor of `exit_costs`, or one that `--costs` gave
--   reason: exit reason
--   exits: how often
--   cycles_each: cycles of one such exit
--   cycles: cycles of all of them; never added to virtual time, which is the guest's own
--   cycles_pct: share of the preset's cycles, percent
--   source: where the figure is from
CREATE OR REPLACE VIEW cost AS
WITH counted AS (SELECT reason, count(*) AS exits FROM exits GROUP BY reason),
presets AS (SELECT DISTINCT preset FROM exit_costs),
priced AS (
  SELECT p.preset, c.reason, c.exits, coalesce(own.cycles, rest.cycles) AS cycles_each,
    coalesce(own.source, rest.source) AS source
  FROM counted c CROSS JOIN presets p
    LEFT JOIN exit_costs own ON own.preset = p.preset AND own.reason = c.reason
    LEFT JOIN exit_costs rest ON rest.preset = p.preset AND rest.reason IS NULL
)
SELECT preset, reason, exits, cycles_each, (exits * cycles_each)::UBIGINT AS cycles,
  round(100.0 * exits * cycles_each / sum(exits * cycles_each) OVER (PARTITION BY preset), 2) AS cycles_pct, source
FROM priced ORDER BY preset, cycles DESC, reason;
