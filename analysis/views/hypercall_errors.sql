-- hypercall_errors: hypercalls that ended in an error number
--   name: hypercall
--   subop_name: sub-operation
--   errno_name: Xen's name of the error
--   calls: how often
--   first_icount: where the first one was
CREATE OR REPLACE VIEW hypercall_errors AS
SELECT name, subop_name, errno_name, count(*) AS calls, min(icount) AS first_icount
FROM hypercalls WHERE errno_name IS NOT NULL GROUP BY ALL ORDER BY calls DESC, name, subop_name, errno_name;
