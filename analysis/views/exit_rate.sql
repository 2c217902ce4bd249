-- exit_rate(bucket): exits and hypercalls per `bucket` nanoseconds of virtual time; empty buckets are left out
--   bucket_ns: start of the bucket
--   exits: exits in it
--   hypercalls: those that were hypercalls
--   instructions: instructions between the first and the last exit of the bucket
CREATE OR REPLACE MACRO exit_rate(bucket) AS TABLE
SELECT time_ns // greatest(bucket, 1)::UBIGINT * greatest(bucket, 1)::UBIGINT AS bucket_ns,
  count(*) AS exits,
  count(*) FILTER (reason = 'VMEXIT_VMMCALL') AS hypercalls,
  max(icount) - min(icount) AS instructions
FROM exits GROUP BY 1 ORDER BY 1;
