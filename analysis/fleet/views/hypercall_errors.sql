-- hypercall_errors: hypercalls that ended in an error number
--   name: hypercall
--   subop_name: sub-operation
--   errno_name: Xen's name of the error
--   calls: how often
--   runs: in how many runs
SELECT name, subop_name, errno_name, count(*) AS calls, uniqExact(run) AS runs
FROM hypercalls WHERE errno_name IS NOT NULL
GROUP BY name, subop_name, errno_name ORDER BY calls DESC, name, subop_name, errno_name
