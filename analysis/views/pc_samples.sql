-- pc_samples: PC samples at regular distances (needs sampling, `sample=N`), without those taken at exits
--   icount: instructions retired before it
--   vcpu: virtual processor
--   rip: sampled address
--   cr3: page table root
--   cpl: privilege level
--   stack: return addresses, innermost first
CREATE OR REPLACE VIEW pc_samples AS
SELECT s.* FROM samples s
WHERE s.icount % coalesce((SELECT max(sample_interval) FROM recording WHERE sample_interval > 0), 1) = 0;
