/**
 * Replaces calls of replay functions in a statement by tables that re-execution has filled.
 *
 * @module
 */
import { QueryError } from "../engine.ts";
import type { Session } from "../session.ts";
import { literal } from "../tables.ts";
import { type ReplayCall, replayCalls } from "./calls.ts";
import { codesStream, rowColumns, rowStreams } from "./encode.ts";
import { signatureOf } from "./functions.ts";

/** A computed table in columns; 64-bit values are two words, low first. */
export interface ComputedTable {
  rows: number;
  columns: { name: string; width: 8 | 32 | 64; data: Uint8Array | Uint32Array }[];
  /** What the numbers of column `code` stand for. */
  codes: string[];
}

/** What is to be computed. Counts are clipped to the recording. */
export interface ComputeRequest {
  /** Name of a replay function. */
  table: string;
  /** icounts, `[from, to)`. */
  from: number;
  to: number;
  /** Addresses `[from, from + bytes)`; linear ones are signed. Null: all. */
  range: { physical: boolean; from: number; bytes: number } | null;
}

/** Executes recordings again. */
export interface Computer {
  /** icount of the recording's end. */
  readonly end: number;
  compute(request: ComputeRequest): Promise<ComputedTable>;
}

/** Longest range of addresses that can be asked for. */
const BYTES_MAX = 2 ** 40;

/**
 * Computes what a statement asks for.
 * @param base number of the first schema that is made
 * @returns the statement with names of tables in place of the calls  @throws QueryError
 */
export async function expandReplay(
  session: Session,
  sql: string,
  computer: Computer,
  base: number,
): Promise<{ sql: string; made: number }> {
  const calls = replayCalls(sql);
  let out = "", at = 0, made = 0;
  for (const call of calls) {
    const schema = `replay_${base + made++}`;
    define(session, schema, call, await computer.compute(requestOf(session, call, computer.end)));
    out += `${sql.slice(at, call.start)}${schema}.${call.function.name}`;
    at = call.end;
  }
  return { sql: out + sql.slice(at), made };
}

/** Evaluates the arguments. */
function requestOf(session: Session, call: ReplayCall, end: number): ComputeRequest {
  const f = call.function, values = new Map<string, bigint | boolean | string | null>();
  for (const p of f.parameters) {
    const given = call.arguments.get(p.name);
    let value = given === undefined ? p.otherwise : evaluate(session, f.name, p.name, given);
    if (value === null && given === undefined) {
      throw new QueryError(`${f.name} needs ${p.name}; it is ${signatureOf(f)}.`);
    }
    if (p.kind === "address" && typeof value === "string" && value !== "any") value = symbol(session, value);
    values.set(p.name, value);
  }
  const count = (name: string): number => {
    const v = values.get(name);
    if (v === "end") return end + 1;
    if (typeof v !== "bigint" || v < 0n) {
      throw new QueryError(`Argument ${name} of ${f.name} must be a count, not ${shown(v)}.`);
    }
    return Math.min(Number(v), end + 1);
  };
  if (f.name === "registers") {
    const at = count("at");
    if (at > end) {
      throw new QueryError(`The recording ends at icount ${end}: there are no registers behind it.`);
    }
    return { table: f.name, from: at, to: at + 1, range: null };
  }
  const [from, to] = f.name === "last_write" ? [0, count("before")] : [count("from"), count("to")];
  if (to < from) {
    throw new QueryError(`${f.name} goes from an icount to a later one, not from ${from} to ${to}.`);
  }
  return { table: f.name, from, to, range: rangeOf(f.name, values) };
}

