/**
 * The views in `views/*.sql`: each file says in its header what the view is called, what it answers and which columns
 * it has, then creates it.
 *
 * @module
 */

/** One view or table macro. */
export interface View {
  name: string;
  /** As it is used: `exit_rate(bucket)` for a macro, the name alone for a view. */
  signature: string;
  /** One line: what it answers. */
  summary: string;
  /** Column names in order, with their meanings. */
  columns: { name: string; meaning: string }[];
  /** The CREATE statement. */
  sql: string;
}

/** A view file that does not say what it must. */
export class ViewError extends Error {
  override name = "ViewError";
}

/**
 * Reads one view file: `-- NAME: SUMMARY`, then one `--   COLUMN: MEANING` a column, then the statement.
 * @param file name for messages
 */
export function parseView(file: string, text: string): View {
  const view = parseHeader(file, text);
  if (!/^CREATE OR REPLACE (VIEW|MACRO) /.test(view.sql)) {
    throw new ViewError(`Cannot read ${file}: after the header it has no CREATE OR REPLACE VIEW or MACRO.`);
  }
  return view;
}

/** Reads a view of a fleet: the same header, then a SELECT. @param file name for messages */
export function parseFleetView(file: string, text: string): View {
  const view = parseHeader(file, text);
  if (!/^SELECT /.test(view.sql)) {
    throw new ViewError(`Cannot read ${file}: after the header it has no SELECT.`);
  }
  return view;
}

function parseHeader(file: string, text: string): View {
  const lines = text.split("\n");
  const head = /^-- (([a-z_0-9]+)(?:\([a-z_, ]*\))?): (.+)$/.exec(lines[0] ?? "");
  if (head === null) throw new ViewError(`Cannot read ${file}: its first line is not "-- NAME: SUMMARY".`);
  const columns: View["columns"] = [];
  let i = 1;
  for (; i < lines.length && lines[i].startsWith("--"); i++) {
    const column = /^-- {3}([a-z_0-9%]+): (.+)$/.exec(lines[i]);
    if (column !== null) columns.push({ name: column[1], meaning: column[2] });
  }
  return {
    name: head[2],
    signature: head[1],
    summary: head[3],
    columns,
    sql: lines.slice(i).join("\n").trim(),
  };
}

/**
 * The CREATE statement of a view in a schema that is in use. What a view names is looked up when it is made; what a macro names,
 * when it is called: there the schema is written out.
 * @param schema as SQL
 */
export function createView(view: View, schema: string): string {
  if (!/^CREATE OR REPLACE MACRO /.test(view.sql)) return view.sql;
  return view.sql.replace(/\b(FROM|JOIN) ([a-z_0-9]+)\b/g, `$1 ${schema}.$2`);
}

let cache: Map<string, View> | null = null;

/** All views by name, in alphabetical order. */
export function loadViews(): Map<string, View> {
  if (cache !== null) return cache;
  const folder = new URL("./views/", import.meta.url);
  const files = [...Deno.readDirSync(folder)].map((e) => e.name).filter((n) => n.endsWith(".sql")).sort();
  const views = new Map<string, View>();
  for (const file of files) {
    const view = parseView(file, Deno.readTextFileSync(new URL(file, folder)));
    views.set(view.name, view);
  }
  return cache = views;
}

/** Every word of an SQL text that could be a name, in lower case. A superset: comments and strings count. */
export function wordsOf(sql: string): Set<string> {
  return new Set(sql.toLowerCase().match(/[a-z_][a-z_0-9]*/g) ?? []);
}

/** What a text needs: the tables to load, and the views to create, those that others need first. */
export function needs(sql: string, tables: ReadonlySet<string>): { tables: string[]; views: View[] } {
  const views = loadViews();
  const wanted = new Set<string>();
  const order: View[] = [];
  const visited = new Set<string>();
  const visit = (text: string) => {
    for (const word of wordsOf(text)) {
      if (tables.has(word)) wanted.add(word);
      const view = views.get(word);
      if (view === undefined || visited.has(word)) continue;
      visited.add(word);
      visit(view.sql);
      order.push(view);
    }
  };
  visit(sql);
  return { tables: [...wanted], views: order };
}
