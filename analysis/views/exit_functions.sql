-- exit_functions: each exit with the function its RIP lies in; null where no symbol covers it
--   seq: the exit
--   vcpu: virtual processor
--   reason: why it left the guest
--   rip: where
--   function: name of the symbol; [hypercall page] for the page a guest that runs identity-mapped gave to Xen
--   module: where the symbol is from
--   function_offset: bytes from its start
CREATE OR REPLACE VIEW exit_functions AS
SELECT e.seq, e.vcpu, e.reason, e.rip, p.function, p.module, p.function_offset
FROM exits e LEFT JOIN exit_places p ON p.rip = e.rip;
