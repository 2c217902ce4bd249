/**
 * Scripts of console input, for tests and unattended runs. One statement a line, obeyed in order:
 *
 *     # comment
 *     target xen                  which console input goes to from here on (default: as the command line says)
 *     wait "login: "              go on when the guest has printed this since the last `wait`
 *     send "root\n"               type this
 *     at 50000000 send "x"        type this at so many virtual nanoseconds since the start
 *
 * Strings are JSON strings. What is sent after a `wait` arrives a fixed virtual time after the matching output, so a
 * script gives the same recording every time.
 *
 * @module
 */
import { GuestError } from "../core/config.ts";
import type { Due } from "../core/inputs.ts";

/** One statement. */
export type Statement =
  | { do: "wait"; pattern: Uint8Array }
  | { do: "send"; target: string; bytes: Uint8Array; atNs: number };

/** A parsed script. */
export interface Script {
  statements: Statement[];
}

/** Virtual nanoseconds from matching output to the input that follows, and between inputs. */
const REACTION_NS = 1_000_000;
const PATTERN_BYTES_MAX = 1024, STATEMENTS_MAX = 10_000;

/**
 * Parses a script.
 * @param target console that `send` means before any `target` statement
 * @throws GuestError naming the line
 */
export function parseScript(text: string, target = "xen"): Script {
  const statements: Statement[] = [];
  text.split("\n").forEach((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) return;
    const m = /^(?:(target)\s+([\w.-]+)|(wait)\s+(".*")|(?:at\s+(\d+)\s+)?(send)\s+(".*"))$/.exec(line);
    if (m === null) {
      throw new GuestError(
        `Cannot read script line ${
          index + 1
        }: expected target NAME, wait "…", send "…" or at NANOSECONDS send "…".`,
      );
    }
    if (m[1]) target = m[2];
    else if (m[3]) statements.push({ do: "wait", pattern: quoted(m[4], index + 1) });
    else {statements.push({
        do: "send",
        target,
        bytes: quoted(m[7], index + 1),
        atNs: Number(m[5] ?? 0),
      });}
  });
  if (statements.length > STATEMENTS_MAX) {
    throw new GuestError(`The script has more than ${STATEMENTS_MAX} statements.`);
  }
  return { statements };
}

function quoted(literal: string, line: number): Uint8Array {
  let value: unknown;
  try {
    value = JSON.parse(literal);
  } catch {
    throw new GuestError(`Cannot read the string on script line ${line}: it is not a JSON string.`);
  }
  const bytes = new TextEncoder().encode(String(value));
  if (bytes.length === 0 || bytes.length > PATTERN_BYTES_MAX) {
    throw new GuestError(`The string on script line ${line} must have 1 to ${PATTERN_BYTES_MAX} bytes.`);
  }
  return bytes;
}

/** Obeys a script. */
export class ScriptRunner {
  readonly #statements: Statement[];
  #next = 0;
  /** Virtual time before which nothing is sent. */
  #notBeforeNs = 0;
  /** The guest waits for input: the next `send` is due at once, whatever its time. */
  #hastened = false;
  /** Output since the last `wait`, no more of it than a pattern can match. */
  #window = new Uint8Array(0);

  constructor(script: Script) {
    this.#statements = script.statements;
  }

  /** Guest output. */
  observe(bytes: Uint8Array, timeNs: number): void {
    const joined = new Uint8Array(this.#window.length + bytes.length);
    joined.set(this.#window);
    joined.set(bytes, this.#window.length);
    this.#window = joined;
    this.#match(timeNs);
    if (this.#window.length > PATTERN_BYTES_MAX) this.#window = this.#window.slice(-PATTERN_BYTES_MAX);
  }

  /** Passes every `wait` whose pattern is in the window. */
  #match(timeNs: number): void {
    for (;;) {
      const s = this.#statements[this.#next];
      if (s?.do !== "wait") return;
      const at = indexOf(this.#window, s.pattern);
      if (at < 0) return;
      this.#window = this.#window.slice(at + s.pattern.length);
      this.#notBeforeNs = timeNs + REACTION_NS;
      this.#next++;
    }
  }

  /** What is due now, or null. */
  poll(timeNs: number): { target: string; payload: Uint8Array } | null {
    const s = this.#statements[this.#next];
    if (s?.do !== "send") return null;
    if (!this.#hastened && timeNs < Math.max(this.#notBeforeNs, s.atNs)) return null;
    this.#hastened = false;
    this.#next++;
    this.#notBeforeNs = timeNs + REACTION_NS;
    this.#match(timeNs);
    return { target: s.target, payload: s.bytes };
  }

  /** When the next `send` is due; null when that depends on output. */
  nextDue(): Due | null {
    const s = this.#statements[this.#next];
    return s?.do === "send" ? { icount: 0, timeNs: Math.max(this.#notBeforeNs, s.atNs) } : null;
  }

  /** The guest waits for input. @returns true when the next statement is a `send`, which is then due at once */
  hasten(): boolean {
    return this.#hastened = this.#statements[this.#next]?.do === "send";
  }
}

function indexOf(bytes: Uint8Array, pattern: Uint8Array): number {
  for (let i = 0; i + pattern.length <= bytes.length; i++) {
    let k = 0;
    while (k < pattern.length && bytes[i + k] === pattern[k]) k++;
    if (k === pattern.length) return i;
  }
  return -1;
}
