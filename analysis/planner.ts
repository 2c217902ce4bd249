/**
 * Which columns a statement reads, asked of DuckDB itself: an empty database with the same tables and views plans the
 * statement, and the plan's scans name their columns. Large tables are then loaded with those columns only.
 *
 * @module
 */
import { type Engine, QueryError } from "./engine.ts";
import { readRecords } from "./rows.ts";
import { createTable, identifier, TABLE_COLUMNS } from "./tables.ts";
import { createView, type View } from "./views.ts";

/** Name of the empty database. */
const CATALOG = "retrovisor_plan";
/** Optimizers that see that the tables are empty, or that hide columns in filters. */
const DISABLED =
  "statistics_propagation,filter_pushdown,filter_pullup,empty_result_pullup,late_materialization," +
  "top_n,limit_pushdown";
/** Statements that leave something behind which later statements read, and names of what lies beneath the tables. */
const OPAQUE = /\b(create|attach|use|prepare|execute|set|import|memory|temp|\w+_coded)\b/i;

interface PlanNode {
  extra_info?: { Table?: string; Projections?: string | string[] };
  children?: PlanNode[];
}

/** Plans statements without running them. */
export class Planner {
  readonly #created = new Set<string>();

  /** @param plain schema of plain names */
  constructor(readonly engine: Engine, readonly aliases: readonly string[], readonly plain: string) {
    engine.run(`ATTACH ':memory:' AS ${CATALOG}`);
    engine.run(`CREATE SCHEMA IF NOT EXISTS ${CATALOG}.${identifier(plain)}`);
    for (const alias of aliases) {
      const schema = `${CATALOG}.${identifier(alias)}`;
      engine.run(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
      for (const [table, columns] of TABLE_COLUMNS) engine.run(createTable(schema, table, columns));
    }
  }

  /**
   * The columns of each table that a statement reads; null when that cannot be known.
   * @param views what the statement uses, in order of creation
   * @param unions what to create in the schema of plain names, by name
   */
  columns(
    sql: string,
    views: readonly View[],
    unions: ReadonlyMap<string, string>,
  ): Map<string, Set<string>> | null {
    if (OPAQUE.test(sql)) return null;
    try {
      for (const alias of this.aliases) this.#create(alias, views);
      this.engine.run(`USE ${CATALOG}.${identifier(this.plain)}`);
      for (const union of unions.values()) this.engine.run(union);
      this.engine.run(`SET disabled_optimizers = '${DISABLED}'`);
      const rows = readRecords([this.engine.run(`EXPLAIN (FORMAT JSON) ${sql}`)]);
      return scans(JSON.parse(String(rows.at(-1)?.explain_value)));
    } catch (error) {
      // What cannot be planned here is loaded whole, and fails, if it must, with a message about the real tables.
      if (error instanceof QueryError || error instanceof SyntaxError) return null;
      throw error;
    } finally {
      this.engine.run("RESET disabled_optimizers");
      this.engine.run(`USE memory.${identifier(this.plain)}`);
    }
  }

  #create(alias: string, views: readonly View[]): void {
    const missing = views.filter((v) => !this.#created.has(`${alias}.${v.name}`));
    if (missing.length === 0) return;
    this.engine.run(`USE ${CATALOG}.${identifier(alias)}`);
    for (const view of missing) {
      this.engine.run(createView(view, identifier(alias)));
      this.#created.add(`${alias}.${view.name}`);
    }
  }
}

/** Scanned columns by table; null when the plan says something else than expected. */
function scans(plan: unknown): Map<string, Set<string>> | null {
  if (!Array.isArray(plan)) return null;
  const columns = new Map<string, Set<string>>();
  const visit = (node: PlanNode) => {
    const { Table: table, Projections: names = [] } = node.extra_info ?? {};
    if (table !== undefined) {
      const set = columns.get(table) ?? new Set();
      columns.set(table, set);
      for (const name of typeof names === "string" ? [names] : names) if (name !== "") set.add(name);
    }
    node.children?.forEach(visit);
  };
  plan.forEach(visit);
  return columns;
}
