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
), matched AS MATERIALIZED (
  SELECT e.vcpu, e.reason_code, e.rip, s.id, count(*) AS n
  FROM exits e JOIN sampled s ON s.icount = e.icount AND s.vcpu = e.vcpu AND s.rip = e.rip
  GROUP BY e.vcpu, e.reason_code, e.rip, s.id
), counted AS MATERIALIZED (
  -- Exits without a sample are all exits less those with one: an outer join of every exit costs twice as much.
  SELECT vcpu, reason_code, rip, id, sum(n)::BIGINT AS n FROM (
    SELECT vcpu, reason_code, rip, id, n FROM matched
    UNION ALL SELECT vcpu, reason_code, rip, NULL, -n FROM matched
    UNION ALL SELECT vcpu, reason_code, rip, NULL, count(*) FROM exits GROUP BY vcpu, reason_code, rip
  ) GROUP BY vcpu, reason_code, rip, id HAVING sum(n) > 0
), frames AS MATERIALIZED (
  SELECT id, unnest(stack) AS address, generate_subscripts(stack, 1) AS depth
  FROM (SELECT hash(stack) AS id, any_value(stack) AS stack FROM samples WHERE len(stack) > 0 GROUP BY 1)
), reasons AS (SELECT reason_code, any_value(reason) AS reason FROM exits GROUP BY reason_code),
named AS MATERIALIZED (
  SELECT a.inside,
    CASE WHEN c.size = 0 OR a.inside - c.start < c.size THEN replace(c.name, ';', ':') ELSE '(unknown)' END AS name
  -- A call that never returns may be a function's last instruction: its return address is the next function's.
  FROM (SELECT greatest(address, 1) - 1 AS inside FROM frames UNION SELECT rip FROM counted WHERE rip IS NOT NULL) a
    ASOF LEFT JOIN code_ranges c ON a.inside >= c.start
), paths AS (
  SELECT f.id, string_agg(n.name, ';' ORDER BY f.depth DESC) AS path, count(*) AS depth
  FROM frames f JOIN named n ON n.inside = greatest(f.address, 1) - 1 GROUP BY f.id
), callers AS MATERIALIZED (SELECT id, path, depth, min(id) OVER (PARTITION BY path) AS path_id FROM paths),
grouped AS (
  SELECT k.vcpu, k.reason_code, c.path_id, coalesce(p.name, '(unknown)') AS function, sum(k.n)::BIGINT AS n
  FROM counted k LEFT JOIN callers c ON c.id = k.id LEFT JOIN named p ON p.inside = k.rip
  GROUP BY ALL
)
SELECT g.vcpu, CASE WHEN c.path IS NULL THEN g.function ELSE c.path || ';' || g.function END AS stack,
  (coalesce(c.depth, 0) + 1)::BIGINT AS depth, r.reason, g.n AS exits
FROM grouped g JOIN reasons r ON r.reason_code = g.reason_code LEFT JOIN callers c ON c.id = g.path_id
ORDER BY exits DESC, g.vcpu, stack, r.reason;
