-- page_faults: nested page faults, and guest page faults where they are intercepted, by page, access and function
--   kind: nested (unbacked guest-physical memory) or guest (#PF, intercepted by `intercepts=all`)
--   page: guest-physical page of a nested fault, linear page of a guest's own
--   access: read, write or fetch, from the error code
--   user: true for an access at CPL 3
--   function: function that faulted; null: no symbol covers it
--   faults: how often
--   first_icount: when first
CREATE OR REPLACE VIEW page_faults AS
WITH counted AS (
  SELECT CASE WHEN reason_code = 1024 THEN 'nested' ELSE 'guest' END AS kind,
    (CASE WHEN reason_code = 1024 THEN coalesce(gpa, info2) ELSE coalesce(gla, info2) END) // 4096 * 4096 AS page,
    CASE WHEN info1 // 16 % 2 = 1 THEN 'fetch' WHEN info1 // 2 % 2 = 1 THEN 'write' ELSE 'read' END AS access,
    cpl = 3 AS user, rip, count(*) AS n, min(icount) AS first_icount
  FROM exits WHERE reason_code IN (1024, 78) GROUP BY 1, 2, 3, 4, 5
)
SELECT c.kind, c.page, c.access, c.user, p.function, sum(c.n)::BIGINT AS faults, min(c.first_icount) AS first_icount
FROM counted c LEFT JOIN exit_places p ON p.rip = c.rip
GROUP BY c.kind, c.page, c.access, c.user, p.function ORDER BY faults DESC, kind, page, access, user, function;
