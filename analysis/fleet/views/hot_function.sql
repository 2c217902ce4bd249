-- hot_function: functions by regular PC samples (needs sampling, `sample=N`)
--   function: name of the symbol; null: no symbol covers the address
--   cpl: privilege level
--   samples: how often
--   runs: in how many runs
SELECT function, cpl, count(*) AS samples, uniqExact(run) AS runs
FROM samples GROUP BY function, cpl ORDER BY samples DESC, function, cpl
