/**
 * Questions as the viewer takes them, and their answers: one SELECT, a bounded number of rows as text.
 *
 * @module
 */
import { cellText } from "../../analysis/format.ts";
import type { RowStream } from "../../analysis/rows.ts";

/** Rows of an answer in SQL, as text. */
export interface SqlAnswer {
  columns: { name: string; numeric: boolean }[];
  rows: string[][];
  /** True: there are more rows than these. */
  cut: boolean;
}

/** Longest question; most rows, bytes of text and bytes of Arrow of an answer; most columns. */
export const SQL_LENGTH_MAX = 16_000, ANSWER_ROWS_MAX = 2000, ANSWER_TEXT_MAX = 8 << 20;
/** Bytes of a result that a page takes before it is cut. */
export const ANSWER_BYTES_MAX = 16 << 20;
const COLUMNS_MAX = 500;

/** The first rows of a result as text. */
export function answerOf({ columns, rows }: RowStream): SqlAnswer {
  if (columns.length > COLUMNS_MAX) {
    throw new Error(`The answer has ${columns.length} columns; name the ones you want.`);
  }
  const out: string[][] = [];
  let length = 0, cut = false;
  for (const row of rows) {
    if (out.length === ANSWER_ROWS_MAX || length > ANSWER_TEXT_MAX) {
      cut = true;
      break;
    }
    const cells = row.map((value, i) => cellText(value, columns[i]));
    for (const cell of cells) length += cell.length;
    out.push(cells);
  }
  return { columns: columns.map(({ name, numeric }) => ({ name, numeric })), rows: out, cut };
}

/**
 * A question as a subquery, where SQL's grammar allows nothing but a SELECT (or FROM, VALUES, DESCRIBE ...): whatever it
 * says, it changes nothing, provided that it is one statement: the caller must see to that by preparing it first.
 * @throws Error in a sentence for people
 */
export function asSelect(sql: string): string {
  if (sql.length > SQL_LENGTH_MAX) throw new Error(`The SQL is longer than ${SQL_LENGTH_MAX} characters.`);
  const text = sql.trim().replace(/(\s*;)+$/, "");
  if (text === "") throw new Error("The SQL is empty; try SELECT * FROM exit_summary.");
  return `SELECT * FROM (\n${text}\n)`;
}

/** A sentence for statements that `asSelect` made the engine refuse. */
export function explainRefusal(sql: string, message: string): string {
  if (
    /^\s*(select|with|from|values|describe|show|summarize|table|pivot|unpivot|\()/i.test(withoutComments(sql))
  ) {
    return message;
  }
  return `Only questions can be asked here: one SELECT, FROM, WITH, VALUES, DESCRIBE or SUMMARIZE.\n${message}`;
}

function withoutComments(sql: string): string {
  return sql.replace(/^(\s*(--[^\n]*\n|\/\*[\s\S]*?\*\/))+/, "");
}
