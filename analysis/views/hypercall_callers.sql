-- hypercall_callers: hypercalls by the function that made them, looking through the kernel's hypercall page or stub
--   function: function that called the stub where a stack was sampled; else the function of the exit's address
--   known_by: "stack" when the caller is from a sampled stack (`sample=N`), "rip" when it is the exit's own address
--   name: hypercall
--   subop_name: sub-operation; null when it has none
--   calls: how often
CREATE OR REPLACE VIEW hypercall_callers AS
SELECT coalesce(c.caller, c.function) AS function, CASE WHEN c.caller IS NULL THEN 'rip' ELSE 'stack' END AS known_by,
  h.name, h.subop_name, count(*) AS calls
FROM hypercalls h LEFT JOIN exit_callers c ON c.seq = h.seq
GROUP BY ALL ORDER BY calls DESC, function, h.name, h.subop_name;
