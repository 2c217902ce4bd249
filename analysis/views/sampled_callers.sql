-- sampled_callers: callers of addresses as sampled stacks tell them, one row a sample with a stack (see `sample=N`)
--   icount: the sample
--   vcpu: virtual processor
--   rip: sampled address
--   caller_address: return address in the function that called the sampled one
CREATE OR REPLACE VIEW sampled_callers AS
SELECT icount, vcpu, rip, any_value(stack[1]) AS caller_address FROM samples
WHERE len(stack) > 0 GROUP BY icount, vcpu, rip;