function rangeOf(name: string, values: ReadonlyMap<string, unknown>): ComputeRequest["range"] {
  const address = values.get("address");
  if (address === undefined || address === "any") return null;
  const bytes = values.get("bytes"), physical = values.get("physical") === true;
  if (typeof address !== "bigint") {
    throw new QueryError(
      `Argument address of ${name} must be an address or a symbol's name, not ${shown(address)}.`,
    );
  }
  if (typeof bytes !== "bigint" || bytes < 1n || bytes > BYTES_MAX) {
    throw new QueryError(`Argument bytes of ${name} must be 1 to 2^40, not ${shown(bytes)}.`);
  }
  const from = physical ? Number(address) : Number(BigInt.asIntN(64, address));
  if (!Number.isSafeInteger(from)) {
    throw new QueryError(`${shown(address)} is no address that ${name} can look at.`);
  }
  return { physical, from, bytes: Number(bytes) };
}

function shown(v: unknown): string {
  return v === null || v === undefined ? "NULL" : String(v);
}

/** An argument's value: constants and queries are evaluated, what depends on a row cannot be. */
function evaluate(session: Session, f: string, name: string, sql: string): bigint | boolean | string | null {
  let value: unknown;
  try {
    value = session.records(`SELECT (${decimal(sql)}) AS v`, 2)[0]?.v ?? null;
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    throw new QueryError(
      `Cannot evaluate argument ${name} of ${f}, which must be a constant or a query of its own: ${error.message}`,
    );
  }
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (
    value === null || typeof value === "bigint" || typeof value === "boolean" || typeof value === "string"
  ) {
    return value;
  }
  throw new QueryError(`Argument ${name} of ${f} must be a whole number, not ${shown(value)}.`);
}

/** Hexadecimal numbers, which SQL does not know, as decimal ones. */
function decimal(sql: string): string {
  return sql.replace(
    /'(?:[^']|'')*'|"(?:[^"]|"")*"|\b0x[0-9a-f]+\b/gi,
    (m) => m.startsWith("0") ? String(BigInt(m)) : m,
  );
}

/** An address written as text: a number, or a symbol's name with an offset. */
function symbol(session: Session, text: string): bigint {
  const m = /^\s*([^\s+]+?)\s*(?:\+\s*(0x[0-9a-f]+|[0-9]+))?\s*$/i.exec(text);
  if (m !== null && /^(0x[0-9a-f]+|[0-9]+)$/i.test(m[1])) return BigInt(m[1]) + BigInt(m[2] ?? 0);
  const rows = m === null
    ? []
    : session.records(`SELECT DISTINCT start FROM symbols WHERE name = ${literal(m[1])}`, 2);
  if (rows.length === 1) return BigInt(rows[0].start as bigint) + BigInt(m?.[2] ?? 0);
  const why = rows.length === 0 ? "the recording has no such symbol" : "several symbols are called so";
  throw new QueryError(
    `"${text}" is no address: ${why}; FROM symbols lists them, --symbols FILE adds others.`,
  );
}

/** Makes the table of a call: `schema.NAME`. */
function define(session: Session, schema: string, call: ReplayCall, table: ComputedTable): void {
  const f = call.function;
  session.addTable(schema, "computed", rowColumns(table), rowStreams(table));
  session.addTable(schema, "codes", [["code", "UINTEGER"], ["text", "VARCHAR"]], [
    codesStream(f.name, table.codes),
  ]);
  const places = (column: string) =>
    `SELECT a.${column} AS at, CASE WHEN f.size = 0 OR a.${column} - f.start < f.size THEN f.name END AS function
     FROM (SELECT DISTINCT ${column} FROM ${schema}.computed) a ASOF LEFT JOIN functions f ON a.${column} >= f.start`;
  const has = (name: string) => table.columns.some((c) => c.name === name);
  session.records(`CREATE TABLE ${schema}.places AS ${places("rip")}`);
  if (has("target")) session.records(`CREATE TABLE ${schema}.targets AS ${places("target")}`);
  session.records(
    `CREATE VIEW ${schema}.${f.name} AS SELECT ${f.select} FROM ${schema}.computed r
     LEFT JOIN ${schema}.places p ON p.at = r.rip
     ${has("target") ? `LEFT JOIN ${schema}.targets q ON q.at = r.target` : ""}
     ${has("code") ? `LEFT JOIN ${schema}.codes c ON c.code = r.code` : ""}`,
  );
}
