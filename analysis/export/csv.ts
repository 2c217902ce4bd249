/**
 * A table or view as CSV.
 *
 * @module
 */
import { formatRows } from "../format.ts";
import { identifier } from "../tables.ts";
import type { ExportInput } from "./exporter.ts";

/** RFC 4180 with a header line, as `query --format csv` writes it. */
export function csv({ session, table }: ExportInput): Iterable<string> {
  return formatRows(session.query(`SELECT * FROM ${identifier(table)}`), "csv");
}
