/**
 * The table of prices that a user gives. Apart from `costs.ts`, which leads back here by way of the session.
 *
 * @module
 */

/** Name of the table that views read given prices from. */
export const GIVEN_COSTS = "given_costs";
/** Its columns as DuckDB types. */
export const GIVEN_COSTS_COLUMNS: readonly (readonly [string, string])[] = [
  ["preset", "VARCHAR"],
  ["reason", "VARCHAR"],
  ["cycles", "UBIGINT"],
  ["source", "VARCHAR"],
];
