-- exit_gaps: what follows each exit on its vCPU, up to that vCPU's next exit; the last exit of a vCPU is not here
--   seq: the exit
--   vcpu: virtual processor
--   reason: why it left the guest
--   instructions: instructions retired (by all vCPUs) until the next exit of this vCPU
--   ns: virtual nanoseconds until then, time halted included
CREATE OR REPLACE VIEW exit_gaps AS
SELECT seq, vcpu, reason, next_icount - icount AS instructions, next_ns - time_ns AS ns
FROM (
  SELECT seq, vcpu, reason, icount, time_ns,
    lead(icount) OVER w AS next_icount, lead(time_ns) OVER w AS next_ns
  FROM exits WINDOW w AS (PARTITION BY vcpu ORDER BY seq)
)
WHERE next_icount IS NOT NULL;
