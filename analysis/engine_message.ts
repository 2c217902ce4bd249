/**
 * DuckDB's errors for people, wherever it runs.
 *
 * @module
 */

/** DuckDB's own words, out of the JSON it sometimes wraps them in, with the repeated position marker dropped. */
export function engineMessage(error: unknown): string {
  let text = error instanceof Error ? error.message : String(error);
  if (text.startsWith("{")) {
    try {
      const parsed = JSON.parse(text) as { exception_message?: unknown };
      if (typeof parsed.exception_message === "string") text = parsed.exception_message;
    } catch {
      // Not JSON after all: shown as it is.
    }
  }
  const extension = /required extension '(\w+)'|\/(\w+)\.duckdb_extension/.exec(text);
  if (extension !== null) {
    return `This needs DuckDB's extension "${
      extension[1] ?? extension[2]
    }", which is not built in; nothing is fetched.`;
  }
  if (/^(Out of Memory Error|memory access out of bounds)|bad_alloc|null data pointer/i.test(text)) {
    return `${
      text.split("\n")[0]
    }\nThe statement needs more memory than DuckDB has here (3.1 GiB): name columns rather than *, ` +
      "ask about fewer rows (WHERE icount BETWEEN ...), or ask a native DuckDB " +
      "(deno task query:native TRACE SQL).";
  }
  const first = text.indexOf("\n\nLINE ");
  const second = first < 0 ? -1 : text.indexOf("\n\nLINE ", first + 1);
  return (second < 0 ? text : text.slice(0, second)).trimEnd();
}
