-- console_text: what the guest printed, one row a device
--   device: where it printed
--   first_icount: first output
--   last_icount: last output
--   bytes: length of the text in characters
--   text: all of it
CREATE OR REPLACE VIEW console_text AS
SELECT device, min(icount) AS first_icount, max(icount) AS last_icount, sum(length(text))::UBIGINT AS bytes,
  string_agg(text, '' ORDER BY icount, time_ns) AS text
FROM console GROUP BY device ORDER BY first_icount, device;
