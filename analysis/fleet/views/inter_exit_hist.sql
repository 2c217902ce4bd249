-- inter_exit_hist: how many instructions run between one exit and the vCPU's next, in powers of two
--   power: floor of the binary logarithm of the number of instructions; null: none between the two
--   exits: exits with such a distance to the next
SELECT CASE WHEN gap_instructions > 0 THEN floor(log2(gap_instructions)) ELSE NULL END AS power, count(*) AS exits
FROM exits WHERE gap_instructions IS NOT NULL GROUP BY power ORDER BY power
