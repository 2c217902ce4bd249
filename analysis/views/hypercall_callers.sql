-- hypercall_callers: hypercalls by the function that made them, looking through the kernel's hypercall page or stub
--   function: function that called the stub where a stack was sampled; else the function of the exit's address
--   known_by: "stack" when the caller is from a sampled stack (`sample=N`), "rip" when it is the exit's own address
--   name: hypercall
--   subop_name: sub-operation; null when it has none
--   calls: how often
CREATE OR REPLACE VIEW hypercall_callers AS
WITH counted AS (
  SELECT e.rip, s.caller_address, h.name, h.subop_name, count(*) AS n
  FROM hypercalls h LEFT JOIN (SELECT seq, icount, vcpu, rip FROM exits WHERE reason_code = 129) e ON e.seq = h.seq
    LEFT JOIN sampled_callers s ON s.icount = e.icount AND s.vcpu = e.vcpu AND s.rip = e.rip
  GROUP BY e.rip, s.caller_address, h.name, h.subop_name
)
SELECT coalesce(n.caller, p.function) AS function, CASE WHEN n.caller IS NULL THEN 'rip' ELSE 'stack' END AS known_by,
  c.name, c.subop_name, sum(c.n)::BIGINT AS calls
FROM counted c LEFT JOIN exit_places p ON p.rip = c.rip
  LEFT JOIN caller_names n ON n.caller_address = c.caller_address
GROUP BY ALL ORDER BY calls DESC, function, c.name, c.subop_name;
