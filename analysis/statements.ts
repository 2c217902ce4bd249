/**
 * SQL texts of several statements: where one ends and the next begins.
 *
 * @module
 */

/** What a text holds. */
export interface Statements {
  /** Statements that a semicolon ends, without it. */
  complete: string[];
  /** What follows the last semicolon; empty when that is white space or a comment. */
  rest: string;
}

/** One piece of SQL: a comment, a quoted thing (perhaps without its end), a semicolon, or anything else. */
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\$([A-Za-z_]*)\$[\s\S]*?(?:\$\1\$|$)|;|[^;'"$/-]+|[\s\S]/g;

/** Splits a text at the semicolons that are in no string, quoted name or comment. */
export function splitStatements(text: string): Statements {
  const complete: string[] = [];
  let statement = "", empty = true;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === ";") {
      if (!empty) complete.push(statement.trim());
      statement = "";
      empty = true;
      continue;
    }
    statement += token;
    if (!/^(--|\/\*)/.test(token) && token.trim() !== "") empty = false;
  }
  return { complete, rest: empty ? "" : statement.trim() };
}
