-- page_faults: nested page faults, and guest page faults where they are intercepted, by access and function
--   kind: nested or guest
--   access: read, write or fetch, from the error code
--   function: function that faulted; null: no symbol covers it
--   faults: how often
--   runs: in how many runs
SELECT CASE WHEN reason_code = 1024 THEN 'nested' ELSE 'guest' END AS kind,
  CASE WHEN intDiv(info1, 16) % 2 = 1 THEN 'fetch' WHEN intDiv(info1, 2) % 2 = 1 THEN 'write' ELSE 'read' END AS access,
  function, count(*) AS faults, uniqExact(run) AS runs
FROM exits WHERE reason_code = 1024 OR reason_code = 78
GROUP BY kind, access, function ORDER BY faults DESC, kind, access, function
