-- exit_counts: everything that is compared between recordings, counted: what `diff` and `check` work with
--   subject: what is counted: reason, hypercall, function or port
--   name: exit reason; hypercall with its sub-operation; function ((unknown): no symbol covers it); port and r or w
--   count: how often; the counts of reasons, and those of functions, each add up to all exits
CREATE OR REPLACE VIEW exit_counts AS
WITH addresses AS (
  -- Looked up once an address, not once an exit: a boot leaves from a few hundred places.
  SELECT coalesce(rip, 0) AS rip, count(*) AS n FROM exits GROUP BY 1
)
SELECT 'reason' AS subject, reason::VARCHAR AS name, count(*) AS count FROM exits GROUP BY 2
UNION ALL
SELECT 'hypercall', name || coalesce(' ' || subop_name, ''), count(*) FROM hypercalls GROUP BY 2
UNION ALL
SELECT 'function', coalesce(CASE WHEN c.size = 0 OR a.rip - c.start < c.size THEN c.name END, '(unknown)'), sum(a.n)::BIGINT
FROM addresses a ASOF LEFT JOIN code_ranges c ON a.rip >= c.start GROUP BY 2
UNION ALL
SELECT 'port', format('0x{:x} {}', port, CASE WHEN rw = 0 THEN 'r' ELSE 'w' END), count(*) FROM kvm_pio GROUP BY 2;
