-- sample_frames: the stack of each regular PC sample, a row a frame
--   icount: the sample
--   vcpu: virtual processor
--   cpl: privilege level of the sample
--   depth: 0 is the sampled address itself, 1 its caller, and so on
--   address: sampled address, or return address
--   function: function it lies in; [user] for unnamed code at CPL 3, [unknown] for other unnamed code
CREATE OR REPLACE VIEW sample_frames AS
WITH frames AS (
  SELECT icount, vcpu, cpl, unnest(list_concat([rip], stack)) AS address,
    (generate_subscripts(list_concat([rip], stack), 1) - 1)::INTEGER AS depth
  FROM pc_samples
), looked_up AS (
  -- A call that never returns may be a function's last instruction: its return address is the next function's.
  SELECT icount, vcpu, cpl, address, depth,
    CASE WHEN depth = 0 THEN address ELSE greatest(address, 1) - 1 END AS inside
  FROM frames
), named AS (
  SELECT a.inside, CASE WHEN f.size = 0 OR a.inside - f.start < f.size THEN f.name END AS name
  FROM (SELECT DISTINCT inside FROM looked_up) a ASOF LEFT JOIN functions f ON a.inside >= f.start
)
SELECT l.icount, l.vcpu, l.cpl, l.depth, l.address,
  coalesce(n.name, CASE WHEN l.cpl = 3 THEN '[user]' ELSE '[unknown]' END) AS function
FROM looked_up l LEFT JOIN named n ON n.inside = l.inside;
