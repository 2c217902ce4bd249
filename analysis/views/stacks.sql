-- stacks: exits by reason and stack, folded as flamegraph.pl takes them (callers only where stacks were sampled)
--   vcpu: virtual processor
--   stack: functions, outermost first, joined by ";"; the last one is the exit's own
--   depth: number of functions
--   reason: why it exits
--   exits: how often; adds up to all exits
CREATE OR REPLACE VIEW stacks AS
WITH sampled AS (
  -- Stacks repeat: exits are joined with and grouped by a number for each, not by the lists themselves.
  SELECT icount, vcpu, rip, min(hash(stack)) AS id FROM samples WHERE len(stack) > 0 GROUP BY icount, vcpu, rip
), counted AS (
  SELECT e.vcpu, e.reason_code, e.rip, s.id, count(*) AS n
  FROM exits e LEFT JOIN sampled s ON s.icount = e.icount AND s.vcpu = e.vcpu AND s.rip = e.rip
  GROUP BY e.vcpu, e.reason_code, e.rip, s.id
), lists AS (SELECT hash(stack) AS id, any_value(stack) AS stack FROM samples WHERE len(stack) > 0 GROUP BY 1),
frames AS (SELECT id, unnest(stack) AS address, generate_subscripts(stack, 1) AS depth FROM lists),
reasons AS (SELECT reason_code, any_value(reason) AS reason FROM exits GROUP BY reason_code),
named AS (
  -- A call that never returns may be a function's last instruction: its return address is the next function's.
  SELECT a.address, CASE WHEN c.size = 0 OR a.inside - c.start < c.size THEN c.name END AS name
  FROM (SELECT DISTINCT address, greatest(address, 1) - 1 AS inside FROM frames) a
    ASOF LEFT JOIN code_ranges c ON a.inside >= c.start
), callers AS (
  SELECT f.id, string_agg(replace(coalesce(n.name, '(unknown)'), ';', ':'), ';' ORDER BY f.depth DESC) AS path,
    count(*) AS depth
  FROM frames f JOIN named n ON n.address = f.address GROUP BY f.id
)
SELECT k.vcpu,
  coalesce(c.path || ';', '') || replace(coalesce(p.function, '(unknown)'), ';', ':') AS stack,
  max(coalesce(c.depth, 0) + 1)::BIGINT AS depth, r.reason, sum(k.n)::BIGINT AS exits
FROM counted k JOIN reasons r ON r.reason_code = k.reason_code LEFT JOIN callers c ON c.id = k.id LEFT JOIN exit_places p ON p.rip = k.rip
GROUP BY 1, 2, 4 ORDER BY exits DESC, k.vcpu, stack, r.reason;
