/**
 * Finds the calls of replay functions in SQL text, without parsing more of SQL than it takes: strings, quoted names,
 * comments and parentheses.
 *
 * @module
 */
import { QueryError } from "../engine.ts";
import { REPLAY_FUNCTIONS, type ReplayFunction, signatureOf } from "./functions.ts";

/** A call: what the text between `start` and `end` says. */
export interface ReplayCall {
  function: ReplayFunction;
  start: number;
  end: number;
  /** SQL expressions by parameter name. */
  arguments: ReadonlyMap<string, string>;
}

const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|[a-z_][a-z_0-9]*|[(),[\]{}]|:=|=>|[\s\S]/giy;

interface Token {
  text: string;
  at: number;
}

function tokens(sql: string): Token[] {
  return [...sql.matchAll(TOKEN)].map((m) => ({ text: m[0], at: m.index }))
    .filter((t) => !/^(\s|--|\/\*)/.test(t.text));
}

/** The calls of a text, in order. @throws QueryError for arguments that no parameter takes */
export function replayCalls(sql: string): ReplayCall[] {
  const all = tokens(sql), out: ReplayCall[] = [];
  for (let i = 0; i < all.length - 1; i++) {
    const f = REPLAY_FUNCTIONS.find((r) => r.name === all[i].text.toLowerCase());
    // A column or a table of another schema may have the name, too.
    if (f === undefined || all[i + 1].text !== "(" || all[i - 1]?.text === ".") continue;
    const close = closing(all, i + 1);
    out.push({
      function: f,
      start: all[i].at,
      end: all[close].at + 1,
      arguments: argumentsOf(sql, f, all, i + 1, close),
    });
    i = close;
  }
  return out;
}

function closing(all: readonly Token[], open: number): number {
  let depth = 0;
  for (let i = open; i < all.length; i++) {
    if (/^[([{]$/.test(all[i].text)) depth++;
    else if (/^[)\]}]$/.test(all[i].text) && --depth === 0) return i;
  }
  throw new QueryError(`The parenthesis behind ${all[open - 1].text} is never closed.`);
}

function argumentsOf(
  sql: string,
  f: ReplayFunction,
  all: readonly Token[],
  open: number,
  close: number,
): Map<string, string> {
  const out = new Map<string, string>();
  const give = (from: number, to: number) => {
    if (from >= to) return;
    const named = /^(:=|=>)$/.test(all[from + 1]?.text ?? "") && from + 1 < to;
    const name = named ? all[from].text.toLowerCase().replaceAll('"', "") : f.parameters[out.size]?.name;
    if (name === undefined || !f.parameters.some((p) => p.name === name) || out.has(name)) {
      const which = name === undefined
        ? `more than ${f.parameters.length} arguments`
        : `an argument ${name} there`;
      throw new QueryError(`${f.name} does not take ${which}; it is ${signatureOf(f)}.`);
    }
    out.set(name, sql.slice(all[named ? from + 2 : from]?.at ?? all[to].at, all[to].at).trim());
  };
  let from = open + 1, depth = 0;
  for (let i = open + 1; i <= close; i++) {
    if (/^[([{]$/.test(all[i].text)) depth++;
    if (i === close || (depth === 0 && all[i].text === ",")) {
      give(from, i);
      from = i + 1;
    }
    if (/^[)\]}]$/.test(all[i].text)) depth--;
  }
  return out;
}
