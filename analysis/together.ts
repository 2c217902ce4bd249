/**
 * Several recordings side by side: a schema whose tables and views are those of all of them, with a column `trace` in front
 * that says which recording a row is of.
 *
 * @module
 */
import { identifier, literal } from "./tables.ts";
import type { View } from "./views.ts";

/** Name of the schema. */
export const TOGETHER = "traces_together";

/** CREATE statement of a table's or view's union. @param labels what column `trace` says, by schema */
export function togetherSql(
  name: string,
  view: View | undefined,
  labels: ReadonlyMap<string, string>,
): string {
  const parameters = view === undefined ? "" : view.signature.slice(view.name.length);
  const parts = [...labels].map(([alias, label]) =>
    `SELECT ${literal(label)} AS trace, * FROM ${identifier(alias)}.${identifier(name)}${parameters}`
  );
  const union = parts.join(" UNION ALL ");
  return parameters === ""
    ? `CREATE OR REPLACE VIEW ${identifier(name)} AS ${union}`
    : `CREATE OR REPLACE MACRO ${identifier(name)}${parameters} AS TABLE ${union}`;
}
