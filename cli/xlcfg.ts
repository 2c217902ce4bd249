/**
 * The syntax of xl.cfg(5): `key = value` lines with strings, numbers, lists and comments.
 *
 * @module
 */
import { UsageError } from "./exit_code.ts";

/** A value: strings and numbers are both kept as text (`number` tells which it was), lists nest at most four deep. */
export type CfgValue = { kind: "text"; text: string; number: boolean } | { kind: "list"; items: CfgValue[] };

/** One assignment. */
export interface CfgEntry {
  key: string;
  value: CfgValue;
  /** Where it stands, from 1. */
  line: number;
}

/** Bounds on what is read. */
const TEXT_MAX = 1 << 20, ENTRIES_MAX = 1000, ITEMS_MAX = 1000, DEPTH_MAX = 4;

/**
 * Parses a configuration file; a key that is assigned twice is there twice, in order.
 * @param name file name, for messages
 * @throws UsageError naming the line
 */
export function parseXlCfg(name: string, text: string): CfgEntry[] {
  if (text.length > TEXT_MAX) {
    throw new UsageError(`Cannot read ${name}: it is longer than ${TEXT_MAX} characters.`);
  }
  const scanner = new Scanner(name, text);
  const entries: CfgEntry[] = [];
  for (;;) {
    scanner.skipBlank(true);
    if (scanner.done) return entries;
    if (entries.length === ENTRIES_MAX) scanner.fail(`more than ${ENTRIES_MAX} assignments`);
    const line = scanner.line;
    const key = scanner.key();
    scanner.skipBlank(false);
    scanner.expect("=");
    scanner.skipBlank(false);
    const value = scanner.value(0);
    scanner.endOfStatement();
    entries.push({ key, value, line });
  }
}

/** Parses the value of a `key=value` word: quoted or listed as in a file, anything else is the text itself. */
export function parseWordValue(key: string, text: string): CfgValue {
  if (/^\s*["'[]/.test(text)) {
    const scanner = new Scanner(`${key}=`, text);
    scanner.skipBlank(false);
    const value = scanner.value(0);
    scanner.endOfStatement();
    return value;
  }
  return { kind: "text", text, number: /^-?(0x[0-9a-f]+|[0-9]+)$/i.test(text) };
}

class Scanner {
  #at = 0;
  line = 1;

  constructor(readonly name: string, readonly text: string) {}

  get done(): boolean {
    return this.#at >= this.text.length;
  }

  fail(what: string): never {
    throw new UsageError(`Cannot read ${this.name} line ${this.line}: ${what}.`);
  }

  #peek(): string {
    return this.text[this.#at] ?? "";
  }

  #next(): string {
    const c = this.#peek();
    this.#at++;
    if (c === "\n") this.line++;
    return c;
  }

  /** Skips spaces, comments and escaped line ends; `lines`: also line ends and semicolons. */
  skipBlank(lines: boolean): void {
    for (;;) {
      const c = this.#peek();
      if (c === " " || c === "\t" || c === "\r" || c === "\ufeff") this.#next();
      else if (c === "\\" && this.text[this.#at + 1] === "\n") (this.#next(), this.#next());
      else if (c === "#") { while (!this.done && this.#peek() !== "\n") this.#next(); }
      else if (lines && (c === "\n" || c === ";")) this.#next();
      else return;
    }
  }

  key(): string {
    const start = this.#at;
    while (/[A-Za-z0-9_.-]/.test(this.#peek())) this.#next();
    if (this.#at === start) this.fail(`expected a key, found ${this.#shown()}`);
    if (this.#at - start > 64) this.fail("a key longer than 64 characters");
    return this.text.slice(start, this.#at);
  }

  expect(c: string): void {
    if (this.#peek() !== c) this.fail(`expected "${c}", found ${this.#shown()}`);
    this.#next();
  }

  value(depth: number): CfgValue {
    const c = this.#peek();
    if (c === '"' || c === "'") return { kind: "text", text: this.#string(), number: false };
    if (c === "[") return this.#list(depth);
    const start = this.#at;
    while (/[A-Za-z0-9_-]/.test(this.#peek())) this.#next();
    const word = this.text.slice(start, this.#at);
    if (!/^-?(0x[0-9a-f]+|[0-9]+)$/i.test(word)) {
      this.#at = start;
      this.fail(`expected a quoted string, a number or a list, found ${this.#shown()}`);
    }
    return { kind: "text", text: word, number: true };
  }

  #list(depth: number): CfgValue {
    if (depth >= DEPTH_MAX) this.fail(`lists nested more than ${DEPTH_MAX} deep`);
    this.#next();
    const items: CfgValue[] = [];
    for (;;) {
      this.#skipInList();
      if (this.#peek() === "]") break;
      if (items.length === ITEMS_MAX) this.fail(`a list of more than ${ITEMS_MAX} items`);
      items.push(this.value(depth + 1));
      this.#skipInList();
      if (this.#peek() === "]") break;
      if (this.#peek() !== ",") this.fail(`expected "," or "]", found ${this.#shown()}`);
      this.#next();
    }
    this.#next();
    return { kind: "list", items };
  }

  #skipInList(): void {
    for (;;) {
      this.skipBlank(false);
      if (this.#peek() !== "\n") return;
      this.#next();
    }
  }

  #string(): string {
    const quote = this.#next();
    const parts: string[] = [];
    for (;;) {
      if (this.done || this.#peek() === "\n") this.fail("a string without its closing quote");
      const c = this.#next();
      if (c === quote) return parts.join("");
      parts.push(c === "\\" ? this.#escape() : c);
    }
  }

  #escape(): string {
    const c = this.#next();
    const simple: Record<string, string> = {
      n: "\n",
      r: "\r",
      t: "\t",
      a: "\x07",
      b: "\b",
      f: "\f",
      v: "\v",
    };
    if (simple[c] !== undefined) return simple[c];
    if ("\\'\"".includes(c) && c !== "") return c;
    const rest = this.text.slice(this.#at - 1, this.#at + 3);
    const m = /^x([0-9a-f]{1,2})/i.exec(rest) ?? /^([0-7]{1,3})/.exec(rest);
    if (m === null) {
      this.fail(`an unknown escape \\${/^[!-~]$/.test(c) ? c : "before a space or control character"}`);
    }
    this.#at += m[0].length - 1;
    return String.fromCharCode(Number.parseInt(m[1], m[0][0] === "x" ? 16 : 8) & 0xff);
  }

  /** A statement ends at a line end, a semicolon or the end of the text. */
  endOfStatement(): void {
    this.skipBlank(false);
    const c = this.#peek();
    if (c !== "" && c !== "\n" && c !== ";") {
      this.fail(`expected the end of the line, found ${this.#shown()}`);
    }
  }

  #shown(): string {
    const c = this.#peek();
    if (c === "") return "the end";
    return c === "\n" ? "the end of the line" : JSON.stringify(c);
  }
}
