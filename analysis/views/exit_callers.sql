-- exit_callers: each exit with the function it is in and, where its stack was sampled, the function that called that one
--   seq: the exit
--   vcpu: virtual processor
--   reason: why it left the guest
--   rip: where
--   function: function of the address; null: no symbol covers it
--   caller: function that called it; null: its stack was not sampled (see `sample=N`), or not readable
--   caller_address: return address in the caller
CREATE OR REPLACE VIEW exit_callers AS
SELECT e.seq, e.vcpu, e.reason, e.rip, p.function, n.caller, s.caller_address
FROM exits e
  LEFT JOIN sampled_callers s ON s.icount = e.icount AND s.vcpu = e.vcpu AND s.rip = e.rip
  LEFT JOIN exit_places p ON p.rip = e.rip
  LEFT JOIN caller_names n ON n.caller_address = s.caller_address;
