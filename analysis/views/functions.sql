-- functions: symbols of code, one an address, as functions to look addresses up in
--   start: first address
--   size: bytes; 0: unknown, up to whatever follows
--   name: name of the symbol
--   module: where it is from
CREATE OR REPLACE VIEW functions AS
SELECT start, max(coalesce(size, 0)) AS size, max(name) AS name, max(module) AS module FROM symbols GROUP BY start;
